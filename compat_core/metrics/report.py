"""An evaluation as plain JSON values."""

from __future__ import annotations

from typing import Any

import numpy as np

from compat_core.metrics.bootstrap import RESAMPLES, Interval, bootstrap_means, interval
from compat_core.metrics.scores import RetrievalScores


def evaluation_summary(
    scores: RetrievalScores, ci: bool = True, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Every metric of an evaluation with its value and, if asked for, its 95 % bootstrap interval.

    Args:
        scores: the evaluation.
        ci: compute intervals (``ci_low`` and ``ci_high`` are None without); all metrics share one resampling.
        seed, resamples: of the bootstrap over queries.

    Returns:
        ``{metric: {"value", "ci_low", "ci_high"}, …, "num_queries", "num_skipped", "num_gallery",
        "num_zero_vectors", "distance", "chance": {metric: value}}``; fractions in [0, 1], only JSON types.

    Raises:
        CompatError: for fewer than one resample.
    """
    valid = scores.per_query.valid
    columns = {name: values[valid] for name, values in scores.columns().items()}
    means = bootstrap_means(np.stack(list(columns.values()), axis=1), resamples, seed) if ci else None
    summary: dict[str, Any] = {}
    for index, (name, values) in enumerate(columns.items()):
        value = float(values.mean())
        bounds = interval(value, means[:, index]) if means is not None else Interval(value, np.nan, np.nan, 0.95, 0)
        summary[name] = bounds.row()
    return summary | {
        "num_queries": scores.num_queries,
        "num_skipped": scores.num_skipped,
        "num_gallery": scores.num_gallery,
        "num_zero_vectors": scores.num_zero_vectors,
        "distance": scores.distance,
        "chance": dict(scores.chance),
    }
