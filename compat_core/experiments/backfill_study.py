"""Backfill curves of one method: every ordering that its inputs allow, with areas, intervals and shares needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from compat_core.data.images import ImageSet
from compat_core.experiments.config import ExperimentConfig
from compat_core.metrics import bootstrap_mean
from compat_core.metrics.backfill import BackfillCurve, backfill_curves_of_orders
from compat_core.metrics.order_curve import RANDOM_SEEDS, OrderCurve
from compat_core.metrics.subgroups import subgroup_curves
from compat_core.retrieval.orderings import Gallery, drawable_orders

METRICS_DRAWN = ("mAP", "CMC@1")


@dataclass(frozen=True, slots=True)
class Study:
    """``entries`` for results.json, ``per_query`` areas by ``"ordering metric"`` for paired comparisons."""

    entries: list[dict[str, Any]]
    per_query: dict[str, np.ndarray]


class BackfillStudy:
    """Draws the curves of one seed's methods.

    Args:
        seed: the experiment's seed.
        images: the evaluation images: labels and ids.
        config: distance and number of resamples.
        device: where similarities are computed.
        queries: rows of the chosen queries ``(Q,)``.
        groups: ``(N,)`` the subgroup of each evaluation image; None: no curves per subgroup.
    """

    def __init__(
        self,
        seed: int,
        images: ImageSet,
        config: ExperimentConfig,
        device: str,
        queries: np.ndarray,
        groups: np.ndarray | None = None,
    ) -> None:
        chosen = groups[queries] if groups is not None else np.empty(0)
        self.groups = chosen if len(np.unique(chosen)) > 1 else None
        self.seed, self.config, self.device, self.queries = seed, config, device, queries
        self.labels, self.ids = images.labels.cpu().numpy(), images.ids

    def run(
        self,
        method: str,
        query: np.ndarray,
        gallery_new: np.ndarray,
        gallery_old: np.ndarray,
        uncertainty: torch.Tensor | None,
    ) -> Study:
        """Curves of one method over its shared space, all ``(N, D)``."""
        distance = self.config.distance
        unsure = None if uncertainty is None else uncertainty.cpu().numpy()
        gallery = Gallery(gallery_old, self.labels, gallery_new, unsure, distance=distance)
        # What only some methods predict comes last: the orderings that all methods have stand at the same places.
        orders = drawable_orders(gallery, RANDOM_SEEDS, last=lambda ordering: "uncertainty" in ordering.needs)
        study = Study([], {})
        drawn = iter(
            backfill_curves_of_orders(
                query[self.queries], self.labels[self.queries], gallery_old, gallery_new, self.labels,
                [order for repeats in orders.values() for order in repeats], self.ids[self.queries], self.ids,
                metrics=METRICS_DRAWN, distance=distance, device=self.device,
            )
        )  # fmt: skip
        for name, repeats in orders.items():
            curves = [next(drawn) for _ in repeats]
            for metric in METRICS_DRAWN:
                self._enter(study, method, name, [one[metric] for one in curves])
        return study

    def _enter(self, study: Study, method: str, order: str, curves: list[BackfillCurve]) -> None:
        drawn = OrderCurve.of(curves, self.config.resamples)
        mean = drawn.mean
        area = bootstrap_mean(mean.auc_per_query, self.config.resamples)
        study.per_query[f"{order} {mean.metric}"] = mean.auc_per_query.astype(np.float32)
        by_group: dict[str, Any] = {}
        if self.groups is not None:
            grouped, gap = subgroup_curves(mean.per_query, self.groups)
            by_group = {"subgroups": {name: _rounded(values) for name, values in grouped.items()}, "gap": _rounded(gap)}
        study.entries.append(
            by_group
            | {
                "method": method,
                "seed": self.seed,
                "order": order,
                "metric": mean.metric,
                "shares": _rounded(mean.shares),
                "values": _rounded(mean.values),
                "low": _rounded(drawn.low),
                "high": _rounded(drawn.high),
                "repeats": drawn.repeats,
                "auc": mean.auc,
                "auc_ci_low": area.low,
                "auc_ci_high": area.high,
                "trapezoid": mean.trapezoid,
                "share_for": {str(share.target): share.share for share in drawn.needed},
                "share_ci": {str(share.target): [share.low, share.high] for share in drawn.needed},
                "num_queries": len(self.queries),
            }
        )


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 6) for value in values]
