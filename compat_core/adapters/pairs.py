"""Vectors of the same items under two models, read batch by batch from memory or from disk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from compat_core.errors import CompatError

BATCH_ROWS = 8192


class Pairs:
    """What an adapter is fitted on: row ``i`` of ``source`` and of ``target`` are one item under two models.

    Source is the space vectors come from, target the one they are mapped into: old and new to migrate a gallery, new
    and old to map queries. Memory-mapped arrays stay on disk; only a batch at a time is read. Values are checked as
    they are read, since a look at all of them would cost as much as fitting a closed-form adapter.

    Args:
        source: ``(N, D_source)`` real numbers, numpy (also memory-mapped), torch or nested lists.
        target: ``(N, D_target)``.
        labels: ``(N,)`` whole numbers or texts, or None.
        side: side-information stored with the source vectors, ``(N, D_side)``, or None.

    Raises:
        CompatError: for a wrong shape or dtype, no pairs, or lengths that differ.
    """

    def __init__(self, source: Any, target: Any, labels: Any = None, side: Any = None) -> None:
        self.source, self.target = _matrix("source vectors", source), _matrix("target vectors", target)
        self.side = None if side is None else _matrix("side-information", side)
        self._same_length("target vectors", len(self.target))
        if self.side is not None:
            self._same_length("side-information", len(self.side))
        self.labels = None if labels is None else _labels(labels)
        if self.labels is not None:
            self._same_length("labels", len(self.labels))

    def __len__(self) -> int:
        return len(self.source)

    @property
    def source_dim(self) -> int:
        """Dimension of the vectors that are mapped."""
        return self.source.shape[1]

    @property
    def target_dim(self) -> int:
        """Dimension of the space they are mapped into."""
        return self.target.shape[1]

    @property
    def side_dim(self) -> int:
        """Dimension of the side-information; 0 where there is none."""
        return 0 if self.side is None else self.side.shape[1]

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """All pairs in order, ``(B, D_source)`` and ``(B, D_target)`` with ``B <= rows``, in the arrays' own dtype.

        Raises:
            CompatError: for NaN or infinite values, naming the first such row.
        """
        for start in range(0, len(self), rows):
            stop = start + rows
            source, target = np.asarray(self.source[start:stop]), np.asarray(self.target[start:stop])
            check_finite("source vectors", source, start)
            check_finite("target vectors", target, start)
            if self.side is not None:
                check_finite("side-information", np.asarray(self.side[start:stop]), start)
            yield source, target

    def rows(self, indices: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """Source, target and side-information of some items as float32 tensors; unchecked, see :meth:`batches`.

        Args:
            indices: ``(B,)`` int64.
        """
        side = None if self.side is None else _float32(self.side[indices])
        return _float32(self.source[indices]), _float32(self.target[indices]), side

    def swapped(self) -> Pairs:
        """The same items the other way round: target → source. Side-information belongs to the source and is left."""
        return Pairs(self.target, self.source, self.labels)

    def without_side(self) -> Pairs:
        """The same pairs, side-information left out."""
        return Pairs(self.source, self.target, self.labels)

    def take(self, indices: np.ndarray) -> Pairs:
        """Some of the pairs, read into memory. ``indices (B,)`` int64."""
        side = None if self.side is None else self.side[indices]
        labels = None if self.labels is None else self.labels[indices]
        return Pairs(self.source[indices], self.target[indices], labels, side)

    def _same_length(self, name: str, length: int) -> None:
        if length != len(self.source):
            raise CompatError(
                name,
                value=f"{length} rows",
                rule=f"must be as many as there are source vectors ({len(self.source)}): one per item",
                fix="bring both files into the same order, matched by id",
            )


def check_finite(name: str, values: np.ndarray, first_row: int = 0) -> None:
    """Raise CompatError, naming the first bad row, unless every value is finite in float32.

    Args:
        name: what the vectors are, for the message.
        values: ``(B, D)``.
        first_row: number of the first of these rows in the whole file.
    """
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinite, which is what is looked for
        finite = np.isfinite(values.astype(np.float32, copy=False)).all(axis=1)
    if not finite.all():
        raise CompatError(
            name,
            rule=f"NaN or infinite values in row {first_row + int(np.flatnonzero(~finite)[0])}; "
            "every value must be finite in float32",
            fix="drop those items or look at the model that produced them",
        )


def _matrix(name: str, values: Any) -> np.ndarray:
    array = _array(name, values)
    if array.dtype.kind not in "fiu":
        raise CompatError(name, rule=f"dtype is {array.dtype}; must hold real numbers", fix="save float32")
    if array.ndim != 2:
        raise CompatError(name, rule=f"shape is {array.shape}; must have two dimensions: (items, dimension)")
    if 0 in array.shape:
        raise CompatError(name, rule=f"shape is {array.shape}; must hold at least one item and one dimension")
    return array


def _labels(values: Any) -> np.ndarray:
    array = _array("labels", values)
    if array.ndim != 1 or array.dtype.kind not in "biuUS":
        rule = f"shape is {array.shape}, dtype {array.dtype}; must be one whole number or text per item"
        raise CompatError("labels", rule=rule)
    return array


def _array(name: str, values: Any) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    try:
        return values if isinstance(values, np.ndarray) else np.asarray(values)
    except (ValueError, TypeError) as error:
        raise CompatError(name, rule=f"a {type(values).__name__} that cannot be read as an array ({error})") from error


def _float32(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
