"""A metric per subgroup of the queries, and the gap between the best and the worst: whom an upgrade leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from compat_core.errors import CompatError
from compat_core.metrics.bootstrap import LEVEL, RESAMPLES, Interval, bootstrap_means, interval
from compat_core.retrieval.inputs import check_keys


@dataclass(frozen=True, slots=True)
class Subgroup:
    """``name``; ``num_queries`` not skipped; ``value``, the metric's mean over them with its interval."""

    name: str
    num_queries: int
    value: Interval


@dataclass(frozen=True, slots=True)
class SubgroupScores:
    """The result of :func:`subgroup_scores`.

    Attributes:
        groups: in ascending order of their names; groups whose queries were all skipped are left out.
        best, worst: names of the groups with the highest and the lowest value; the first of equals.
        gap: value of ``best`` − value of ``worst``, >= 0.
    """

    groups: tuple[Subgroup, ...]
    best: str
    worst: str
    gap: Interval

    def to_dict(self) -> dict[str, Any]:
        """JSON types: ``groups`` (name, num_queries, value, ci_low, ci_high), ``best``, ``worst``, ``gap``."""
        groups = [{"name": group.name, "num_queries": group.num_queries} | group.value.row() for group in self.groups]
        return {"groups": groups, "best": self.best, "worst": self.worst, "gap": self.gap.row()}


def subgroup_scores(
    per_query: Any, groups: Any, *, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> SubgroupScores:
    """The mean of a metric over each subgroup of the queries, and the gap.

    Queries are resampled within each subgroup, whose size stays. ``best`` and ``worst`` are those of the data in every
    resample, so the gap of several equal groups is overstated by their choice: with few queries, read its interval as
    a lower limit of the uncertainty.

    Args:
        per_query: (Nq,) float, of a metric with higher = better; NaN where a query was skipped
            (``METRICS.get(name).per_query(scores)``).
        groups: (Nq,) whole numbers or texts, the subgroup of each query.
        resamples, seed, level: of the bootstrap.

    Raises:
        CompatError: for groups that do not fit the queries, or fewer than two with a query that was not skipped.
    """
    values = np.asarray(per_query, dtype=np.float64)
    if values.ndim != 1:
        raise CompatError("per_query", value=values.shape, rule="must be one number per query")
    names, code = _groups(groups, len(values))
    kept = ~np.isnan(values)
    present = [number for number in range(len(names)) if (kept & (code == number)).any()]
    if len(present) < 2:
        raise CompatError("groups", value=len(present), rule="with valid queries; a gap needs at least two")
    columns = {number: values[kept & (code == number)] for number in present}
    # Other draws for each group: its resamples must be independent of the others'.
    drawn = [
        bootstrap_means(column[:, None], resamples, seed + place)[:, 0] for place, column in enumerate(columns.values())
    ]
    found = tuple(
        Subgroup(str(names[number]), len(column), interval(float(column.mean()), means, level))
        for (number, column), means in zip(columns.items(), drawn, strict=True)
    )
    estimates = [group.value.estimate for group in found]
    high, low = int(np.argmax(estimates)), int(np.argmin(estimates))
    gap = interval(estimates[high] - estimates[low], drawn[high] - drawn[low], level)
    return SubgroupScores(found, found[high].name, found[low].name, gap)


def subgroup_curves(per_query: np.ndarray, groups: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Each subgroup's mean along a backfill, and the gap at every point.

    Args:
        per_query: (P, Nq) the metric per valid query at each share (``BackfillCurve.per_query``).
        groups: (Nq,) whole numbers or texts, of those valid queries.

    Returns:
        group -> (P,) its curve, in ascending order of the names, and (P,) the highest less the lowest of them.

    Raises:
        CompatError: for groups that do not fit the queries, NaN, or fewer than two groups.
    """
    values = np.asarray(per_query, dtype=np.float64)
    if values.ndim != 2 or np.isnan(values).any():
        raise CompatError("per_query", value=values.shape, rule="must be (points, valid queries) without NaN")
    names, code = _groups(groups, values.shape[1])
    if len(names) < 2:
        raise CompatError("groups", value=len(names), rule="a gap needs at least two")
    curves = {str(name): values[:, code == number].mean(axis=1) for number, name in enumerate(names)}
    stacked = np.stack(list(curves.values()))
    return curves, stacked.max(axis=0) - stacked.min(axis=0)


def _groups(groups: Any, length: int) -> tuple[np.ndarray, np.ndarray]:
    names, code = np.unique(check_keys("groups", groups, length, "per_query"), return_inverse=True)
    return names, code.reshape(-1)
