"""Counting the scores of many pairs, compiled: into coarse bins, and among sorted values.

The same counting as the torch functions of :mod:`compat_core.metrics.pair_counts`, which are its oracle.
"""

from __future__ import annotations

import numpy as np

from compat_core.retrieval.compiled import over_rows

BINS = 2**16
BUCKETS = 2**17  # of the table that says where to look among the values: half a megabyte, it stays in cache


def count_bins(scores: np.ndarray) -> np.ndarray:
    """How many scores fall into each coarse bin, the upper half of a float32's bits in the order of its values.

    Args:
        scores: ``(B, G)`` float32, contiguous, without NaN.

    Returns:
        ``(BINS,)`` int64.
    """
    tables: list[np.ndarray] = []

    def arguments(part: slice) -> tuple[np.ndarray, ...]:
        tables.append(np.zeros((2, BINS), dtype=np.int64))
        return bits[part], tables[-1]

    bits = scores.view(np.int32)
    over_rows(_bins_of_rows, len(bits), arguments)
    return np.sum(tables, axis=(0, 1))


def place_among(scores: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Count scores below, at and between sorted values, and look into some coarse bins.

    Args:
        scores: ``(B, G)`` float32, contiguous, without NaN.
        values: ``(m,)`` float32, finite, ascending and distinct.
        wanted: ``(W,)`` int64, coarse bins, distinct.

    Returns:
        ``(2m + 1,)`` int64, scores below the first value, at it, between it and the second, at that, …; and
        ``(W, BINS)`` int64, for each wanted bin its scores by the lower half of their bits.
    """
    number = np.zeros(BINS, dtype=np.uint8)
    number[wanted] = np.arange(1, len(wanted) + 1)
    low, span = values[0], float(values[-1]) - float(values[0])
    scale = np.float32(min(1e30, (BUCKETS - 1) / span)) if span > 0 else np.float32(1e30)
    start = np.zeros(BUCKETS + 3, dtype=np.int32)  # values in lower buckets
    over_rows(_bucket_values, 1, lambda part: (values, low, scale, start))
    tables: list[tuple[np.ndarray, np.ndarray]] = []

    def arguments(part: slice) -> tuple[object, ...]:
        tables.append((np.zeros(2 * len(values) + 1, np.int64), np.zeros((len(wanted), BINS), np.int64)))
        return scores[part], bits[part], values, low, scale, start, number, *tables[-1]

    bits = scores.view(np.int32)
    over_rows(_place_rows, len(scores), arguments)
    return np.sum([slots for slots, _ in tables], axis=0), np.sum([fine for _, fine in tables], axis=0)


def _bins_of_rows(bits: np.ndarray, table: np.ndarray) -> None:  # a plain function until numba compiles it
    for b in range(bits.shape[0]):
        row = bits[b]
        for i in range(row.shape[0]):
            word = row[i]
            # Two tables in turn: neighbours often share a bin, and an addition would wait for the one before.
            table[i & 1, ((word ^ ((word >> 31) & 0x7FFFFFFF)) >> 16) + 32768] += 1


def _bucket_values(values: np.ndarray, low: np.float32, scale: np.float32, start: np.ndarray) -> None:
    buckets = len(start) - 3
    for m in range(len(values)):
        place = (values[m] - low) * scale + np.float32(1)
        start[np.int32(min(max(place, np.float32(0)), np.float32(buckets + 1))) + 1] += 1
    for bucket in range(1, len(start)):
        start[bucket] += start[bucket - 1]


def _place_rows(
    scores: np.ndarray, bits: np.ndarray, values: np.ndarray, low: np.float32, scale: np.float32, start: np.ndarray,
    number: np.ndarray, slots: np.ndarray, fine: np.ndarray,
) -> None:  # fmt: skip
    buckets, count = len(start) - 3, len(values)
    for b in range(scores.shape[0]):
        row, words = scores[b], bits[b]
        for i in range(row.shape[0]):
            score = row[i]
            # A bucket number never falls while the score grows: values in lower buckets lie below this score.
            place = (score - low) * scale + np.float32(1)
            m = start[np.int32(min(max(place, np.float32(0)), np.float32(buckets + 1)))]
            while m < count and values[m] < score:
                m += 1
            slots[2 * m + np.int32(m < count and values[m] == score)] += 1
            word = words[i]
            ordered = word ^ ((word >> 31) & 0x7FFFFFFF)
            asked = number[(ordered >> 16) + 32768]
            if asked:
                fine[asked - 1, ordered & 0xFFFF] += 1
