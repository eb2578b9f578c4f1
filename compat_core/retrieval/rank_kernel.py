"""The ranks of relevant items in rows of scores, compiled: one pass into buckets, and a look into the crowded ones.

The same counting as in :mod:`compat_core.retrieval.ranking`, which is its oracle. numba, which umap-learn brings, is
optional: where it is missing the torch path does the work. Threads are Python's own, which leaves numba's threading
layers, and what they do beside torch's, out of it: the kernel releases the interpreter's lock.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

WORTH_COMPILING = 3e7  # scores below which the torch path is done before the kernel is loaded
FEWEST_BUCKETS, MOST_BUCKETS = 1024, 32768  # a table of four counters each stays in cache; numbers fit into 16 bits
SORT_FROM = 64  # comparisons per gallery item from which sorting the row is faster
LARGEST_SCALE = 1e30  # where all relevant items score the same, anything else falls outside their bucket


def available() -> bool:
    """Whether numba is installed."""
    return importlib.util.find_spec("numba") is not None


def count_ranks(scores: np.ndarray, columns: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The 1-based rank of every chosen item in its row; equal scores rank in column order.

    Args:
        scores: ``(B, G)`` float32 without NaN, −inf for what is not to be found.
        columns: ``(B, P)`` int64.
        own: ``(B, P)`` bool, False for padding.

    Returns:
        ``(B, P)`` int64; 0 where ``own`` is False.
    """
    ranks = np.zeros(columns.shape, dtype=np.int64)
    most = int(own.sum(axis=1).max(initial=0))
    buckets = int(min(MOST_BUCKETS, max(FEWEST_BUCKETS, 2 ** (4 * most).bit_length())))
    kernel, threads = _kernel(), max(1, min(torch.get_num_threads(), len(scores)))
    edges = np.linspace(0, len(scores), threads + 1).astype(int)
    parts = [slice(begin, end) for begin, end in itertools.pairwise(edges)]
    tasks = [(scores[part], columns[part], own[part], ranks[part], buckets) for part in parts]
    if threads == 1:
        kernel(*tasks[0])
    else:
        for done in [_pool(threads).submit(kernel, *task) for task in tasks]:
            done.result()
    return ranks


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="ranks")


@functools.cache
def _kernel() -> Callable[..., None]:
    """The compiled function; kept on disk between processes where that is possible."""
    import numba

    try:
        return numba.njit(nogil=True, cache=True)(_ranks_of_rows)  # type: ignore[no-any-return]
    except RuntimeError:  # nowhere to keep it: compiled once per process
        return numba.njit(nogil=True)(_ranks_of_rows)  # type: ignore[no-any-return]


def _ranks_of_rows(  # a plain function until numba compiles it: loops are what it is good at
    scores: np.ndarray, columns: np.ndarray, own: np.ndarray, ranks: np.ndarray, buckets: int
) -> None:
    num_rows, width = scores.shape
    size = buckets + 2  # 0: below every relevant item; buckets + 1: rounding and above
    slot = np.empty(width, np.uint16)
    near = np.empty(width, np.int32)
    place = np.empty(size, np.int32)
    above = np.empty(size, np.int32)
    for b in range(num_rows):
        row = scores[b]
        low, high = np.float32(np.inf), np.float32(-np.inf)
        for p in range(columns.shape[1]):
            if own[b, p]:
                low, high = min(low, row[columns[b, p]]), max(high, row[columns[b, p]])
        if high < low:
            continue
        span = high - low
        scale = np.float32(LARGEST_SCALE)
        if span > 0:
            scale = min(scale, np.float32(buckets - 1) / span)
        # A bucket number never falls while the score grows, whatever is rounded: other buckets need no comparing.
        for i in range(width):
            place_of = (row[i] - low) * scale + np.float32(1)
            slot[i] = np.uint16(np.int32(min(max(place_of, np.float32(0)), np.float32(buckets + 1))))
        # Four tables in turn: most items share the lowest bucket, and each addition would wait for the one before.
        table = np.zeros((4, size), np.int32)
        whole = width // 4 * 4
        for i in range(0, whole, 4):
            table[0, slot[i]] += 1
            table[1, slot[i + 1]] += 1
            table[2, slot[i + 2]] += 1
            table[3, slot[i + 3]] += 1
        for i in range(whole, width):
            table[0, slot[i]] += 1
        wanted = np.zeros(size, np.uint8)
        for p in range(columns.shape[1]):
            if own[b, p]:
                wanted[slot[columns[b, p]]] = 1
        higher, num_near = 0, 0
        for s in range(size - 1, -1, -1):
            count = table[0, s] + table[1, s] + table[2, s] + table[3, s]
            above[s] = higher
            higher += count
            place[s] = num_near
            if wanted[s]:
                num_near += count
        comparisons = 0
        for p in range(columns.shape[1]):
            if own[b, p]:
                s = slot[columns[b, p]]
                comparisons += table[0, s] + table[1, s] + table[2, s] + table[3, s]
        if comparisons > SORT_FROM * width:
            order = np.argsort(-row, kind="mergesort")
            position = np.empty(width, np.int32)
            for i in range(width):
                position[order[i]] = i + 1
            for p in range(columns.shape[1]):
                if own[b, p]:
                    ranks[b, p] = position[columns[b, p]]
            continue
        found = 0
        for i in range(width):  # without a branch: what is not wanted is overwritten
            near[found] = i
            found += wanted[slot[i]]
        members = np.empty(num_near, np.int32)  # the items of crowded buckets, bucket by bucket
        for q in range(num_near):
            s = slot[near[q]]
            members[place[s]] = near[q]
            place[s] += 1
        for p in range(columns.shape[1]):
            if not own[b, p]:
                continue
            item = columns[b, p]
            s, score, rank = slot[item], row[item], above[slot[item]] + 1
            for q in range(place[s] - (table[0, s] + table[1, s] + table[2, s] + table[3, s]), place[s]):
                other = row[members[q]]
                rank += np.int32((other > score) | ((other == score) & (members[q] < item)))
            ranks[b, p] = rank
