"""Retrieval metrics of two sets of embeddings, exactly, over the full ranking of the gallery."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from compat_core.device import pick_device
from compat_core.errors import CompatError
from compat_core.metrics.catalogue import METRICS
from compat_core.metrics.chance import chance_levels
from compat_core.metrics.scores import PerQuery, RetrievalScores
from compat_core.retrieval.inputs import check_embeddings, check_ids, check_keys, check_pair, shared_codes
from compat_core.retrieval.ranking import RankBlock, of_rank_blocks, relate, where_ranks_are
from compat_core.retrieval.scores import BlockScores, prepare
from compat_core.retrieval.streamed import StreamedSource, is_streamed

CMC_CURVE_LENGTH = 50
RECALL_LEVELS = 101


@torch.no_grad()
def evaluate_retrieval(
    query_emb: Any,
    query_labels: Any,
    gallery_emb: Any,
    gallery_labels: Any,
    query_ids: Any = None,
    gallery_ids: Any = None,
    distance: str = "cosine",
    ks: Sequence[int] = (1, 5, 10),
    device: str = "auto",
    block_rows: int | None = None,
    *,
    curves: bool = False,
) -> RetrievalScores:
    """CMC, mAP, mAP@R, R-precision and precision@k of queries searched in a gallery.

    A gallery item is relevant to a query when their labels are equal. A query without a relevant item is skipped and
    counted. Equal scores rank in gallery order. Everything is computed in float32 on full rankings, block by block.

    Args:
        query_emb: (Nq, D) numbers, numpy or torch, any real dtype.
        query_labels: (Nq,) whole numbers or texts.
        gallery_emb: (Ng, D) numbers, in the same space.
        gallery_labels: (Ng,) whole numbers or texts.
        query_ids, gallery_ids: (Nq,), (Ng,) identities: an item of equal id is the same item and is removed from that
            query's ranking, wherever it ranks. Both or neither.
        distance: ``cosine`` (a zero vector has cosine 0 with everything), ``l2`` or ``dot``.
        ks: the k of CMC@k and precision@k, each >= 1. Where k exceeds the gallery, CMC@k looks at all of it, and
            precision@k counts the places that cannot be filled as wrong.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        block_rows: most queries scored at a time; None chooses by the memory that their scores take. Changes no result.
        curves: also give ``precision_at_recall`` (101,) and ``cmc_curve`` (50,).

    Returns:
        The metrics as Python floats in [0, 1], with the numbers per query.

    Raises:
        CompatError: for embeddings with NaN, of another shape or dimension, labels or ids that do not fit them, an
            unknown distance or device, a k below 1, or when no query at all has a relevant item.

    Example:
        >>> import numpy as np
        >>> gallery = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.2]])
        >>> scores = evaluate_retrieval(gallery[:1], [7], gallery, [7, 8, 7], device="cpu")
        >>> scores.cmc[1], scores.mean_ap
        (1.0, 1.0)
    """
    places = _check_ks(ks)
    query, place = check_embeddings("query_emb", query_emb), pick_device(device).device
    source: BlockScores
    if is_streamed(gallery_emb, place):
        source = StreamedSource(query, gallery_emb, distance)
    else:
        gallery = check_embeddings("gallery_emb", gallery_emb)
        check_pair(query, gallery)
        source = prepare(query, gallery, distance, place)
    labels = shared_codes(
        "labels",
        check_keys("query_labels", query_labels, len(query), "query_emb"),
        check_keys("gallery_labels", gallery_labels, source.num_gallery, "gallery_emb"),
    )
    relevance = relate(*labels, check_ids(query_ids, gallery_ids, len(query), source.num_gallery))
    valid = relevance.counts > 0
    if not valid.any():
        raise CompatError(
            "query_labels",
            rule=f"none of {len(query)} queries has a relevant item (another one of equal label) in the gallery",
            fix="check that both label files belong together",
        )
    tally = _Tally(len(query), places, curves, where_ranks_are(place))
    for measured in of_rank_blocks(source, relevance, tally.measure, block_rows):
        tally.keep(measured)
    found = tally.per_query(valid, relevance.counts)
    return RetrievalScores(
        cmc={k: float(found.hit_within(k)[valid].mean()) for k in places},
        mean_ap=float(found.average_precision[valid].mean()),
        mean_ap_at_r=float(found.ap_at_r[valid].mean()),
        r_precision=float(found.r_precision[valid].mean()),
        precision={k: float(values[valid].mean()) for k, values in found.precision.items()},
        num_queries=int(valid.sum()),
        num_skipped=int((~valid).sum()),
        num_gallery=source.num_gallery,
        num_zero_vectors=source.num_zero_vectors,
        chance=_chance(relevance.counts[valid], relevance.candidates[valid], places),
        distance=distance,
        per_query=found,
        precision_at_recall=tally.curve.cpu().numpy() / int(valid.sum()) if curves else None,
        cmc_curve=_cmc_curve(found) if curves else None,
    )


def _chance(counts: np.ndarray, candidates: np.ndarray, places: tuple[int, ...]) -> dict[str, float]:
    expected = {metric.name: metric.chance(counts, candidates) for metric in METRICS if metric.chance}
    levels = chance_levels(counts, candidates, places, places)
    return levels | {name: float(values.mean()) for name, values in expected.items()}


@dataclass(frozen=True, slots=True)
class _Measured:
    """A block's numbers, one per query ``(B,)`` each, and its queries' precisions at 101 levels of recall."""

    rows: torch.Tensor
    first: torch.Tensor
    average_precision: torch.Tensor
    ap_at_r: torch.Tensor
    r_precision: torch.Tensor
    precision: dict[int, torch.Tensor]
    others: dict[str, torch.Tensor]
    curves: torch.Tensor | None  # (B, 101)


class _Tally:
    """Per-query numbers filled in block by block, where the blocks are.

    Sums on a CPU run strictly in order, so block sizes change nothing.
    """

    def __init__(self, num_queries: int, ks: tuple[int, ...], curves: bool, device: torch.device) -> None:
        self.curves, self.device = curves, device
        self.first = torch.zeros(num_queries, dtype=torch.int64, device=device)
        empty = torch.full((num_queries,), float("nan"), dtype=torch.float64, device=device)
        self.average_precision, self.ap_at_r, self.r_precision = empty.clone(), empty.clone(), empty.clone()
        self.precision = {k: empty.clone() for k in ks}
        self.curve = torch.zeros(RECALL_LEVELS, dtype=torch.float64, device=device)
        self.others = {metric.name: empty.clone() for metric in METRICS if metric.from_ranks}

    def measure(self, block: RankBlock) -> _Measured:
        """What a block's ranks come to; changes nothing here, so that blocks may be measured side by side."""
        ranks, counts = block.ranks, block.counts
        number = torch.arange(1, ranks.shape[1] + 1, device=self.device)
        own = number <= counts[:, None]  # (B, P)
        precision = torch.where(own, number / ranks.clamp_min(1).double(), 0.0)  # at each relevant item
        within_r = own & (ranks <= counts[:, None])
        curves = None
        if self.curves:
            # Interpolated: the best precision at this recall or any higher one.
            best = precision.flip(1).cummax(1).values.flip(1)
            level = torch.arange(RECALL_LEVELS, device=self.device)
            needed = torch.div(level * counts[:, None] + 99, 100, rounding_mode="floor").clamp_min(1)  # relevant items
            curves = best.gather(1, needed - 1)
        return _Measured(
            rows=block.queries,
            first=ranks[:, 0],
            average_precision=precision.cumsum(1)[:, -1] / counts,
            ap_at_r=(precision * within_r).cumsum(1)[:, -1] / counts,
            r_precision=within_r.sum(1).double() / counts,
            precision={k: (own & (ranks <= k)).sum(1).double() / k for k in self.precision},
            others={
                metric.name: _checked(metric.name, metric.from_ranks(block), len(counts))
                for metric in METRICS
                if metric.from_ranks
            },
            curves=curves,
        )

    def keep(self, found: _Measured) -> None:
        rows = found.rows
        self.first[rows] = found.first
        self.average_precision[rows] = found.average_precision
        self.ap_at_r[rows] = found.ap_at_r
        self.r_precision[rows] = found.r_precision
        for k, values in found.precision.items():
            self.precision[k][rows] = values
        for name, values in found.others.items():
            self.others[name][rows] = values
        if found.curves is not None:
            self.curve = torch.cat([self.curve[None], found.curves]).cumsum(0)[-1]

    def per_query(self, valid: np.ndarray, counts: np.ndarray) -> PerQuery:
        return PerQuery(
            valid=valid,
            num_relevant=counts,
            first_hit_rank=self.first.cpu().numpy(),
            average_precision=self.average_precision.cpu().numpy(),
            ap_at_r=self.ap_at_r.cpu().numpy(),
            r_precision=self.r_precision.cpu().numpy(),
            precision={k: values.cpu().numpy() for k, values in self.precision.items()},
            others={name: values.cpu().numpy() for name, values in self.others.items()},
        )


