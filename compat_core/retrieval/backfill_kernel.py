"""Average precision and first hit along a backfill, by updating counts: each row of the gallery changes hands once.

For one query every relevant item has two scores, before and after its own backfill. Sorted together they are 2P
thresholds; how many of them an item beats, before and after, is found once for all orderings. A step of an ordering
moves its items from one number of beaten thresholds to the other, and the rank of a relevant item is one more than
the items that beat the threshold it stands at.
"""

from __future__ import annotations

import numpy as np

from compat_core.retrieval.compiled import over_rows
from compat_core.retrieval.rank_kernel import LARGEST_SCALE

BUCKETS = 2048


def backfill_counts(
    before: np.ndarray, after: np.ndarray, columns: np.ndarray, own: np.ndarray, steps: np.ndarray, num_steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Follow a block of queries along several backfills of the same gallery.

    Args:
        before, after: ``(B, G)`` float32 scores of every item before and after its backfill, −inf on both sides for
            what a query must not find.
        columns: ``(B, P)`` int64 relevant items, ascending in each row.
        own: ``(B, P)`` bool, False for padding.
        steps: ``(R, G)`` without a sign, for every ordering the step from which on an item is backfilled, in [1, T).
        num_steps: T; at step 0 nothing is backfilled.

    Returns:
        average precision ``(R, T, B)`` float64 and rank of the first relevant item ``(R, T, B)`` int64.
    """
    shape = (len(steps), num_steps, len(before))
    precision, first = np.zeros(shape), np.zeros(shape, dtype=np.int64)
    over_rows(
        _follow, len(before),
        lambda part: (
            before[part], after[part], columns[part], own[part], steps, precision[:, :, part], first[:, :, part]
        ),
    )  # fmt: skip
    return precision, first


def _follow(  # a plain function until numba compiles it
    before: np.ndarray, after: np.ndarray, columns: np.ndarray, own: np.ndarray, steps: np.ndarray,
    precision: np.ndarray, first: np.ndarray,
) -> None:  # fmt: skip
    num_rows, width = before.shape
    num_orders, num_steps = precision.shape[0], precision.shape[1]
    most = 2 * columns.shape[1]
    values = np.empty(most, np.float32)
    items = np.empty(most, np.int64)
    is_after = np.empty(most, np.bool_)
    start = np.empty(BUCKETS + 3, np.int32)
    slot = np.empty(width, np.uint16)
    turn = np.empty(most, steps.dtype)
    origin = np.empty(width, np.uint32)
    target = np.empty(width, np.uint32)
    # Numbers without a sign: a signed index is looked at for counting from the end.
    beaten = np.empty((2, width), np.uint32)
    changed = np.empty(width, np.uint32)
    for b in range(num_rows):
        # The thresholds: by score, and among equal scores the later item first, which an earlier one beats.
        count = 0
        for p in range(columns.shape[1] - 1, -1, -1):
            item = columns[b, p]
            if own[b, p] and before[b, item] > -np.inf:
                values[count], items[count], is_after[count] = before[b, item], item, False
                values[count + 1], items[count + 1], is_after[count + 1] = after[b, item], item, True
                count += 2
        if not count:
            continue
        order = np.argsort(values[:count], kind="mergesort")
        value, owner, late = values[:count][order], items[:count][order], is_after[:count][order]
        low, span = value[0], value[count - 1] - value[0]
        scale = np.float32(LARGEST_SCALE)
        if span > 0:
            scale = min(scale, np.float32(BUCKETS - 1) / span)
        # start[s]: thresholds in lower buckets than s. A bucket number never falls while the score grows.
        start[:] = 0
        for m in range(count):
            s = np.int32(min(max((value[m] - low) * scale + np.float32(1), np.float32(0)), np.float32(BUCKETS + 1)))
            start[s + 1] += 1
        for bucket in range(1, BUCKETS + 3):
            start[bucket] += start[bucket - 1]
        for side in range(2):
            row = before[b] if side == 0 else after[b]
            for i in range(width):
                place = (row[i] - low) * scale + np.float32(1)
                slot[i] = np.uint16(np.int32(min(max(place, np.float32(0)), np.float32(BUCKETS + 1))))
            for i in range(width):
                m, score = start[slot[i]], row[i]
                while m < count and (value[m] < score or (value[m] == score and owner[m] > i)):
                    m += 1
                beaten[side, i] = m
        # Items that beat exactly so many thresholds, nothing backfilled; in four tables, because most beat none, and
        # each addition would wait for the one before.
        above = np.zeros((4, count + 1), np.int32)
        num_changed = 0
        for i in range(width):
            above[i & 3, beaten[0, i]] += 1
            changed[num_changed] = i  # without a branch: what has not changed is overwritten
            num_changed += beaten[0, i] != beaten[1, i]
        base = np.empty(count, np.int32)  # items above each threshold
        higher = 0
        for m in range(count - 1, -1, -1):
            higher += above[0, m + 1] + above[1, m + 1] + above[2, m + 1] + above[3, m + 1]
            base[m] = higher
        for q in range(num_changed):
            origin[q], target[q] = beaten[0, changed[q]], beaten[1, changed[q]]
        for r in range(num_orders):
            step_of = steps[r]
            moved = np.zeros((num_steps, count + 1), np.int32)
            for q in range(num_changed):
                t = step_of[changed[q]]
                moved[t, target[q]] += 1
                moved[t, origin[q]] -= 1
            for m in range(count):
                turn[m] = step_of[owner[m]]
            standing = base.copy()
            for t in range(num_steps):
                higher, hits, total = 0, 0, 0.0
                for m in range(
                    count - 1, -1, -1
                ):  # without a branch: which of an item's two thresholds counts is chance
                    higher += moved[t, m + 1]
                    standing[m] += higher
                    counts = late[m] == (turn[m] <= t)
                    hits += counts
                    total += counts * (hits / (standing[m] + 1))
                precision[r, t, b] = total / hits
                m = count - 1
                while late[m] != (turn[m] <= t):
                    m -= 1
                first[r, t, b] = standing[m] + 1
