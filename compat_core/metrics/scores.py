"""What an evaluation found: the metrics, and the numbers per query that they are means of."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from compat_core.errors import CompatError


@dataclass(frozen=True, slots=True, eq=False)
class PerQuery:
    """One entry per query, skipped ones included, in the order the queries were given.

    Attributes:
        valid: (Nq,) bool, False where no relevant item was in the gallery: that query is skipped.
        num_relevant: (Nq,) int64, relevant gallery items, the query's own item excluded.
        first_hit_rank: (Nq,) int64, 1-based rank of the nearest relevant item; 0 where skipped.
        average_precision, ap_at_r, r_precision: (Nq,) float64 in [0, 1]; NaN where skipped.
        precision: k -> (Nq,) float64 in [0, 1]; NaN where skipped.
        others: name -> (Nq,) float64 of every registered metric that is worked out from ranks; NaN where skipped.
    """

    valid: np.ndarray
    num_relevant: np.ndarray
    first_hit_rank: np.ndarray
    average_precision: np.ndarray
    ap_at_r: np.ndarray
    r_precision: np.ndarray
    precision: dict[int, np.ndarray]
    others: dict[str, np.ndarray] = field(default_factory=dict)

    def hit_within(self, k: int) -> np.ndarray:
        """(Nq,) float64: 1 where the first hit is among the nearest ``k``, 0 where not, NaN where skipped."""
        return np.where(self.valid, (self.first_hit_rank <= k).astype(np.float64), np.nan)

    def precision_at(self, k: int) -> np.ndarray:
        """(Nq,) float64 precision@k. Raises CompatError when the evaluation was not asked for this k."""
        if k not in self.precision:
            raise CompatError(
                f"precision@{k}", rule=f"was computed for k = {sorted(self.precision)} only", fix=f"add {k} to ks"
            )
        return self.precision[k]


@dataclass(frozen=True, slots=True, eq=False)
class RetrievalScores:
    """The result of :func:`~compat_core.metrics.evaluate_retrieval`; every metric is a fraction in [0, 1].

    Attributes:
        cmc: k -> share of valid queries with a relevant item among the nearest k.
        mean_ap: mean average precision over the FULL ranking.
        mean_ap_at_r: mean of average precision cut at R, the query's number of relevant items.
        r_precision: mean share of relevant items among the nearest R.
        precision: k -> mean share of relevant items among the nearest k.
        num_queries: valid queries, which the metrics are means over.
        num_skipped: queries without a relevant item in the gallery.
        num_gallery: gallery items.
        num_zero_vectors: query and gallery vectors that are all zero, under cosine; their similarity counts as 0.
        chance: metric name -> its expected value when every query ranks this gallery at random.
        distance: how vectors were compared.
        per_query: the numbers behind the means.
        precision_at_recall: (101,) interpolated precision at recall 0, 0.01 … 1, mean over valid queries; or None.
        cmc_curve: (50,) CMC@1 … CMC@50; or None.
    """

    cmc: dict[int, float]
    mean_ap: float
    mean_ap_at_r: float
    r_precision: float
    precision: dict[int, float]
    num_queries: int
    num_skipped: int
    num_gallery: int
    num_zero_vectors: int
    chance: dict[str, float]
    distance: str
    per_query: PerQuery
    precision_at_recall: np.ndarray | None = None
    cmc_curve: np.ndarray | None = None

    def columns(self) -> dict[str, np.ndarray]:
        """Metric name -> (Nq,) float64 per query, for every k that was asked for; NaN where skipped."""
        found = self.per_query
        return {
            **{f"CMC@{k}": found.hit_within(k) for k in self.cmc},
            "mAP": found.average_precision,
            "mAP@R": found.ap_at_r,
            "R-precision": found.r_precision,
            **{f"precision@{k}": values for k, values in found.precision.items()},
            **found.others,
        }
