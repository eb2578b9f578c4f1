"""Which images go where: limits, evaluation splits, the old model's share, the batches of an epoch.

Everything here works on label vectors and returns indices. The evaluation split and the limits depend on a fixed
constant and never on the experiment's seed: runs with different seeds answer the same queries, so their differences
can be paired. Only :func:`old_subset` and :func:`epoch_batches` take a seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch

from compat_core.data.config import ScenarioConfig
from compat_core.errors import CompatError

SPLIT_SEED = 2003_11942
_LIMIT, _INSTANCES, _OLD, _EPOCH = range(4)  # one random stream per purpose

Labels = np.ndarray | torch.Tensor


def permutation(count: int, *key: int) -> np.ndarray:
    """``(count,)`` int64: a random order of ``0 … count-1`` that depends on ``key`` (whole numbers >= 0) alone.

    Drawn from the raw bits of PCG64, which NumPy promises never to change (it does not promise that of
    ``Generator.permutation``), so a split stays the same when NumPy is updated.
    """
    bits = np.random.PCG64(np.random.SeedSequence(key)).random_raw(count)
    return np.argsort(np.asarray(bits, dtype=np.uint64), kind="stable")


def stratified_limit(labels: Labels, limit: int) -> np.ndarray:
    """Indices, ascending, of at most ``limit`` items spread as evenly over the classes as their sizes allow.

    A class with fewer items than its share gives the rest to the others; what cannot be divided goes to the first
    classes. ``limit`` 0 keeps everything. Within a class the choice is random but fixed, and grows with the limit
    (a smaller limit's items are part of a larger one's).

    Args:
        labels: ``(N,)`` int64.
        limit: most items to keep; 0 = all.
    """
    labels = _as_array(labels)
    if limit <= 0 or limit >= len(labels):
        return np.arange(len(labels))
    classes, counts = np.unique(labels, return_counts=True)
    # The largest level with sum(min(count, level)) <= limit, by bisection: each class gets min(count, level).
    low, high = 0, int(counts.max())
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if np.minimum(counts, middle).sum() <= limit else (low, middle - 1)
    quotas = np.minimum(counts, low)
    quotas[np.flatnonzero(counts > low)[: limit - quotas.sum()]] += 1
    return _take(labels, dict(zip(classes.tolist(), quotas.tolist(), strict=True)), SPLIT_SEED, _LIMIT)


def instance_split(labels: Labels, test_share: float) -> tuple[np.ndarray, np.ndarray]:
    """Set aside ``test_share`` of every class, rounded, but never all of it.

    At least two images of a class with four or more (a query needs another image of its class to find), one of a class
    with two or three. A class with a single image has nothing to set aside: it goes to the training part.

    Args:
        labels: ``(N,)`` int64.
        test_share: share of each class, in (0, 1).

    Returns:
        (training indices, evaluation indices), both ascending, together all N.
    """
    labels = _as_array(labels)
    classes, counts = np.unique(labels, return_counts=True)
    quotas = {
        label: min(max(rounded(test_share * count), 2 if count >= 4 else 1), count - 1)
        for label, count in zip(classes.tolist(), counts.tolist(), strict=True)
    }
    test = _take(labels, quotas, SPLIT_SEED, _INSTANCES)
    return np.setdiff1d(np.arange(len(labels)), test, assume_unique=True), test


def held_out_classes(labels: Labels, test_share: float) -> np.ndarray:
    """The classes that a ``classes`` split never trains on: the last ``test_share`` of the sorted classes.

    At least two are held out and at least two are left.

    Raises:
        CompatError: when there are fewer than four classes.
    """
    classes = np.unique(_as_array(labels))
    if len(classes) < 4:
        raise CompatError(
            "data.eval_split",
            value="classes",
            rule=f"needs at least 4 classes (2 to train on, 2 to evaluate on) and there are {len(classes)}",
            fix="use eval_split instances",
        )
    count = min(max(rounded(test_share * len(classes)), 2), len(classes) - 2)
    return classes[-count:]


def class_split(labels: Labels, test_share: float) -> tuple[np.ndarray, np.ndarray]:
    """Set aside whole classes, the last ``test_share`` of the sorted ones: an open-set evaluation.

    Args:
        labels: ``(N,)`` int64, numbered in the order of the sorted class names.
        test_share: share of the classes, in (0, 1).

    Returns:
        (training indices, evaluation indices), both ascending, together all N, without a class in common.

    Raises:
        CompatError: when there are fewer than four classes.
    """
    labels = _as_array(labels)
    held_out = np.isin(labels, held_out_classes(labels, test_share))
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def old_subset(labels: Labels, scenario: ScenarioConfig, seed: int) -> np.ndarray:
    """Indices, ascending, of the training images the old model saw.

    The first ``old_classes`` of the sorted classes (rounded to whole classes), and of each of them a random
    ``old_images`` of its images (rounded, at least one), of a biased class only ``biased_images`` of those. For one
    seed, a smaller share of images is part of a larger.

    Args:
        labels: ``(N,)`` int64, labels of the training images.
        scenario: the shares.
        seed: the experiment's seed; chooses the images, never the classes.

    Raises:
        CompatError: when fewer than two classes, or less than one image per class, would be left.
    """
    labels = _as_array(labels)
    classes, counts = np.unique(labels, return_counts=True)
    kept = rounded(scenario.old_classes * len(classes))
    if kept < 2:
        raise CompatError(
            "scenario.old_classes",
            value=scenario.old_classes,
            rule=f"leaves the old model {kept} of {len(classes)} classes and it needs at least 2",
            fix=f"use at least {_share_for(1.5, len(classes))}" if len(classes) >= 2 else "use a data set with classes",
        )
    classes, counts = classes[:kept], counts[:kept]
    if rounded(scenario.old_images * int(counts.sum())) < kept:
        raise CompatError(
            "scenario.old_images",
            value=scenario.old_images,
            rule=f"leaves the old model less than one image per class ({kept} classes, {counts.sum()} images)",
            fix=f"use at least {_share_for(kept, int(counts.sum()))}",
        )
    biased = set(biased_classes(classes, scenario).tolist())
    quotas = {
        label: max(rounded(scenario.old_images * (scenario.biased_images if label in biased else 1.0) * count), 1)
        for label, count in zip(classes.tolist(), counts.tolist(), strict=True)
    }
    return _take(labels, quotas, seed, _OLD)


def biased_classes(old_classes: np.ndarray, scenario: ScenarioConfig) -> np.ndarray:
    """Those of the old model's sorted classes ``(K_old,)`` that it saw too little of: the last ``biased_classes``."""
    count = rounded(scenario.biased_classes * len(old_classes))
    return old_classes[len(old_classes) - count :]


