"""Partial backfill: how good search is while the gallery goes over from old to new, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compat_core.errors import CompatError
from compat_core.metrics.catalogue import resolve
from compat_core.metrics.evaluate import evaluate_retrieval

STEPS = 20


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
        short = np.flatnonzero(values < values[0] + gain * (values[-1] - values[0]))
        return 0.0 if not len(short) else float(self.shares[short[-1] + 1])


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
    """Evaluate new queries on the gallery at every step of its backfill.

    Args:
        query_emb: ``(Nq, D)`` new-model queries in the shared space.
        query_labels: ``(Nq,)``.
        gallery_old, gallery_new: ``(Ng, D)`` rows before and after their backfill, in the shared space.
        gallery_labels: ``(Ng,)``.
        order: ``(Ng,)`` permutation; the first rows are backfilled first.
        query_ids, gallery_ids: items of equal id are removed from that query's ranking.
        metrics: names; CMC@1, CMC@5, CMC@10, mAP, mAP@R, R-precision, precision@10.
        distance: ``cosine``, ``l2`` or ``dot``.
        steps: B; ``B + 2`` points.
        device: where to compute.

    Returns:
        metric name -> curve.

    Raises:
        CompatError: for an order that is no permutation, or anything ``evaluate_retrieval`` refuses.
    """
    if not np.array_equal(np.sort(order), np.arange(len(gallery_old))):
        raise CompatError("order", rule=f"must hold every gallery row 0 … {len(gallery_old) - 1} once")
    entries = [resolve(name) for name in metrics]
    gallery = np.array(gallery_old, dtype=np.float32)
    points = backfill_points(len(order), steps)
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
