"""Partial backfill: how good search is while the gallery goes over from old to new, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from compat_core.device import pick_device
from compat_core.errors import CompatError
from compat_core.metrics.base import Metric
from compat_core.metrics.catalogue import resolve
from compat_core.metrics.evaluate import evaluate_retrieval
from compat_core.retrieval import compiled
from compat_core.retrieval.backfill_kernel import backfill_counts
from compat_core.retrieval.inputs import check_embeddings, check_ids, check_keys, check_pair, shared_codes
from compat_core.retrieval.rank_kernel import WORTH_COMPILING
from compat_core.retrieval.ranking import each_block, relate, relevant_columns
from compat_core.retrieval.scores import prepare

STEPS = 20
ROUNDING = 1e-12  # of means of numbers in [0, 1]


@dataclass(frozen=True, slots=True, eq=False)
class BackfillCurve:
    """One metric against the share of the gallery that is backfilled.

    Attributes:
        metric: its name.
        shares: ``(P,)`` shares backfilled, from 0 to 1.
        per_query: ``(P, Nq)`` the metric per valid query.
    """

    metric: str
    shares: np.ndarray
    per_query: np.ndarray

    @property
    def values(self) -> np.ndarray:
        """``(P,)`` the metric at each share."""
        return self.per_query.mean(axis=1)

    @property
    def auc(self) -> float:
        """Plain mean of the points: FastFill's area under the backfill curve."""
        return float(self.values.mean())

    @property
    def trapezoid(self) -> float:
        """Area under the polygon through the points."""
        return float(np.trapezoid(self.values, self.shares))

    @property
    def auc_per_query(self) -> np.ndarray:
        """``(Nq,)`` whose mean is ``auc``; for paired intervals between orderings."""
        return self.per_query.mean(axis=0)

    def share_for(self, gain: float) -> float | None:
        """The smallest measured share from which on a part ``gain`` of the full backfill's gain is kept.

        Args:
            gain: in (0, 1], e.g. 0.95.

        Returns:
            a share in [0, 1]; None when the full backfill gains nothing over the start.
        """
        values = self.values
        if values[-1] <= values[0]:
            return None
        # The last point never falls short, but for rounding.
        short = np.flatnonzero(fall_short(values, gain)[:-1])
        return 0.0 if not len(short) else float(self.shares[short[-1] + 1])


def fall_short(values: np.ndarray, gain: float) -> np.ndarray:
    """Where curves ``(…, P)`` hold less than a part ``gain`` of what they gain from end to end ``(…, P)``.

    Equality is no shortfall: means of a few queries meet such a part exactly, and miss it by their rounding.
    """
    first, last = values[..., :1], values[..., -1:]
    short: np.ndarray = values < first + gain * (last - first) - ROUNDING
    return short


def backfill_points(num_items: int, steps: int = STEPS) -> np.ndarray:
    """Numbers of backfilled rows: ``⌊i·N/(steps+1)⌋`` for i = 0 … steps+1, both ends included.

    Reference: FastFill, arXiv 2303.04766 (released code: 20 steps, 22 points).
    """
    return np.arange(steps + 2) * num_items // (steps + 1)


def backfill_curves(
    query_emb: np.ndarray,
    query_labels: Any,
    gallery_old: np.ndarray,
    gallery_new: np.ndarray,
    gallery_labels: Any,
    order: np.ndarray,
    query_ids: Any = None,
    gallery_ids: Any = None,
    *,
    metrics: Sequence[str] = ("mAP", "CMC@1"),
    distance: str = "cosine",
    steps: int = STEPS,
    device: str = "auto",
) -> dict[str, BackfillCurve]:
    """Evaluate new queries on the gallery at every step of its backfill, in one ordering.

    As :func:`backfill_curves_of_orders`, which does several orderings for little more.

    Returns:
        metric name -> curve.
    """
    return backfill_curves_of_orders(
        query_emb, query_labels, gallery_old, gallery_new, gallery_labels, [order], query_ids, gallery_ids,
        metrics=metrics, distance=distance, steps=steps, device=device,
    )[0]  # fmt: skip


