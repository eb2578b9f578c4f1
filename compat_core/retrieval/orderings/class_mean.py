"""The order of the distance to the mean of the row's own class."""

from __future__ import annotations

import numpy as np

from compat_core.retrieval.orderings.base import ORDERINGS, Gallery, Ordering, largest_first


def farthest_from_class_mean(gallery: Gallery, labels: np.ndarray) -> np.ndarray:
    """Rows by falling ``‖x − mean of the rows of its class‖``, in the space that is searched; two passes over the rows.

    Args:
        gallery: of N rows.
        labels: ``(N,)`` codes from 0.
    """
    counts, sums = np.bincount(labels), np.zeros(0)
    for at, rows in gallery.batches():
        sums = sums if len(sums) else np.zeros((len(counts), rows.shape[1]))
        np.add.at(sums, labels[at], rows)
    means = sums / np.maximum(counts, 1)[:, None]
    return largest_first(
        np.concatenate([np.linalg.norm(rows - means[labels[at]], axis=1) for at, rows in gallery.batches()])
    )


ORDERINGS.add(
    Ordering(
        name="class-mean",
        title="Distance to the class mean",
        summary="the rows farthest from the mean of their own class first",
        needs=("labels",),
        arrange=farthest_from_class_mean,
    )
)
