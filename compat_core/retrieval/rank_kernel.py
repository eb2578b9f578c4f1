"""The ranks of relevant items in rows of scores, compiled: one pass into buckets, and a look into the crowded ones.

The same counting as in :mod:`compat_core.retrieval.ranking`, which is its oracle.
"""

from __future__ import annotations

import numpy as np

from compat_core.retrieval.compiled import over_rows

WORTH_COMPILING = 3e7  # scores below which the torch path is done before the kernel is loaded
FEWEST_BUCKETS, MOST_BUCKETS = 1024, 32768  # a table of four counters each stays in cache; numbers fit into 16 bits
SORT_FROM = 64  # comparisons per gallery item from which sorting the row is faster
LARGEST_SCALE = 1e30  # where all relevant items score the same, anything else falls outside their bucket


def sorted_ranks(scores: np.ndarray, columns: np.ndarray, own: np.ndarray) -> np.ndarray:
    """The 1-based ranks of the chosen items of every row, ascending; equal scores rank in column order.

    Args:
        scores: ``(B, G)`` float32 without NaN, −inf for what is not to be found.
        columns: ``(B, P)`` int64.
        own: ``(B, P)`` bool, False for padding.

    Returns:
        ``(B, P)`` int64; zeros behind the ranks of the items that are own and may be found.
    """
    ranks = np.zeros(columns.shape, dtype=np.int64)
    most = int(own.sum(axis=1).max(initial=0))
    buckets = int(min(MOST_BUCKETS, max(FEWEST_BUCKETS, 2 ** (4 * most).bit_length())))
    over_rows(_ranks_of_rows, len(scores), lambda part: (scores[part], columns[part], own[part], ranks[part], buckets))
    return ranks


def _ranks_of_rows(  # a plain function until numba compiles it: loops are what it is good at
    scores: np.ndarray, columns: np.ndarray, own: np.ndarray, ranks: np.ndarray, buckets: int
) -> None:
    num_rows, width = scores.shape
    size = buckets + 2  # 0: below every relevant item; buckets + 1: rounding and above
    slot = np.empty(width, np.uint16)
    near = np.empty(width, np.int32)
    items = np.empty(columns.shape[1], np.int64)
    place = np.empty(size, np.int32)
    above = np.empty(size, np.int32)
    for b in range(num_rows):
        row = scores[b]
        low, high = np.float32(np.inf), np.float32(-np.inf)
        chosen = 0
        for p in range(columns.shape[1]):
            score = row[columns[b, p]]
            if own[b, p] and score > -np.inf:
                low, high = min(low, score), max(high, score)
                items[chosen] = columns[b, p]
                chosen += 1
        if not chosen:
            continue
        span = high - low
        scale = np.float32(LARGEST_SCALE)
        if span > 0:
            scale = min(scale, np.float32(buckets - 1) / span)
        # A bucket number never falls while the score grows, whatever is rounded: other buckets need no comparing.
        for i in range(width):
            place_of = (row[i] - low) * scale + np.float32(1)
            slot[i] = np.uint16(np.int32(min(max(place_of, np.float32(0)), np.float32(buckets + 1))))
        wanted = np.zeros(size, np.uint8)
        for p in range(chosen):
            wanted[slot[items[p]]] = 1
        # Four tables in turn: most items share the lowest bucket, and each addition would wait for the one before.
        table = np.zeros((4, size), np.int32)
        found = 0
        for i in range(width):
            s = slot[i]
            table[i & 3, s] += 1
            near[found] = i  # without a branch: what is not wanted is overwritten
            found += wanted[s]
        higher, num_near = 0, 0
        for s in range(size - 1, -1, -1):
            count = table[0, s] + table[1, s] + table[2, s] + table[3, s]
            above[s] = higher
            higher += count
            place[s] = num_near
            if wanted[s]:
                num_near += count
        comparisons = 0
        for p in range(chosen):
            s = slot[items[p]]
            comparisons += table[0, s] + table[1, s] + table[2, s] + table[3, s]
        if comparisons > SORT_FROM * width:
            order = np.argsort(-row, kind="mergesort")
            position = np.empty(width, np.int32)
            for i in range(width):
                position[order[i]] = i + 1
            for p in range(chosen):
                ranks[b, p] = position[items[p]]
            ranks[b, :chosen].sort()
            continue
        members = np.empty(num_near, np.int32)  # the items of crowded buckets, bucket by bucket
        for q in range(num_near):
            s = slot[near[q]]
            members[place[s]] = near[q]
            place[s] += 1
        for p in range(chosen):
            item = items[p]
            s, score, rank = slot[item], row[item], above[slot[item]] + 1
            for q in range(place[s] - (table[0, s] + table[1, s] + table[2, s] + table[3, s]), place[s]):
                other = row[members[q]]
                rank += np.int32((other > score) | ((other == score) & (members[q] < item)))
            ranks[b, p] = rank
        ranks[b, :chosen].sort()