def _checked(name: str, values: Any, num_queries: int) -> torch.Tensor:
    if not isinstance(values, torch.Tensor) or values.shape != (num_queries,):
        given = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
        raise CompatError(f"metric {name}", value=given, rule=f"must give a tensor ({num_queries},), one per query")
    return values.double()


def _cmc_curve(found: PerQuery) -> np.ndarray:
    first = np.sort(found.first_hit_rank[found.valid])
    return np.searchsorted(first, np.arange(1, CMC_CURVE_LENGTH + 1), side="right") / len(first)


def _check_ks(ks: Sequence[int]) -> tuple[int, ...]:
    listed = list(ks) if isinstance(ks, (Sequence, np.ndarray)) and not isinstance(ks, str) else None
    whole = listed and all(isinstance(k, (int, np.integer)) and not isinstance(k, bool) and k >= 1 for k in listed)
    if not listed or not whole:
        raise CompatError("ks", value=ks, rule="must list whole numbers >= 1", fix="for example ks=(1, 5, 10)")
    return tuple(dict.fromkeys(int(k) for k in listed))


def check_metrics() -> None:
    """Put every metric to a toy gallery: a broken one is named before hours of training, not after.

    Raises:
        CompatError: naming the first metric that does not give one number per query, in its range.
    """
    rows = np.eye(6)[[0, 0, 1, 1, 2, 2, 3]] + np.linspace(0.0, 1.0, 7)[:, None]
    labels, ids = np.array([0, 0, 1, 1, 0, 2, 3]), np.arange(7)
    scores = evaluate_retrieval(rows, labels, rows, labels, ids, ids, device="cpu")
    for metric in METRICS:
        metric.per_query(scores)