def backfill_curves_of_orders(
    query_emb: np.ndarray,
    query_labels: Any,
    gallery_old: np.ndarray,
    gallery_new: np.ndarray,
    gallery_labels: Any,
    orders: Sequence[np.ndarray],
    query_ids: Any = None,
    gallery_ids: Any = None,
    *,
    metrics: Sequence[str] = ("mAP", "CMC@1"),
    distance: str = "cosine",
    steps: int = STEPS,
    device: str = "auto",
) -> list[dict[str, BackfillCurve]]:
    """Evaluate new queries on the gallery at every step of its backfill, in several orderings.

    On a processor with numba, mAP and CMC are followed by updating counts, which costs a few evaluations for all
    orderings together; elsewhere, and for other metrics, the gallery is evaluated anew at every step.

    Args:
        query_emb: ``(Nq, D)`` new-model queries in the shared space.
        query_labels: ``(Nq,)``.
        gallery_old, gallery_new: ``(Ng, D)`` rows before and after their backfill, in the shared space.
        gallery_labels: ``(Ng,)``.
        orders: permutations ``(Ng,)``; the first rows are backfilled first.
        query_ids, gallery_ids: items of equal id are removed from that query's ranking.
        metrics: names; CMC@1, CMC@5, CMC@10, mAP, mAP@R, R-precision, precision@10.
        distance: ``cosine``, ``l2`` or ``dot``.
        steps: B; ``B + 2`` points.
        device: where to compute.

    Returns:
        for every ordering: metric name -> curve.

    Raises:
        CompatError: for an order that is no permutation, or anything ``evaluate_retrieval`` refuses.
    """
    for order in orders:
        if not np.array_equal(np.sort(order), np.arange(len(gallery_old))):
            raise CompatError("order", rule=f"must hold every gallery row 0 … {len(gallery_old) - 1} once")
    entries = [resolve(name) for name in metrics]
    points = backfill_points(len(gallery_old), steps)
    followed = all(entry.name == "mAP" or entry.name.startswith("CMC@") for entry in entries)
    counted = len(query_emb) * len(gallery_old) * len(points) * len(orders)
    worth_it = followed and counted >= WORTH_COMPILING and compiled.available()
    if worth_it and pick_device(device).device.type == "cpu":
        found = _followed(
            query_emb, query_labels, gallery_old, gallery_new, gallery_labels, orders, query_ids, gallery_ids,
            distance, points, device,
        )  # fmt: skip
        shares = points / len(gallery_old)
        return [
            {entry.name: BackfillCurve(entry.name, shares, _column(entry.name, *numbers)) for entry in entries}
            for numbers in found
        ]
    return [
        _evaluated(
            query_emb, query_labels, gallery_old, gallery_new, gallery_labels, order, query_ids, gallery_ids, entries,
            distance, points, device,
        )
        for order in orders
    ]  # fmt: skip


def _column(name: str, precision: np.ndarray, first: np.ndarray) -> np.ndarray:
    return precision if name == "mAP" else (first <= int(name.removeprefix("CMC@"))).astype(np.float64)


def _followed(
    query_emb: Any, query_labels: Any, gallery_old: Any, gallery_new: Any, gallery_labels: Any,
    orders: Sequence[np.ndarray], query_ids: Any, gallery_ids: Any, distance: str, points: np.ndarray, device: str,
) -> list[tuple[np.ndarray, np.ndarray]]:  # fmt: skip
    """Per ordering: average precision and rank of the first hit, ``(P, Nq)`` over valid queries."""
    count = len(gallery_old)
    query = check_embeddings("query_emb", query_emb)
    old, new = check_embeddings("gallery_old", gallery_old), check_embeddings("gallery_new", gallery_new)
    check_pair(query, old)
    check_pair(query, new)
    labels = shared_codes(
        "labels",
        check_keys("query_labels", query_labels, len(query), "query_emb"),
        check_keys("gallery_labels", gallery_labels, count, "gallery_old"),
    )
    relevance = relate(*labels, check_ids(query_ids, gallery_ids, len(query), count))
    source = prepare(query, torch.cat([old, new]), distance, torch.device("cpu"))
    small = len(points) - 1 <= np.iinfo(np.uint16).max
    step_of = np.empty((len(orders), count), dtype=np.uint16 if small else np.uint32)
    for place, order in enumerate(orders):
        step_of[place, order] = np.searchsorted(points, np.arange(count), side="right")
    valid = np.flatnonzero(relevance.counts > 0)
    if not len(valid):
        raise CompatError("query_labels", rule="no query has a relevant item in the gallery", fix="check the labels")
    by_count = valid[np.argsort(relevance.counts[valid], kind="stable")]
    shape = (len(orders), len(points), len(relevance.counts))
    precision, first = np.empty(shape), np.empty(shape, dtype=np.int64)

    def follow(chosen: np.ndarray, room: torch.Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        scores = source.block(torch.from_numpy(chosen), room).numpy()
        position, column = relevance.excluded(chosen)
        scores[position, column] = scores[position, column + count] = -np.inf
        columns, own = relevant_columns(relevance, chosen)
        before, after = scores[:, :count], scores[:, count : 2 * count]
        return chosen, *backfill_counts(before, after, columns, own, step_of, len(points))

    for chosen, precisions, firsts in each_block(source, relevance, by_count, follow, use_lanes=True):
        precision[:, :, chosen], first[:, :, chosen] = precisions, firsts
    return [(precision[place][:, valid], first[place][:, valid]) for place in range(len(orders))]


def _evaluated(
    query_emb: Any, query_labels: Any, gallery_old: Any, gallery_new: Any, gallery_labels: Any, order: np.ndarray,
    query_ids: Any, gallery_ids: Any, entries: Sequence[Metric], distance: str, points: np.ndarray, device: str,
) -> dict[str, BackfillCurve]:  # fmt: skip
    """The same by evaluating the gallery anew at every step."""
    gallery = np.array(gallery_old, dtype=np.float32)
    found: dict[str, list[np.ndarray]] = {entry.name: [] for entry in entries}
    done = 0
    for count in points:
        rows = order[done:count]
        gallery[rows] = gallery_new[rows]
        done = count
        scores = evaluate_retrieval(
            query_emb, query_labels, gallery, gallery_labels, query_ids, gallery_ids, distance, device=device
        )
        for entry in entries:
            found[entry.name].append(entry.per_query(scores)[scores.per_query.valid])
    shares = points / len(order)
    return {name: BackfillCurve(name, shares, np.stack(columns)) for name, columns in found.items()}
