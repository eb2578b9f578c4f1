"""The metrics class by class: which classes an upgrade helps, and which it hurts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from compat_core.errors import CompatError
from compat_core.metrics.scores import RetrievalScores
from compat_core.retrieval.inputs import check_keys


def per_class(
    scores: RetrievalScores, query_labels: Any, class_names: Sequence[str] | None = None
) -> list[dict[str, Any]]:
    """Mean CMC@1 and average precision of the valid queries of each class.

    Args:
        scores: an evaluation.
        query_labels: (Nq,) whole numbers or texts, those it was made with.
        class_names: name of label i at place i; None writes the labels themselves.

    Returns:
        One ``{"class", "num_queries", "CMC@1", "mAP"}`` per class that has queries, in label order; the metrics are
        None where all its queries were skipped.

    Raises:
        CompatError: for labels that do not fit the evaluation, or a label without a name.
    """
    labels = check_keys("query_labels", query_labels, len(scores.per_query.valid), "the evaluation")
    present, code = np.unique(labels, return_inverse=True)
    if class_names is not None and (
        present.dtype.kind == "U" or present.min() < 0 or present.max() >= len(class_names)
    ):
        raise CompatError("class_names", rule=f"{len(class_names)} names; must name every label, up to {present.max()}")
    valid = scores.per_query.valid
    counts = np.bincount(code[valid], minlength=len(present))
    columns = {"CMC@1": scores.per_query.hit_within(1), "mAP": scores.per_query.average_precision}
    sums = {name: np.bincount(code[valid], column[valid], len(present)) for name, column in columns.items()}
    return [
        {
            "class": class_names[int(label)] if class_names is not None else str(label),
            "num_queries": int(counts[index]),
            **{name: float(sums[name][index] / counts[index]) if counts[index] else None for name in columns},
        }
        for index, label in enumerate(present)
    ]
