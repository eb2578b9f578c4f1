"""How sure a number is: the paired bootstrap over queries, percentile intervals.

Queries are drawn with replacement, as many as there are; every column of the same draw belongs together, so that the
difference of two models is resampled on the same queries (paired). Reference: Efron, Tibshirani, An Introduction to
the Bootstrap, 1993, Ch. 13 (percentile interval).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from compat_core.errors import CompatError

BLOCK_ENTRIES = 2**21  # drawn at a time: about 50 MB of work space
FEWEST = 10  # queries below which an interval is wrongly sure: of two queries half of the time, of eight a tenth
KEPT_BYTES = 2**28  # of draws that are kept: ten thousand resamples of ten thousand queries are 100 MB
RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its uncertainty.

    Attributes:
        estimate: from the data as they are.
        low, high: percentile interval; NaN where there is none (a ratio whose denominator may be zero).
        level: its nominal coverage, in (0, 1).
        resamples: bootstrap resamples behind it.
    """

    estimate: float
    low: float
    high: float
    level: float
    resamples: int

    def row(self) -> dict[str, float | None]:
        """``value``, ``ci_low``, ``ci_high`` for tables and JSON; None for NaN."""
        return {"value": self.estimate, "ci_low": _or_none(self.low), "ci_high": _or_none(self.high)}


def bootstrap_means(values: np.ndarray, resamples: int = RESAMPLES, seed: int = 0) -> np.ndarray:
    """Means of every column in every resample; all columns share the resampled queries. The primitive of this module.

    Args:
        values: (Nq, M) float, no NaN: one row per query, one column per number to resample.
        resamples: how many, >= 1.
        seed: of the draws; the same seed and Nq always give the same draws.

    Returns:
        (resamples, M) float64; NaN for fewer than FEWEST queries, which say too little of their own spread: intervals
        from them have no bounds, and a verdict is undecided.

    Raises:
        CompatError: for a wrong shape, NaN, no rows, or fewer than one resample.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 2 or not len(values):
        raise CompatError("values", rule=f"shape is {values.shape}; must be (queries, columns) with at least one query")
    if not np.isfinite(values).all():
        raise CompatError("values", rule="NaN or infinite values; skipped queries must be left out first")
    if resamples < 1:
        raise CompatError("resamples", value=resamples, rule="must be >= 1")
    num_queries = len(values)
    if num_queries < FEWEST:
        return np.full((resamples, values.shape[1]), np.nan)
    draws = _KEPT.draws(num_queries, resamples, seed)
    # (rows, Nq) @ (Nq, M) -> (rows, M)
    return np.concatenate([counts.astype(np.float64) @ values / num_queries for counts in draws])


def _draws(num_queries: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each query is in each resample, (rows, Nq) whole numbers, a block of resamples at a time."""
    generator = np.random.default_rng(seed)
    step = max(1, BLOCK_ENTRIES // num_queries)
    for begin in range(0, resamples, step):
        rows = min(step, resamples - begin)
        drawn = generator.integers(0, num_queries, size=(rows, num_queries), dtype=np.int32)
        drawn += (np.arange(rows, dtype=np.int32) * num_queries)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * num_queries).reshape(rows, num_queries)


