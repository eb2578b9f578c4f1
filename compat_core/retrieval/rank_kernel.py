"""The ranks of relevant items in rows of scores, compiled.

Few relevant items are each compared with the whole row, which a processor does for many scores at once; from
``BUCKETS_FROM`` of them on, one pass into buckets and a look into the crowded ones costs less. The same counting as in
:mod:`compat_core.retrieval.ranking`, which is the oracle of both.
"""

from __future__ import annotations

import numpy as np

from compat_core.retrieval.compiled import over_rows

WORTH_COMPILING = 3e7  # scores below which the torch path is done before the kernel is loaded
BUCKETS_FROM = 36  # relevant items of a row
FEWEST_BUCKETS, MOST_BUCKETS = 1024, 32768  # a table of four counters each stays in cache; numbers fit into 16 bits
SORT_FROM = 64  # comparisons per gallery item from which sorting the row is faster
NO_RANK = np.iinfo(np.int64).max
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
    ranks = np.full(columns.shape, NO_RANK)
    most = int(own.sum(axis=1).max(initial=0))
    if most < BUCKETS_FROM:
        over_rows(_by_comparing, len(scores), lambda part: (scores[part], columns[part], own[part], ranks[part]))
    else:
        buckets = bucket_count(most)
        over_rows(_by_buckets, len(scores), lambda part: (scores[part], columns[part], own[part], ranks[part], buckets))
    ranks.sort(axis=1)
    ranks[ranks == NO_RANK] = 0
    return ranks


def bucket_count(num_relevant: int) -> int:
    """Buckets for a row with so many relevant items: enough that few other items share one with a relevant item."""
    return int(min(MOST_BUCKETS, max(FEWEST_BUCKETS, 2 ** (4 * num_relevant).bit_length())))


def _by_comparing(  # a plain function until numba compiles it: loops are what it is good at
    scores: np.ndarray, columns: np.ndarray, own: np.ndarray, ranks: np.ndarray
) -> None:
    num_rows, width = scores.shape
    lowest = np.float32(-np.inf)
    items = np.empty(columns.shape[1] + 3, np.int64)
    bar = np.empty(4, np.float32)
    count = np.empty(4, np.int64)
    for b in range(num_rows):
        row = scores[b]
        chosen = 0
        for p in range(columns.shape[1]):
            if own[b, p] and row[columns[b, p]] > lowest:
                items[chosen] = columns[b, p]
                chosen += 1
        items[:chosen].sort()
        items[chosen : chosen + 3] = width - 1  # up to a whole group of four; their counts are not looked at
        for first in range(0, chosen, 4):
            # An equal score counts in front of the item alone: there the bar lies one rounding lower.
            for k in range(4):
                bar[k] = np.nextafter(row[items[first + k]], lowest)
            count[:] = 0
            begin = 0
            for k in range(5):
                end = items[first + k] if k < 4 else width
                part = row[begin:end]
                bar0, bar1, bar2, bar3 = bar[0], bar[1], bar[2], bar[3]
                above0, above1, above2, above3 = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
                for i in range(len(part)):  # sums of 32 bits: as wide as the scores, so that both fill a register
                    score = part[i]
                    above0 = np.int32(above0 + (score > bar0))
                    above1 = np.int32(above1 + (score > bar1))
                    above2 = np.int32(above2 + (score > bar2))
                    above3 = np.int32(above3 + (score > bar3))
                count[0] += above0
                count[1] += above1
                count[2] += above2
                count[3] += above3
                begin = end
                if k < 4:
                    bar[k] = row[items[first + k]]
            for k in range(min(4, chosen - first)):
                ranks[b, first + k] = 1 + count[k]


def _by_buckets(  # a plain function until numba compiles it
    scores: np.ndarray, columns: np.ndarray, own: np.ndarray, ranks: np.ndarray, buckets: int
) -> None:
    num_rows, width = scores.shape
    size = buckets + 2  # 0: below every relevant item; buckets + 1: rounding and above
    top = np.float32(buckets + 1)
    slot = np.empty(width, np.uint16)
    near = np.empty(width, np.int32)
    members = np.empty(width, np.int32)
    items = np.empty(columns.shape[1], np.int64)
    slots = np.empty(columns.shape[1], np.uint16)
    wanted = np.zeros(size, np.uint8)
    # Four tables in turn: most items share the lowest bucket, and each addition would wait for the one before.
    table = np.zeros((4, size), np.int32)
    total = np.empty(size, np.int32)
    above = np.empty(size, np.int32)
    place = np.empty(size, np.int32)
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
            slot[i] = np.uint16(np.int32(min(max(place_of, np.float32(0)), top)))
        for p in range(chosen):
            slots[p] = slot[items[p]]
            wanted[slots[p]] = 1
        found = 0
        for i in range(width):
            s = slot[i]
            table[i & 3, s] += 1
            near[found] = i  # without a branch: what is not wanted is overwritten
            found += wanted[s]
        for s in range(size):
            total[s] = table[0, s] + table[1, s] + table[2, s] + table[3, s]
            table[0, s] = table[1, s] = table[2, s] = table[3, s] = 0
        higher = 0
        for s in range(size - 1, -1, -1):
            above[s] = higher
            higher += total[s]
        comparisons, filled = 0, 0
        for p in range(chosen):
            s = slots[p]
            comparisons += total[s]
            if wanted[s]:
                wanted[s] = 0
                place[s] = filled
                filled += total[s]
        if comparisons > SORT_FROM * width:
            order = np.argsort(-row, kind="mergesort")
            position = np.empty(width, np.int32)
            for i in range(width):
                position[order[i]] = i + 1
            for p in range(chosen):
                ranks[b, p] = position[items[p]]
            continue
        for q in range(found):  # the items of crowded buckets, bucket by bucket
            s = slot[near[q]]
            members[place[s]] = near[q]
            place[s] += 1
        for p in range(chosen):
            item, s = items[p], slots[p]
            score, rank = row[item], above[s] + 1
            for q in range(place[s] - total[s], place[s]):
                other = row[members[q]]
                rank += np.int32((other > score) | ((other == score) & (members[q] < item)))
            ranks[b, p] = rank
