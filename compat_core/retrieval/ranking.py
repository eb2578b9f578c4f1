"""The rank of every relevant item in the full ranking of the gallery, without sorting the gallery.

Average precision and every other metric here depend only on where the *relevant* items land, so their ranks are
counted: per block of queries, the scores are dropped into a few thousand buckets spread over the range of the relevant
items' scores; whole buckets are counted, and only the buckets that hold a relevant item are looked at one by one. That
costs O(Ng) per query however many items are relevant, and settles ties exactly: the rank of item j is
1 + #{i: s_i > s_j} + #{i < j: s_i = s_j}, that is, equal scores rank in gallery order.

On a processor the same counting is done by a compiled kernel where numba is installed and the problem is large; the
torch code here is what GPUs run, and the oracle of the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from compat_core.errors import CompatError
from compat_core.retrieval import compiled, rank_kernel, wide_ranks
from compat_core.retrieval.lanes import in_lanes
from compat_core.retrieval.scores import BlockScores
from compat_core.retrieval.streamed import StreamedSource

Result = TypeVar("Result")

BLOCK_ROWS_CPU = 128  # larger blocks fall out of the processor's cache
CACHED_BYTES = 24 * 2**20  # a block of scores that a processor's last cache still holds
LANE_ROWS = 512  # so many repay reading the gallery, on one thread
LANE_RELEVANT = 2**20  # relevant items of a lane's block: numbers for each of them, and these stay in cache
LANES_BYTES = 256 * 2**20  # of all lanes' blocks of scores, or
LANE_BYTES = 32 * 2**20  # of one, where there are many: fewer rows at a time would be spent on reading the gallery
BLOCK_ROWS_MOST = 4096  # what a GPU takes at a time, and the limit of any block: bucket numbers are 32-bit
SORT_SHARE = 0.4  # with more of a block than this to be looked at one by one, sorting its rows is faster


@dataclass(frozen=True, slots=True)
class RankBlock:
    """The ranks of a block of queries that all have at least one relevant item.

    Attributes:
        queries: (B,) int64, rows of the query set.
        ranks: (B, P) int64, 1-based and ascending per row; 0 where a row has fewer than P relevant items.
        counts: (B,) int64, relevant items of each query, in [1, P].

    All three lie on the device of :func:`where_ranks_are`.
    """

    queries: torch.Tensor
    ranks: torch.Tensor
    counts: torch.Tensor


@dataclass(frozen=True, slots=True)
class Relevance:
    """Which gallery items are relevant to, and which are excluded from, each query.

    Attributes:
        by_label: (Ng,) int64 gallery rows sorted by label, in gallery order within one.
        start, stop: (Nq,) int64, each query's own label's stretch of ``by_label``.
        counts: (Nq,) int64, relevant items after exclusion.
        candidates: (Nq,) int64, gallery items left to rank after exclusion.
        excluded_row, excluded_column: (X,) int64 pairs (query, gallery item) of equal id, sorted by query.
    """

    by_label: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    counts: np.ndarray
    candidates: np.ndarray
    excluded_row: np.ndarray
    excluded_column: np.ndarray

    @property
    def alike(self) -> np.ndarray:
        """(Nq,) int64, gallery items of each query's label, excluded ones too: what is held for it while ranking."""
        return self.stop - self.start

    def excluded(self, query_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pairs (position within ``query_rows``, gallery item) that these queries must not find."""
        first = np.searchsorted(self.excluded_row, query_rows, side="left")
        last = np.searchsorted(self.excluded_row, query_rows, side="right")
        position, taken = _expand(first, last)
        return position, self.excluded_column[taken]


def relate(
    query_labels: np.ndarray, gallery_labels: np.ndarray, ids: tuple[np.ndarray, np.ndarray] | None
) -> Relevance:
    """Relevance by equal label, exclusion by equal id.

    Args:
        query_labels, gallery_labels: (Nq,) and (Ng,) int64 codes, comparable with each other.
        ids: identity codes of both sides, or None when no item is on both.
    """
    by_label, start, stop = _stretches(query_labels, gallery_labels)
    num_query, num_gallery = len(query_labels), len(gallery_labels)
    counts, candidates = stop - start, np.full(num_query, num_gallery, dtype=np.int64)
    row = column = np.zeros(0, dtype=np.int64)
    if ids is not None:
        by_id, first, last = _stretches(ids[0], ids[1])
        row, taken = _expand(first, last)
        column = by_id[taken]
        candidates -= np.bincount(row, minlength=num_query)
        relevant = query_labels[row] == gallery_labels[column]
        counts = counts - np.bincount(row[relevant], minlength=num_query)
    return Relevance(by_label, start, stop, counts, candidates, row, column)


def iter_rank_blocks(source: BlockScores, relevance: Relevance, block_rows: int | None = None) -> Iterator[RankBlock]:
    """Ranks of every relevant item, block by block; queries without a relevant item are in no block.

    Queries come ordered by their number of relevant items, so that blocks need little padding.

    Args:
        source: the prepared vectors.
        relevance: of the same queries and gallery.
        block_rows: most queries scored at a time; None chooses by the memory that a block of scores takes.
            The ranks do not depend on it.

    Raises:
        CompatError: for ``block_rows`` below 1.
    """
    return of_rank_blocks(source, relevance, lambda block: block, block_rows)


def of_rank_blocks(
    source: BlockScores, relevance: Relevance, work: Callable[[RankBlock], Result], block_rows: int | None = None
) -> Iterator[Result]:
    """``work`` of every block that :func:`iter_rank_blocks` gives, where the block is made: maybe on another thread."""
    order = np.argsort(relevance.counts, kind="stable")
    order = order[np.searchsorted(relevance.counts[order], 1) :]
    use_kernel = is_compiled(source.query.device, len(order) * source.num_gallery)
    if use_kernel and isinstance(source, StreamedSource) and block_rows is None:
        return (work(block) for block in _wide_blocks(source, relevance, order))

    def ranked(rows: np.ndarray, room: torch.Tensor) -> Result:
        return work(_rank_block(source, relevance, rows, room, use_kernel))

    return each_block(source, relevance, order, ranked, use_kernel, block_rows)


def _wide_blocks(source: StreamedSource, relevance: Relevance, order: np.ndarray) -> Iterator[RankBlock]:
    lanes = torch.get_num_threads()
    for rows in _cut(order, relevance.alike[order], lambda most: wide_ranks.group_size(most, lanes)):
        group = wide_ranks.Group(rows, *relevant_columns(relevance, rows), relevance.excluded(rows))
        counts = relevance.counts[rows]
        ranks = wide_ranks.ranks_of(source, group)[:, : int(counts.max())]
        yield RankBlock(torch.from_numpy(rows), torch.from_numpy(ranks), torch.from_numpy(counts))


def each_block(
    source: BlockScores,
    relevance: Relevance,
    query_rows: np.ndarray,
    work: Callable[[np.ndarray, torch.Tensor], Result],
    use_lanes: bool,
    block_rows: int | None = None,
) -> Iterator[Result]:
    """What ``work`` makes of one block of queries after another, in order.

    Args:
        source: the prepared vectors.
        relevance: of the same queries and gallery.
        query_rows: (Q,) rows of the query set.
        work: given a block's rows (B,) and memory for its scores, of ``source.room``.
        use_lanes: several blocks at a time where the source allows it, each on one thread (:mod:`.lanes`).
        block_rows: most queries of a block; None chooses.
    """
    step = rows_per_block(source, block_rows)
    use_lanes = use_lanes and source.has_lanes
    if use_lanes and block_rows is None:
        step = _rows_per_lane(source, len(query_rows))
    step = min(step, max(1, len(query_rows)))
    if use_lanes:
        blocks = _cut(query_rows, relevance.alike[query_rows], lambda most: min(step, LANE_RELEVANT // max(1, most)))
        yield from in_lanes(work, blocks, lambda: source.room(step))
    else:
        room = source.room(step)
        for begin in range(0, len(query_rows), step):
            yield work(query_rows[begin : begin + step], room)


def _cut(query_rows: np.ndarray, alike: np.ndarray, size: Callable[[int], int]) -> Iterator[np.ndarray]:
    """Blocks that end before a query with so many items of its label that they would be too many together.

    Args:
        query_rows: (Q,) rows of the query set.
        alike: (Q,) items of each one's label; a block is as wide as its largest.
        size: most queries of a block of such a width; falls as the width grows.
    """
    begin, widest = 0, 0
    for end, width in enumerate(alike.tolist()):
        widest = max(widest, width)
        if end > begin and end - begin >= size(widest):
            yield query_rows[begin:end]
            begin, widest = end, width
    if begin < len(query_rows):
        yield query_rows[begin:]


def _rows_per_lane(source: BlockScores, num_queries: int) -> int:
    """As many rows as memory allows, such that every lane gets as many blocks as the others."""
    lanes = torch.get_num_threads()
    most = min(LANE_ROWS, max(1, max(LANES_BYTES // lanes, LANE_BYTES) // (4 * source.width)))
    rounds = max(1, -(-num_queries // (lanes * most)))
    return max(1, -(-num_queries // (lanes * rounds)))


def relevant_ranks(source: BlockScores, relevance: Relevance, block_rows: int | None = None) -> list[np.ndarray]:
    """:func:`iter_rank_blocks` gathered: for every query its ascending 1-based ranks, empty where nothing is relevant.

    Holds one number per relevant pair: meant for looking closely at a small set.
    """
    gathered = [np.zeros(0, dtype=np.int64) for _ in range(len(relevance.counts))]
    for block in iter_rank_blocks(source, relevance, block_rows):
        for query, ranks, count in zip(block.queries.tolist(), block.ranks, block.counts.tolist(), strict=True):
            gathered[query] = ranks[:count].cpu().numpy().copy()
    return gathered


def rows_per_block(source: BlockScores, block_rows: int | None) -> int:
    """Queries per block: ``block_rows``, or as many as ``block_bytes`` and the device allow. Raises CompatError."""
    if block_rows is None:
        most = BLOCK_ROWS_MOST
        if source.query.device.type == "cpu":  # more rows pay while the gallery is small: every block has its overhead
            most = max(BLOCK_ROWS_CPU, min(4 * BLOCK_ROWS_CPU, CACHED_BYTES // (4 * source.width)))
        return int(min(most, max(1, source.block_bytes // (4 * source.width))))
    if isinstance(block_rows, bool) or not isinstance(block_rows, (int, np.integer)) or block_rows < 1:
        raise CompatError("block_rows", value=block_rows, rule="must be a whole number >= 1, or None to choose")
    return int(min(block_rows, BLOCK_ROWS_MOST))


def exclude(scores: torch.Tensor, relevance: Relevance, query_rows: np.ndarray) -> None:
    """Give the excluded items of these queries the score −inf, in place: they rank behind everything."""
    position, column = relevance.excluded(query_rows)
    if len(position):
        device = scores.device
        scores[torch.from_numpy(position).to(device), torch.from_numpy(column).to(device)] = float("-inf")


def ranks_among(scores: torch.Tensor, columns: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
    """The 1-based rank of chosen items in each row of any scores, exactly; equal scores rank in gallery order.

    Args:
        scores: ``(B, G)`` float32, higher is better, −inf for what is not to be found.
        columns: ``(B, P)`` int64 items of each row.
        own: ``(B, P)`` bool, False for padding; at least one True per row.

    Returns:
        ``(B, P)`` int64; meaningless where ``own`` is False.
    """
    return _count(scores, columns, own, scores.gather(1, columns))


def where_ranks_are(device: torch.device) -> torch.device:
    """Where the ranks lie that were counted on ``device``: there on a CUDA device, else on the CPU."""
    return device if device.type == "cuda" else torch.device("cpu")  # an Apple GPU has no float64 to go on with


def is_compiled(device: torch.device, num_scores: int) -> bool:
    """Whether the compiled kernel counts: where it runs, and where loading it is repaid."""
    return device.type == "cpu" and num_scores >= rank_kernel.WORTH_COMPILING and compiled.available()


def _rank_block(
    source: BlockScores, relevance: Relevance, query_rows: np.ndarray, room: torch.Tensor, use_kernel: bool
) -> RankBlock:
    device = source.query.device
    rows = torch.from_numpy(query_rows)
    scores = source.block(rows.to(device), room)  # (B, Ng padded)
    exclude(scores, relevance, query_rows)
    counts = torch.from_numpy(relevance.counts[query_rows])
    width = int(counts.max())
    relevant, mine = relevant_columns(relevance, query_rows)  # (B, P), (B, P)
    if use_kernel:
        ranks = torch.from_numpy(rank_kernel.sorted_ranks(scores.numpy(), relevant, mine))
        return RankBlock(rows, ranks[:, :width], counts)
    columns, own = torch.from_numpy(relevant).to(device), torch.from_numpy(mine).to(device)
    positive = scores.gather(1, columns)
    own &= positive > float("-inf")  # an excluded item is not to be found
    ranks = _count(scores, columns, own, positive)
    # Rows in ascending order with what is not theirs at the end.
    ranks = ranks.masked_fill(~own, torch.iinfo(torch.int64).max).sort(dim=1).values
    home = where_ranks_are(device)
    counts, ranks = counts.to(home), ranks[:, :width].to(home)
    ranks = ranks.masked_fill(torch.arange(width, device=home) >= counts[:, None], 0)
    return RankBlock(rows.to(home), ranks, counts)


def _count(scores: torch.Tensor, columns: torch.Tensor, own: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
    """Ranks (B, P) of ``columns`` (B, P); entries that are not ``own`` are meaningless.

    A bucket number grows with the score and never falls, so an item in a higher bucket than a relevant item scores
    higher, one in a lower bucket scores lower, and only those in the same bucket need comparing.
    """
    num_rows, width = scores.shape
    buckets = _bucket_count(columns.shape[1], width)
    size = buckets + 3  # below the range, 0 … buckets within it, above the range; one spare for rounding
    low = positive.masked_fill(~own, float("inf")).amin(dim=1, keepdim=True)  # (B, 1)
    high = positive.masked_fill(~own, float("-inf")).amax(dim=1, keepdim=True)
    # A single relevant item spans nothing: a sliver around it keeps everything else out of its bucket.
    span = torch.maximum(high - low, 1e-6 * torch.maximum(high.abs(), low.abs())).clamp_min(1e-30)
    scaled = torch.sub(scores, low).mul_(buckets / span).clamp_(-1, buckets + 1).add_(1)
    slot = scaled.to(torch.int32)
    slot += torch.arange(num_rows, dtype=torch.int32, device=scores.device)[:, None] * size
    del scaled
    mine = slot.gather(1, columns)[own].long()
    crowded = torch.zeros(num_rows * size, dtype=torch.bool, device=scores.device)
    crowded[mine] = True
    near = crowded.index_select(0, slot.view(-1)).nonzero().view(-1)  # items to compare one by one, in memory order
    if len(near) > SORT_SHARE * slot.numel():
        return _sort(scores, columns)
    filled = torch.bincount(slot.view(-1), minlength=num_rows * size).masked_fill_(crowded, 0).view(num_rows, size)
    above = filled.sum(dim=1, keepdim=True) - filled.cumsum(dim=1)  # in sparse buckets above each bucket
    base = torch.arange(num_rows, device=scores.device)[:, None]
    clear = above.gather(1, slot.gather(1, columns).long() - base * size)
    # Rank among the items of crowded buckets: by row, then score downwards, then gallery order (the sort is stable).
    row = torch.div(near, width, rounding_mode="floor")
    order = torch.sort((row << 32) - _ordered_bits(scores.view(-1)[near]), stable=True).indices
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order), device=order.device)
    begin = torch.searchsorted(near, base * width)  # (B, 1), where each row's items start
    found = torch.searchsorted(near, base * width + columns).clamp_max(len(near) - 1)
    return 1 + clear + place[found] - begin


def _sort(scores: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """The same ranks by sorting whole rows: where nearly everything lies close to a relevant item."""
    # Adding zero turns −0.0 into 0.0, which a radix sort would otherwise tell apart.
    order = torch.sort(scores + 0.0, dim=1, descending=True, stable=True).indices
    place = torch.empty_like(order).scatter_(
        1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
    )
    return 1 + place.gather(1, columns)


def _bucket_count(relevant: int, width: int) -> int:
    """Enough buckets that few items share one with a relevant item, few enough that the table stays in cache."""
    return int(min(8192, max(256, 4 * (relevant * width) ** 0.5)))


def _ordered_bits(values: torch.Tensor) -> torch.Tensor:
    """Float32 values as int64 in the same order: a negative number's bits count downwards. −0.0 counts as 0.0."""
    bits = (values + 0.0).view(torch.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).long()


def relevant_columns(relevance: Relevance, query_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gallery rows of equal label (B, P), padded with the last one, and which entries are not padding."""
    start, stop = relevance.start[query_rows], relevance.stop[query_rows]
    reach = start[:, None] + np.arange(int((stop - start).max()))[None, :]
    own = reach < stop[:, None]
    return relevance.by_label[np.where(own, reach, stop[:, None] - 1)], own


def _stretches(query_codes: np.ndarray, gallery_codes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gallery rows sorted by code (stable), and for each query the stretch of them with its own code."""
    order = np.argsort(gallery_codes, kind="stable")
    ordered = gallery_codes[order]
    return order, np.searchsorted(ordered, query_codes, "left"), np.searchsorted(ordered, query_codes, "right")


def _expand(first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All integers of the ranges [first_i, last_i), with the i each one came from."""
    lengths = last - first
    position = np.repeat(np.arange(len(first)), lengths)
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return position, np.repeat(first, lengths) + within
