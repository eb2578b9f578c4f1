"""The images an experiment works on: a labelled set of them, and a data set made of two such sets."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from compat_core.data.distant import DistantPixels, Pixels
from compat_core.errors import CompatError

AUGMENTATIONS = ("none", "crop", "crop-flip")


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """N square images with labels and names, decoded once and kept as bytes.

    Attributes:
        images: ``(N, C, S, S)`` uint8, C = 1 (grey) or 3 (RGB), values 0 … 255. Distant where they do not
            fit the device.
        labels: ``(N,)`` int64 in ``[0, num_classes)``; index into ``class_names``.
        ids: ``(N,)`` array of str, unique: which image this is (a file's path, an index in its archive).
        class_names: the names of all classes of the data set, sorted. A set need not hold images of each of them.

    Raises:
        CompatError: when the parts do not fit together.
    """

    images: Pixels
    labels: torch.Tensor
    ids: np.ndarray
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        shape = tuple(self.images.shape)
        if self.images.dtype != torch.uint8 or len(shape) != 4 or shape[1] not in (1, 3) or shape[2] != shape[3]:
            raise CompatError("images", value=(shape, str(self.images.dtype)), rule="must be (N, 1 or 3, S, S) uint8")
        if self.labels.dtype != torch.int64 or tuple(self.labels.shape) != shape[:1]:
            given = (tuple(self.labels.shape), str(self.labels.dtype))
            raise CompatError("labels", value=given, rule=f"must be ({shape[0]},) int64")
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.class_names):
            given_range = (int(self.labels.min()), int(self.labels.max()))
            raise CompatError("labels", value=given_range, rule=f"must lie in 0 … {len(self.class_names) - 1}")
        if self.ids.shape != shape[:1] or self.ids.dtype.kind != "U":
            given = (self.ids.shape, str(self.ids.dtype))
            raise CompatError("ids", value=given, rule=f"must be an array of {shape[0]} str")
        if len(set(self.ids.tolist())) != len(self.ids):
            raise CompatError("ids", value=_first_repeated(self.ids), rule="must be unique, one per image")
        if len(set(self.class_names)) != len(self.class_names):
            raise CompatError("class_names", value=_first_repeated(np.array(self.class_names)), rule="must be unique")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def num_classes(self) -> int:
        """Number of class names, including classes without an image in this set."""
        return len(self.class_names)

    @property
    def channels(self) -> int:
        """1 for grey, 3 for RGB."""
        return self.images.shape[1]

    @property
    def size(self) -> int:
        """Side of the images in pixels."""
        return self.images.shape[2]

    @property
    def present(self) -> np.ndarray:
        """``(K,)`` int64, ascending: the labels that occur in this set."""
        return np.unique(self.labels.cpu().numpy())

    def subset(self, indices: Sequence[int] | np.ndarray | torch.Tensor) -> ImageSet:
        """The images at ``indices`` (integers, in that order) as a set of their own with the same class names.

        Raises:
            CompatError: for an index outside the set, or one named twice.
        """
        chosen = np.asarray(indices.cpu() if isinstance(indices, torch.Tensor) else indices, dtype=np.int64)
        if chosen.size and not 0 <= chosen.min() <= chosen.max() < len(self):
            raise CompatError("indices", value=(chosen.min(), chosen.max()), rule=f"must lie in 0 … {len(self) - 1}")
        rows = torch.from_numpy(chosen)
        if isinstance(self.images, DistantPixels):
            pixels: Pixels = self.images.part(rows)
        else:
            pixels = self.images[rows.to(self.images.device)]
        return ImageSet(pixels, self.labels[rows.to(self.labels.device)], self.ids[chosen], self.class_names)


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Training images, and evaluation images that no model is ever trained on.

    Attributes:
        name: short name for tables (``"digits"``, the folder's own name).
        spec: what was asked for, as in ``DataConfig.dataset``.
        title: name for people.
        train, test: the two parts, with equal class names, channels and size.
        augment: training augmentation to use: none, crop or crop-flip.
        notes: what a reader of the results should know: how the split was made, which files were skipped.
        split: where the evaluation images come from: given, instances or classes.
        sharpness: of the evaluation images, as a multiple of the training images'; None where the two are alike or are
            not compared (:mod:`compat_core.data.likeness`).
        unreadable: (id, reason) of every file that was skipped because it is no whole image.

    Raises:
        CompatError: when a part is empty or the parts do not fit together.
    """

    name: str
    spec: str
    title: str
    train: ImageSet
    test: ImageSet
    augment: str = "none"
    notes: tuple[str, ...] = ()
    split: str = "given"
    sharpness: float | None = None
    unreadable: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for part, images in (("training", self.train), ("evaluation", self.test)):
            if not len(images):
                raise CompatError(f"data set {self.name}", rule=f"its {part} part has no images")
        for what in ("class_names", "channels", "size"):
            ours, theirs = getattr(self.train, what), getattr(self.test, what)
            if ours != theirs:
                raise CompatError(
                    f"data set {self.name}", value=(ours, theirs), rule=f"both parts need the same {what}"
                )
        if self.augment not in AUGMENTATIONS:
            raise CompatError("augment", value=self.augment, rule=f"must be one of {', '.join(AUGMENTATIONS)}")

    @property
    def open_set(self) -> bool:
        """True when no class of the evaluation part occurs in the training part."""
        return not np.intersect1d(self.train.present, self.test.present).size

    def card(self) -> dict[str, Any]:
        """What the data set is, in JSON types: counts, shape, split, class overlap, SHA-256 of its content, notes."""
        train_classes, test_classes = self.train.present, self.test.present
        per_test_class = np.bincount(self.test.labels.cpu().numpy())[test_classes]
        return {
            "name": self.name,
            "spec": self.spec,
            "title": self.title,
            "train_images": len(self.train),
            "test_images": len(self.test),
            "classes": self.train.num_classes,
            "train_classes": len(train_classes),
            "test_classes": len(test_classes),
            "shared_classes": len(np.intersect1d(train_classes, test_classes)),
            "test_classes_with_one_image": int((per_test_class == 1).sum()),
            "image_shape": [self.train.channels, self.train.size, self.train.size],
            "split": self.split,
            "open_set": self.open_set,
            "augment": self.augment,
            "sharpness": self.sharpness,
            "checksum": f"sha256:{self.checksum()}",
            "notes": list(self.notes),
        }

    def checksum(self) -> str:
        """64 hex digits that change with any pixel, label, id, class name, or with the order of the images."""
        sha = hashlib.sha256()
        for part in (self.train, self.test):
            for names in (part.class_names, part.ids.tolist()):
                sha.update("\0".join(names).encode() + b"\0\0")
            sha.update(np.ascontiguousarray(part.labels.cpu().numpy(), dtype="<i8").tobytes())
            sha.update(repr(tuple(part.images.shape)).encode())
            for chunk in part.images.split(4096):
                sha.update(np.ascontiguousarray(chunk.cpu().numpy()).data)
        return sha.hexdigest()


def _first_repeated(names: np.ndarray) -> str:
    values, counts = np.unique(names, return_counts=True)
    return str(values[counts > 1][0])
