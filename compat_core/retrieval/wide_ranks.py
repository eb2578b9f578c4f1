"""Ranks in a gallery so wide that the scores of a few queries fill the memory of a block.

Two walks over the gallery instead of one for every few queries, in chunks that lanes share out: the first finds the
scores of the relevant items, the second how many of them each item beats. A rank is one more than the items that beat
the relevant item. Both walks compute the same products, so ties stay ties.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch

from compat_core.retrieval.compiled import compiled
from compat_core.retrieval.lanes import in_lanes
from compat_core.retrieval.rank_kernel import LARGEST_SCALE, bucket_count
from compat_core.retrieval.scores import full_precision, padded_queries
from compat_core.retrieval.streamed import StreamedSource

Result = TypeVar("Result")

MOST_QUERIES = 2048  # of one walk: their scores of a chunk are 32 MB
GROUP_BYTES = 256 * 2**20  # of what is kept for the queries of one walk


class Group:
    """Queries that walk together.

    Args:
        rows: ``(B,)`` of the query set.
        columns: ``(B, P)`` int64 relevant items.
        own: ``(B, P)`` bool, False for padding.
        excluded: pairs (position in ``rows``, gallery item) that are not to be found.
    """

    def __init__(
        self, rows: np.ndarray, columns: np.ndarray, own: np.ndarray, excluded: tuple[np.ndarray, np.ndarray]
    ) -> None:
        self.rows, self.columns, self.own = rows, columns, own
        by_item = np.argsort(excluded[1], kind="stable")
        self.excluded_row, self.excluded_item = excluded[0][by_item], excluded[1][by_item]

    def exclude(self, scores: np.ndarray, begin: int) -> None:
        """Give what must not be found −inf in a chunk's scores ``(B, C)``, which begin at a gallery item."""
        first, last = np.searchsorted(self.excluded_item, [begin, begin + scores.shape[1]])
        scores[self.excluded_row[first:last], self.excluded_item[first:last] - begin] = -np.inf


