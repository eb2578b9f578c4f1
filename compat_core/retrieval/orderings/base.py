"""What an ordering of the backfill is, and what it may be told of the gallery."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from compat_core.errors import CompatError, unknown_name
from compat_core.registry import Registry

# What an ordering can ask for beside the rows before their backfill, and what to call that on a page.
NEEDS = {
    "labels": "the class of every row in production",
    "gallery_new": "the rows after their backfill",
    "uncertainty": "a method that says how unsure it is of every row, as FastFill's",
    "weights": "how often every row is requested",
}


BATCH_ROWS = 65_536


class Rows(Protocol):
    """Vectors ``(N, D)`` that are taken a slice at a time, or as a whole by ``np.asarray``: an array, or rows that are
    worked out when they are asked for, which need not fit into memory."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...

    def __array__(self, dtype: Any = None, /) -> np.ndarray: ...


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """What is known of a gallery whose backfill is ordered; None for what is not at hand.

    Attributes:
        gallery_old: ``(N, D)`` rows before their backfill, in the shared space.
        labels: ``(N,)`` class codes from 0.
        gallery_new: ``(N, D)`` rows after it.
        uncertainty: ``(N,)`` predicted by the method itself; larger is less sure.
        weights: ``(N,)`` how much each row is requested.
        seed: of what is drawn at random.
        distance: how the gallery is searched: ``cosine``, ``l2`` or ``dot``.
    """

    gallery_old: Rows
    labels: np.ndarray | None = None
    gallery_new: np.ndarray | None = None
    uncertainty: np.ndarray | None = None
    weights: np.ndarray | None = None
    seed: int = 0
    distance: str = "cosine"

    def __len__(self) -> int:
        return len(self.gallery_old)

    @property
    def at_hand(self) -> tuple[str, ...]:
        """Which of ``NEEDS`` are known."""
        return tuple(name for name in NEEDS if getattr(self, name) is not None)

    def batches(self) -> Iterator[tuple[slice, np.ndarray]]:
        """The rows before their backfill as they are searched, some at a time: where they stand, and ``(B, D)``."""
        for first in range(0, len(self), BATCH_ROWS):
            at = slice(first, first + BATCH_ROWS)
            yield at, self.as_searched(self.gallery_old[at])

    def as_searched(self, rows: Rows) -> np.ndarray:
        """Rows between which far means what it means to a search: directions under ``cosine``, else as they are.

        Shape: ``(N, D)`` → ``(N, D)`` float64.
        """
        whole = np.asarray(rows, dtype=np.float64)
        if self.distance != "cosine":
            return whole
        return whole / np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), 1e-12)


@dataclass(frozen=True, slots=True)
class Ordering:
    """Registry entry: a way to order a backfill.

    A run and a decision draw it wherever what it needs is at hand, in a look of its own.

    Attributes:
        name, title: for people.
        summary: which rows come first, in words that can end a sentence.
        arrange: the permutation ``(N,)`` of the rows, ``arrange(gallery, *needed)``, where ``needed`` holds one array
            for each of ``needs``, of as many rows as the gallery; see :func:`largest_first`.
        needs: what it cannot do without, of ``NEEDS``.
        random: True where several seeds are drawn, whose spread is shown as a band. It is what others are compared
            with, so no decision chooses it for a part backfill.
        paper: authors, year, arXiv id; empty for what is nobody's.

    Raises:
        CompatError: for a need that is not among ``NEEDS``.
    """

    name: str
    title: str
    summary: str
    arrange: Callable[..., np.ndarray]
    needs: tuple[str, ...] = ()
    random: bool = False
    paper: str = ""

    def __post_init__(self) -> None:
        for need in self.needs:
            if need not in NEEDS:
                raise unknown_name(f"need of backfill ordering {self.name}", need, NEEDS)

    @property
    def bound(self) -> bool:
        """True where the new rows must be there already: nobody can follow it, and it is drawn for comparison only."""
        return "gallery_new" in self.needs

    @property
    def sentence(self) -> str:
        """What it does and takes, for people who know its name only; without a capital and a full stop."""
        takes = " and ".join(NEEDS[need] for need in self.needs) or "nothing"
        late = "; it cannot be had before the backfill and is drawn for comparison, and another order may do better"
        return f"{self.name} order: {self.summary}; it takes {takes}{late if self.bound else ''}"

    def drawable(self, at_hand: Collection[str]) -> bool:
        """Whether all that it needs is among ``at_hand``."""
        return set(self.needs) <= set(at_hand)

    def order(self, gallery: Gallery) -> np.ndarray:
        """Gallery rows, first backfilled first. Shape: ``(N,)`` int64, a permutation.

        Raises:
            CompatError: when something it needs is missing or of another length, or when what it gives is no
                permutation of the rows.
        """
        needed = [getattr(gallery, need) for need in self.needs]
        for need, value in zip(self.needs, needed, strict=True):
            if value is None or len(value) != len(gallery):
                rule = f"needs {need}, one for each of {len(gallery)} rows"
                raise CompatError(f"backfill ordering {self.name}", rule=rule)
        order = np.asarray(self.arrange(gallery, *needed))
        whole = order.shape == (len(gallery),) and order.dtype.kind in "iu"
        if not whole or not np.array_equal(np.sort(order), np.arange(len(gallery))):
            rule = f"must name each of {len(gallery)} rows once, by its whole number from 0"
            raise CompatError(f"backfill ordering {self.name}", value=order, rule=rule)
        return order.astype(np.int64, copy=False)

    def orders(self, gallery: Gallery, seeds: Sequence[int]) -> list[np.ndarray]:
        """One order for each of ``seeds`` where it is random, else the one of the gallery's seed."""
        if not self.random:
            return [self.order(gallery)]
        return [self.order(dataclasses.replace(gallery, seed=seed)) for seed in seeds]


ORDERINGS: Registry[Ordering] = Registry("backfill ordering")


def drawable_orders(
    gallery: Gallery, seeds: Sequence[int], last: Callable[[Ordering], bool]
) -> dict[str, list[np.ndarray]]:
    """Every ordering whose needs are at hand, by name: its orders ``(N,)``, several for a random one.

    Args:
        gallery: what is known of it.
        seeds: of the random ones.
        last: true of those that come behind all others; beside that, they come as they are registered.
    """
    drawable = [ordering for ordering in ORDERINGS if ordering.drawable(gallery.at_hand)]
    return {ordering.name: ordering.orders(gallery, seeds) for ordering in sorted(drawable, key=last)}


def largest_first(keys: np.ndarray) -> np.ndarray:
    """The rows by falling key; equal keys keep gallery order. Shape: ``(N,)`` → ``(N,)`` int64."""
    return np.argsort(-np.asarray(keys, dtype=np.float64), kind="stable")
