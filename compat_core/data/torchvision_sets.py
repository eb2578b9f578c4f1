"""Public data sets by name, fetched once by torchvision: CIFAR, MNIST, Omniglot, Flowers, Pets, Caltech."""

from __future__ import annotations

import http.client
import os
import pickle
import socket
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from compat_core.data.assemble import About, from_arrays, from_files
from compat_core.data.base import DATASETS, DatasetEntry, Progress
from compat_core.data.config import DataConfig
from compat_core.data.files import ImageFile, image_file
from compat_core.data.images import Dataset
from compat_core.errors import CompatError

CONNECT_TIMEOUT_S = 30.0

# What a missing network, a full disk or a broken archive ends in (URLError is an OSError).
UNOBTAINABLE = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    http.client.HTTPException,
    pickle.UnpicklingError,
    tarfile.TarError,
    zipfile.BadZipFile,
)


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """A part that torchvision keeps in memory: images ``(N, C, S, S)`` uint8, labels ``(N,)``, class names."""

    images: torch.Tensor
    labels: np.ndarray
    class_names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Files:
    """A part that torchvision keeps as files: one per item, labels ``(N,)``, class names."""

    files: list[ImageFile]
    labels: np.ndarray
    class_names: tuple[str, ...]


def data_dir() -> Path:
    """Where downloads are kept: ``$COMPATBENCH_DATA``, or ``~/.cache/compatbench/data``."""
    chosen = os.environ.get("COMPATBENCH_DATA", "")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "compatbench" / "data"


def _cifar(class_name: str) -> Callable[[Path], list[Arrays]]:
    def parts(root: Path) -> list[Arrays]:
        from torchvision import datasets

        sets = [getattr(datasets, class_name)(str(root), train=train, download=True) for train in (True, False)]
        return [
            Arrays(torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), _ints(part.targets), _names(part))
            for part in sets
        ]

    return parts


def _mnist(class_name: str) -> Callable[[Path], list[Arrays]]:
    def parts(root: Path) -> list[Arrays]:
        from torchvision import datasets

        sets = [getattr(datasets, class_name)(str(root), train=train, download=True) for train in (True, False)]
        return [Arrays(part.data[:, None], _ints(part.targets), _names(part)) for part in sets]

    return parts


def _omniglot(root: Path) -> list[Files]:
    from torchvision import datasets

    parts = []
    for background in (True, False):
        part = datasets.Omniglot(str(root), background=background, download=True)
        folder = Path(part.target_folder)
        # Class names as torchvision has them: alphabet/character, unique over both parts.
        items = part._flat_character_images
        names = tuple(Path(name).as_posix() for name in part._characters)
        files = [
            image_file(folder / names[label] / file, f"{folder.name}/{names[label]}/{file}") for file, label in items
        ]
        parts.append(Files(files, _ints([label for _, label in items]), names))
    return parts


def _flowers(root: Path) -> list[Files]:
    from torchvision import datasets

    parts = []
    for splits in (("train", "val"), ("test",)):
        sets = [datasets.Flowers102(str(root), split=split, download=True) for split in splits]
        paths = [path for part in sets for path in part._image_files]
        labels = _ints([label for part in sets for label in part._labels])
        names = tuple(getattr(sets[0], "classes", ())) or tuple(f"flower {number:03d}" for number in range(1, 103))
        parts.append(Files([image_file(path, path.name) for path in paths], labels, names))
    return parts


def _pets(root: Path) -> list[Files]:
    from torchvision import datasets

    parts = []
    for split in ("trainval", "test"):
        part = datasets.OxfordIIITPet(str(root), split=split, download=True)
        files = [image_file(path, path.name) for path in part._images]
        parts.append(Files(files, _ints(part._labels), _names(part)))
    return parts


def _caltech(root: Path) -> list[Files]:
    from torchvision import datasets

    part = datasets.Caltech101(str(root), download=True)
    names = tuple(part.categories)  # without BACKGROUND_Google, which is no class
    files = []
    for label, number in zip(part.y, part.index, strict=True):
        name = f"{names[label]}/image_{number:04d}.jpg"
        files.append(image_file(Path(part.root) / "101_ObjectCategories" / name, name))
    return [Files(files, _ints(part.y), names)]


@dataclass(frozen=True, slots=True)
class _Public:
    """One public data set: how to get its parts, [train, test] or [all], and what to tell about it.

    ``folder`` is the one that torchvision unpacks it into, below :func:`data_dir`.
    """

    about: About
    parts: Callable[[Path], Sequence[Arrays | Files]]
    folder: str
    by_hand: str
    summary: str
    source: str

    def load(self, config: DataConfig, progress: Progress | None = None) -> Dataset:
        """Download if need be, then split as ``config`` says.

        Raises:
            CompatError: when it is not there and cannot be downloaded, or a split cannot be made.
        """
        root = data_dir()
        try:
            with _patient_for(CONNECT_TIMEOUT_S):
                parts = self.parts(root)
        except UNOBTAINABLE as error:
            reason = " ".join(str(getattr(error, "reason", None) or error).split())[:160] or type(error).__name__
            raise CompatError(
                f"data set {self.about.name}",
                rule=f"is not in {root} and could not be downloaded ({reason})",
                fix=f"put {self.by_hand} there by hand (torchvision's layout), or use digits or folder:PATH",
            ) from error
        # The parts of an open set have classes of their own: number all classes together, by name.
        names = sorted({name for part in parts for name in part.class_names})
        number = {name: label for label, name in enumerate(names)}
        labels = np.concatenate([_ints([number[name] for name in part.class_names])[part.labels] for part in parts])
        counts = [len(part.labels) for part in parts]
        is_test = np.repeat([False, True], counts) if len(parts) == 2 else None
        if isinstance(parts[0], Files):
            files = [file for part in parts if isinstance(part, Files) for file in part.files]
            return from_files(files, labels, names, is_test, root / self.about.name, config, self.about, progress)
        images = torch.cat([part.images for part in parts if isinstance(part, Arrays)])
        prefixes = np.repeat(["train", "test"], counts)
        ids = np.array([f"{prefix}/{index:05d}" for prefix, index in zip(prefixes, _counters(counts), strict=True)])
        dataset = from_arrays(images, labels, ids, names, is_test, config, self.about)
        if progress is not None:
            progress(len(labels), len(labels))
        return dataset