def group_size(num_relevant: int, lanes: int) -> int:
    """Queries that walk together when each has up to so many relevant items."""
    each = num_relevant * (32 + 8 * lanes) + 4 * bucket_count(num_relevant)
    return max(1, min(MOST_QUERIES, GROUP_BYTES // each))


def ranks_of(source: StreamedSource, group: Group) -> np.ndarray:
    """The 1-based ranks of each query's relevant items, ascending; zeros behind those that there are.

    Returns:
        ``(B, P)`` int64.
    """
    # Thresholds ascending; among equal scores the later item first, which an earlier one beats.
    scores = _relevant_scores(source, group)[:, ::-1]
    order = np.argsort(scores, axis=1, kind="stable")
    value = np.take_along_axis(scores, order, axis=1)
    owner = np.take_along_axis(group.columns[:, ::-1], order, axis=1)
    absent = (value == -np.inf).sum(axis=1)  # padding and excluded items come first
    num_queries, most = value.shape
    start = np.empty((num_queries, bucket_count(most) + 3), np.int32)
    low, scale = np.empty(num_queries, np.float32), np.empty(num_queries, np.float32)
    compiled(_spread)(value, absent, start, low, scale)
    tables: list[np.ndarray] = []

    def table() -> np.ndarray:
        tables.append(np.zeros((num_queries, 2, most + 1), np.int32))
        return tables[-1]

    def count(begin: int, chunk: np.ndarray, beaten: np.ndarray) -> None:
        group.exclude(chunk, begin)
        compiled(_count_beaten)(chunk, begin, value, owner, start, low, scale, beaten)

    _walk(source, group.rows, count, table)
    beaten = np.sum([one.sum(axis=1, dtype=np.int64) for one in tables], axis=0)  # (B, P + 1)
    ranks = 1 + beaten[:, :0:-1].cumsum(axis=1)
    ranks[np.arange(most) >= (most - absent)[:, None]] = 0
    return ranks


def _relevant_scores(source: StreamedSource, group: Group) -> np.ndarray:
    """Scores ``(B, P)`` float32 of the relevant items, −inf for padding and for what must not be found."""
    found = np.full(group.columns.shape, -np.inf, np.float32)
    row, place = np.nonzero(group.own)
    item = group.columns[row, place]
    by_item = np.argsort(item, kind="stable")
    row, place, item = row[by_item], place[by_item], item[by_item]

    def pick(begin: int, chunk: np.ndarray, _: None) -> None:
        group.exclude(chunk, begin)
        first, last = np.searchsorted(item, [begin, begin + chunk.shape[1]])
        found[row[first:last], place[first:last]] = chunk[row[first:last], item[first:last] - begin]

    _walk(source, group.rows, pick, lambda: None)
    return found


def _walk(
    source: StreamedSource,
    rows: np.ndarray,
    work: Callable[[int, np.ndarray, Result], None],
    belongings: Callable[[], Result],
) -> None:
    """Call ``work`` with every chunk: where it begins, its scores ``(B, C)``, and what belongs to the lane."""
    query = padded_queries(source.query, torch.from_numpy(rows))

    def scored(begin: int, own: tuple[torch.Tensor, Result]) -> None:
        room, belonging = own
        with full_precision(query.device):
            scores = source.chunk_scores(query, begin, room)
        work(begin, scores[: len(rows)].numpy(), belonging)

    def room() -> tuple[torch.Tensor, Result]:
        return query.new_empty(len(query), source.chunk_width), belongings()

    for done, _ in enumerate(in_lanes(scored, source.chunk_starts, room)):
        source.let_go_after(done)


def _spread(  # a plain function until numba compiles it
    value: np.ndarray, absent: np.ndarray, start: np.ndarray, low: np.ndarray, scale: np.ndarray
) -> None:
    """``start[b, s]``: the first threshold that an item in bucket ``s`` may not beat."""
    buckets = start.shape[1] - 3
    for b in range(value.shape[0]):
        first, count = absent[b], value.shape[1]
        start[b] = 0
        low[b], scale[b] = np.float32(0), np.float32(0)
        if first == count:
            continue
        low[b], span = value[b, first], value[b, count - 1] - value[b, first]
        scale[b] = np.float32(LARGEST_SCALE)
        if span > 0:
            scale[b] = min(scale[b], np.float32(buckets - 1) / span)
        for m in range(first, count):
            place = (value[b, m] - low[b]) * scale[b] + np.float32(1)
            start[b, np.int32(min(max(place, np.float32(0)), np.float32(buckets + 1))) + 1] += 1
        start[b, 0] = first
        for s in range(1, buckets + 3):
            start[b, s] += start[b, s - 1]


def _count_beaten(
    scores: np.ndarray, begin: int, value: np.ndarray, owner: np.ndarray, start: np.ndarray, low: np.ndarray,
    scale: np.ndarray, beaten: np.ndarray,
) -> None:  # fmt: skip
    """Add every item to the number of thresholds it beats."""
    num_rows, width = scores.shape
    count, top = value.shape[1], np.float32(start.shape[1] - 2)
    slot = np.empty(width, np.uint16)
    for b in range(num_rows):
        row, bars, owners, starts, table = scores[b], value[b], owner[b], start[b], beaten[b]
        bottom, factor = low[b], scale[b]
        # A bucket number never falls while the score grows, whatever is rounded: lower buckets are beaten.
        for i in range(width):
            place = (row[i] - bottom) * factor + np.float32(1)
            slot[i] = np.uint16(np.int32(min(max(place, np.float32(0)), top)))
        for i in range(width):
            m, score = np.uint32(starts[slot[i]]), row[i]
            while m < count and (bars[m] < score or (bars[m] == score and owners[m] > begin + i)):
                m += np.uint32(1)
            table[i & 1, m] += 1  # two in turn: most items beat none, and each addition would wait for the one before