def epoch_batches(
    num_items: int, batch_size: int, seed: int, epoch: int, rank: int = 0, world: int = 1
) -> Iterator[np.ndarray]:
    """The batches of one epoch for one of ``world`` processes.

    The permutation depends on (seed, epoch) only; process ``rank`` takes every ``world``-th item of it. The
    ``num_items % world`` left-over items sit this epoch out (others the next), so that every process makes the same
    number of steps with batches of the same sizes and no collective operation waits for ever.

    Batches are as few as ``batch_size`` allows, and of equal size but for one item. A short last batch would count as
    much as a full one, in the optimiser and in the running statistics of batch normalisation, and a training ends with
    it: of 1,346 items in batches of 64, with one of 2. No batch has a single item, which batch normalisation cannot be
    trained on: three items in batches of 2 are one batch of 3. No item is repeated.

    Args:
        num_items: number of training items N.
        batch_size: most items per batch and process, at least 2.
        seed: of the experiment.
        epoch: from 0.
        rank, world: this process and how many there are.

    Yields:
        ``(B,)`` int64 arrays of indices into the items.

    Raises:
        CompatError: when a process would get fewer than two items.
        ValueError: for a batch size below 2, or a rank outside ``[0, world)``.
    """
    if batch_size < 2:
        raise ValueError(f"batch_size must be at least 2, not {batch_size}")
    if not 0 <= rank < world:
        raise ValueError(f"rank must lie in [0, {world}), not {rank}")
    share = num_items // world
    if share < 2:
        raise CompatError(
            "training images",
            value=num_items,
            rule=f"each of {world} process(es) needs at least 2",
            fix="use more images" + (" or fewer processes" if world > 1 else ""),
        )
    own = permutation(num_items, seed, _EPOCH, epoch)[: share * world][rank::world]
    yield from np.array_split(own, min(-(-share // batch_size), share // 2))


def rounded(value: float) -> int:
    """The nearest whole number, halves upwards (``round`` would send 2.5 to 2 and 3.5 to 4)."""
    return math.floor(value + 0.5 + 1e-9)


def _take(labels: np.ndarray, quotas: dict[int, int], *key: int) -> np.ndarray:
    """For each class, the first ``quotas[class]`` items of its own random order; all indices, ascending."""
    by_class = np.argsort(labels, kind="stable")
    classes, starts = np.unique(labels[by_class], return_index=True)
    members = dict(zip(classes.tolist(), np.split(by_class, starts[1:]), strict=True))
    chosen = [members[c][permutation(len(members[c]), *key, c)[:quota]] for c, quota in quotas.items()]
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, dtype=np.int64)


def _share_for(wanted: float, total: int) -> float:
    """The smallest share, in steps of 0.001, of ``total`` that reaches ``wanted``."""
    return min(math.ceil(1000 * wanted / total) / 1000, 1.0)


def _as_array(labels: Labels) -> np.ndarray:
    array = labels.cpu().numpy() if isinstance(labels, torch.Tensor) else np.asarray(labels)
    return array.astype(np.int64, copy=False)