def _counters(counts: Sequence[int]) -> Iterator[int]:
    for count in counts:
        yield from range(count)


def _ints(values: Any) -> np.ndarray:
    return np.asarray(values, dtype=np.int64)


def _names(part: Any) -> tuple[str, ...]:
    return tuple(str(name) for name in part.classes)


@contextmanager
def _patient_for(seconds: float) -> Iterator[None]:
    """Give up on a silent network: torchvision sets no time limit, and a dropped packet would hang for minutes."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


_PUBLIC = (
    _Public(
        About("cifar10", "CIFAR-10", augment="crop-flip", size=32),
        _cifar("CIFAR10"),
        "cifar-10-batches-py",
        "cifar-10-python.tar.gz",
        "60,000 RGB 32 × 32 photographs of 10 classes; split 50,000 / 10,000.",
        "Krizhevsky 2009, Learning multiple layers of features from tiny images",
    ),
    _Public(
        About("cifar100", "CIFAR-100", augment="crop-flip", size=32),
        _cifar("CIFAR100"),
        "cifar-100-python",
        "cifar-100-python.tar.gz",
        "60,000 RGB 32 × 32 photographs of 100 classes; split 50,000 / 10,000; FCT trains on 50, then 100 classes.",
        "Krizhevsky 2009, Learning multiple layers of features from tiny images",
    ),
    _Public(
        About("fashion-mnist", "Fashion-MNIST", augment="crop-flip", size=32),
        _mnist("FashionMNIST"),
        "FashionMNIST",
        "the four *-ubyte.gz files in FashionMNIST/raw",
        "70,000 grey 28 × 28 product pictures of 10 classes, shown at 32 px; split 60,000 / 10,000.",
        "Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747",
    ),
    _Public(
        About("mnist", "MNIST", augment="crop", size=32),
        _mnist("MNIST"),
        "MNIST",
        "the four *-ubyte.gz files in MNIST/raw",
        "70,000 grey 28 × 28 handwritten digits, shown at 32 px; split 60,000 / 10,000.",
        "LeCun, Cortes, Burges 1998",
    ),
    _Public(
        About("omniglot", "Omniglot", augment="crop", size=32, channels=1),
        _omniglot,
        "omniglot-py",
        "omniglot-py/images_background.zip and omniglot-py/images_evaluation.zip, and both unpacked,",
        "32,460 drawings of 1,623 characters, 20 each; open set: trained on 964, evaluated on 659 other characters.",
        "Lake, Salakhutdinov, Tenenbaum 2015, Science 350",
    ),
    _Public(
        About("flowers102", "Oxford 102 Flowers", augment="crop-flip", size=64, channels=3),
        _flowers,
        "flowers-102",
        "flowers-102/102flowers.tgz, flowers-102/imagelabels.mat and flowers-102/setid.mat",
        "8,189 photographs of 102 flowers; trained on its training and validation parts (2,040), evaluated on 6,149.",
        "Nilsback, Zisserman 2008",
    ),
    _Public(
        About("oxford-pets", "Oxford-IIIT Pets", augment="crop-flip", size=64, channels=3),
        _pets,
        "oxford-iiit-pet",
        "oxford-iiit-pet/images.tar.gz and oxford-iiit-pet/annotations.tar.gz",
        "7,349 photographs of 37 breeds of cats and dogs; split 3,680 / 3,669.",
        "Parkhi, Vedaldi, Zisserman, Jawahar 2012",
    ),
    _Public(
        About("caltech101", "Caltech-101", augment="crop-flip", size=64, channels=3),
        _caltech,
        "caltech101",
        "caltech101/caltech-101.zip (or 101_ObjectCategories unpacked in caltech101)",
        "8,677 photographs of 101 classes of objects; no split of its own.",
        "Fei-Fei, Fergus, Perona 2004",
    ),
)

for _entry in _PUBLIC:
    DATASETS.add(DatasetEntry(_entry.about.name, _entry.about.title, _entry.summary, False, _entry.source, _entry.load))


def downloaded(name: str) -> bool:
    """Whether the public data set ``name`` is on this machine already; False for a name that is none of them."""
    folders = [entry.folder for entry in _PUBLIC if entry.about.name == name]
    return any((data_dir() / folder).is_dir() for folder in folders)