class _KeptDraws:
    """Draws that were asked for last, for the next numbers of as many queries: drawing takes most of the time.

    A run asks in turn for those of all queries, of each subgroup, of the backfill's queries and their subgroups.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[int, int, int], list[np.ndarray]] = OrderedDict()
        self._lock = threading.Lock()

    def draws(self, num_queries: int, resamples: int, seed: int) -> Iterable[np.ndarray]:
        """As :func:`_draws`, kept where they take no more than half of the room."""
        if num_queries * resamples > KEPT_BYTES // 2:
            return _draws(num_queries, resamples, seed)
        key = (num_queries, resamples, seed)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        found = [_narrow(counts) for counts in _draws(num_queries, resamples, seed)]
        with self._lock:
            self._kept[key] = found
            while sum(part.nbytes for blocks in self._kept.values() for part in blocks) > KEPT_BYTES:
                self._kept.popitem(last=False)
        return found


def _narrow(counts: np.ndarray) -> np.ndarray:
    return counts.astype(np.uint8 if counts.max() < 2**8 else np.int64)


_KEPT = _KeptDraws()


def bootstrap_mean(values: np.ndarray, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL) -> Interval:
    """The mean over queries with its interval.

    Args:
        values: (Nq,) per query; NaN where a query was skipped.
        resamples, seed: see :func:`bootstrap_means`.
        level: coverage, in (0, 1).

    Raises:
        CompatError: when every query was skipped, or an argument is out of range.
    """
    (column,) = paired("values", values)
    return interval(float(column.mean()), bootstrap_means(column[:, None], resamples, seed)[:, 0], level)


def bootstrap_difference(
    a: np.ndarray, b: np.ndarray, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> Interval:
    """mean(a) − mean(b) over the same queries, with its paired interval.

    Args:
        a, b: (Nq,) per query; NaN where a query was skipped, the same ones in both.
        resamples, seed, level: see :func:`bootstrap_mean`.

    Raises:
        CompatError: when the two are not about the same queries.
    """
    first, second = paired("a and b", a, b)
    return bootstrap_mean(first - second, resamples, seed, level)


def bootstrap_ratio(
    numerator: np.ndarray, denominator: np.ndarray, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> Interval | None:
    """mean(numerator) / mean(denominator) over the same queries, for a denominator that is a gain.

    Args:
        numerator, denominator: (Nq,) per query; NaN where a query was skipped, the same ones in both.
        resamples, seed, level: see :func:`bootstrap_mean`.

    Returns:
        None when mean(denominator) <= 0: there is no gain to take a share of. ``low`` and ``high`` are NaN when the
        denominator's own interval reaches zero: the ratio could then be anything.

    Raises:
        CompatError: when the two are not about the same queries.
    """
    columns = np.stack(paired("numerator and denominator", numerator, denominator), axis=1)
    top, bottom = columns.mean(axis=0)
    means = bootstrap_means(columns, resamples, seed)
    return ratio_interval(float(top), means[:, 0], float(bottom), means[:, 1], level)


def ratio_interval(
    top: float, top_resampled: np.ndarray, bottom: float, bottom_resampled: np.ndarray, level: float = LEVEL
) -> Interval | None:
    """``top / bottom`` with its interval, both resampled together, for a bottom that is a gain.

    Args:
        top, bottom: from the data as they are.
        top_resampled, bottom_resampled: (resamples,) of the same draws.
        level: coverage, in (0, 1).

    Returns:
        as :func:`bootstrap_ratio`.
    """
    if bottom <= 0:
        return None
    if not interval(bottom, bottom_resampled, level).low > 0:  # NaN where a resample had nothing to count
        return Interval(top / bottom, float("nan"), float("nan"), level, len(bottom_resampled))
    # The rare resamples below zero, all in the tail that the check above leaves out, count as an unbounded ratio.
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(bottom_resampled > 0, top_resampled / bottom_resampled, np.copysign(np.inf, top_resampled))
        return interval(top / bottom, ratio, level)  # a bound that is not finite is none


def interval(estimate: float, resampled: np.ndarray, level: float = LEVEL) -> Interval:
    """Percentile interval of resampled values (resamples,). Raises CompatError for a level outside (0, 1)."""
    if not 0 < level < 1:
        raise CompatError("level", value=level, rule="must lie strictly between 0 and 1", fix="for example 0.95")
    tail = (1 - level) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high), level, len(resampled))


def paired(name: str, *columns: np.ndarray) -> tuple[np.ndarray, ...]:
    """The columns without skipped queries (NaN), which must be the same in all.

    Raises:
        CompatError: for columns of different length, skipped queries that differ, or no query left.
    """
    arrays = [np.asarray(column, dtype=np.float64) for column in columns]
    if any(array.ndim != 1 or len(array) != len(arrays[0]) for array in arrays):
        raise CompatError(name, value=[array.shape for array in arrays], rule="must be one number per query, the same")
    kept = ~np.isnan(arrays[0])
    if any((np.isnan(array) == kept).any() for array in arrays):
        raise CompatError(name, rule="different skipped queries; paired numbers need the same queries in both")
    if not kept.any():
        raise CompatError(name, rule=f"{len(kept)} queries, all skipped; at least one must be valid")
    return tuple(array[kept] for array in arrays)


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
