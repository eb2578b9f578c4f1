"""From a list of items with labels to a :class:`Dataset`: plan the split, decode what it needs, say what happened."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from compat_core.data.base import Progress
from compat_core.data.cache import cache_entry, decode_cached, room_for
from compat_core.data.config import DataConfig
from compat_core.data.decode import probe
from compat_core.data.files import ImageFile, shortened
from compat_core.data.images import Dataset, ImageSet
from compat_core.data.likeness import relative_sharpness, shift_note
from compat_core.data.plan import Plan, plan_parts
from compat_core.device import main_memory
from compat_core.errors import CompatError

LARGEST_NATIVE = 128
LARGE_DEFAULT = 64
MOST_UNREADABLE = 0.5


@dataclass(frozen=True, slots=True)
class About:
    """What a loader knows about its data set beside the images.

    Attributes:
        name, title: as in :class:`Dataset`.
        augment: the augmentation that suits it; "" decides by its channels (mirroring only for RGB: a mirrored letter
            is another letter).
        size: side in px when ``image_size`` is 0; 0 keeps equal squares up to 128 px and makes everything else 64 px.
        channels: 1 or 3; 0 looks at the files.
        notes: to put before the others.
    """

    name: str
    title: str
    augment: str = ""
    size: int = 0
    channels: int = 0
    notes: tuple[str, ...] = ()


def from_files(
    files: Sequence[ImageFile],
    labels: np.ndarray,
    class_names: Sequence[str],
    is_test: np.ndarray | None,
    root: Path,
    config: DataConfig,
    about: About,
    progress: Progress | None = None,
) -> Dataset:
    """Decode the files that the split and the limits select.

    Args:
        files: N files.
        labels: ``(N,)`` int64, indices into ``class_names``.
        class_names: sorted names.
        is_test: ``(N,)`` bool or None, see :func:`plan_parts`.
        root: the folder they come from, part of the cache's key.
        config: what was asked for.
        about: name, defaults.
        progress: told how many of the selected files are decoded.

    Raises:
        CompatError: when no split can be made, or more than half of the files cannot be read.
    """
    plan = plan_parts(labels, class_names, is_test, config, about.name)
    selected = np.concatenate([plan.train, plan.test])
    seen_channels, seen_size = probe([files[index] for index in selected])
    channels = about.channels or seen_channels
    size, notes = _size(config.image_size, about.size, seen_size)
    chosen_files = [[files[index] for index in chosen] for chosen in (plan.train, plan.test)]
    entries = [cache_entry(part, root, size, channels) for part in chosen_files]
    _check_room(entries, [len(part) for part in chosen_files], channels * size * size)
    parts = []
    done_before = 0
    for chosen, part, entry in zip((plan.train, plan.test), chosen_files, entries, strict=True):
        shifted = _shifted(progress, done_before, len(selected))
        decoded, cache_notes = decode_cached(part, entry, size, channels, shifted)
        parts.append((chosen, decoded))
        done_before += len(part)
        notes += [note for note in cache_notes if note not in notes]
    skipped = tuple(entry for _, decoded in parts for entry in decoded.skipped)
    notes += _unreadable(skipped, len(selected), about.name)
    greyed = sum(decoded.greyed for _, decoded in parts)
    if greyed:
        notes.append(f"{greyed} colour image(s) turned grey, as a sample of the files is all grey")
    sets = []
    for chosen, decoded in parts:
        rows = chosen[decoded.kept]
        ids = np.array([files[index].id for index in rows], dtype=np.str_)
        sets.append(ImageSet(torch.from_numpy(decoded.images), torch.from_numpy(labels[rows]), ids, tuple(class_names)))
    return dataclasses.replace(_finish(sets[0], sets[1], plan, notes, config, about), unreadable=skipped)


def from_arrays(
    images: torch.Tensor,
    labels: np.ndarray,
    ids: np.ndarray,
    class_names: Sequence[str],
    is_test: np.ndarray | None,
    config: DataConfig,
    about: About,
) -> Dataset:
    """The same for ``images (N, C, S, S)`` uint8 that are already in memory.

    Raises:
        CompatError: when no split can be made, or labels or ids are not one per image.
    """
    for what, given in (("labels", labels), ("ids", ids)):
        if len(given) != len(images):
            rule = f"must be {len(images)}, one per image"
            raise CompatError(f"{about.name}, {what}", value=len(given), rule=rule)
    plan = plan_parts(labels, class_names, is_test, config, about.name)
    size = config.image_size or about.size or images.shape[2]
    notes = [] if size == images.shape[2] else [f"images resized from {images.shape[2]} px to {size} px"]
    sets = [
        ImageSet(
            resized(images[torch.from_numpy(chosen)], size),
            torch.from_numpy(labels[chosen]),
            ids[chosen],
            tuple(class_names),
        )
        for chosen in (plan.train, plan.test)
    ]
    return _finish(sets[0], sets[1], plan, notes, config, about)


def resized(images: torch.Tensor, size: int) -> torch.Tensor:
    """``(N, C, S, S)`` uint8 as ``(N, C, size, size)`` uint8, bilinear, antialiased when shrinking."""
    if images.shape[2] == size:
        return images
    chunks = [
        F.interpolate(chunk.float(), (size, size), mode="bilinear", antialias=True).round_().clamp_(0, 255).byte()
        for chunk in images.split(1024)
    ]
    return torch.cat(chunks)


def _finish(
    train: ImageSet, test: ImageSet, plan: Plan, notes: Sequence[str], config: DataConfig, about: About
) -> Dataset:
    for part, images in (("training", train), ("evaluation", test)):
        if len(images.present) < 2:
            raise CompatError(about.name, value=len(images), rule=f"its {part} part has readable images of < 2 classes")
    if np.bincount(test.labels.numpy()).max() < 2:
        raise CompatError(
            about.name,
            value=f"{len(test)} evaluation images of {len(test.present)} classes",
            rule="no class has two evaluation images, so no query has anything to find",
            fix="raise data.test_share, use eval_split classes, or bring more images per class",
        )
    ratio = relative_sharpness(train, test) if plan.split == "given" else None
    suits = about.augment or ("crop-flip" if train.channels == 3 else "crop")
    return Dataset(
        name=about.name,
        spec=config.dataset,
        title=about.title,
        train=train,
        test=test,
        augment=suits if config.augment == "auto" else config.augment,
        notes=(*about.notes, *plan.notes, *((shift_note(ratio),) if ratio else ()), *notes),
        split=plan.split,
        sharpness=ratio,
    )


def _size(asked: int, default: int, native: int) -> tuple[int, list[str]]:
    """The side to decode to, and a note on it."""
    if asked or default:
        size = asked or default
        return size, [f"images resized to {size} px (shorter side, centre cut out)"] if size != native else []
    if 0 < native <= LARGEST_NATIVE:
        return native, []
    why = f"larger than {LARGEST_NATIVE} px" if native else "of several sizes or not square"
    return LARGE_DEFAULT, [f"images are {why}: resized to {LARGE_DEFAULT} px (set image_size for another size)"]


def _unreadable(skipped: Sequence[tuple[str, str]], count: int, name: str) -> list[str]:
    """A note on files that were skipped, if any. Raises CompatError when they are over half of ``count``."""
    examples = shortened([f"{file} ({reason})" for file, reason in skipped])
    if len(skipped) > MOST_UNREADABLE * count:
        raise CompatError(
            name,
            value=f"{len(skipped)} of {count} files",
            rule="cannot be read as images",
            fix=f"check them: {examples}",
        )
    if not skipped:
        return []
    reasons = Counter(reason for _, reason in skipped).most_common(3)
    kinds = ", ".join(f"{number} x {reason}" for reason, number in reasons)
    return [f"{len(skipped)} unreadable file(s) skipped: {examples}; reasons: {kinds}"]


def _check_room(entries: Sequence[Path | None], counts: Sequence[int], bytes_each: int) -> None:
    """Refuse what would fit neither on the cache's disk nor into main memory, instead of being killed half-way."""
    missing = [count for entry, count in zip(entries, counts, strict=True) if entry is None or not entry.is_dir()]
    needed, memory = sum(missing) * bytes_each, main_memory()
    kept = next((entry for entry in entries if entry is not None), None)
    if memory is None or needed <= 0.7 * memory or (kept is not None and room_for(kept, needed)):
        return
    disk = "on the disk of $COMPATBENCH_CACHE" if kept is not None else "on disk (COMPATBENCH_CACHE is off)"
    raise CompatError(
        "data",
        value=f"{sum(missing)} images of {bytes_each} bytes",
        rule=f"fit neither into 70 % of this machine's {memory / 2**30:.0f} GiB nor {disk}",
        fix="lower data.image_size or data.train_limit, or point COMPATBENCH_CACHE at a larger disk",
    )


def _shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    """``progress`` for one of several parts: counts from ``before`` on, of ``total``."""
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)
