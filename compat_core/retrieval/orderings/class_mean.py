"""The order of the distance to the mean of the row's own class."""

from __future__ import annotations

import numpy as np

from compat_core.retrieval.orderings.base import ORDERINGS, Gallery, Ordering, largest_first


def farthest_from_class_mean(gallery: Gallery, labels: np.ndarray) -> np.ndarray:
    """Rows by falling ``‖x − mean of the rows of its class‖``, in the space that is searched.

    Args:
        gallery: of N rows.
        labels: ``(N,)`` codes from 0.
    """
    rows = gallery.as_searched(gallery.gallery_old)
    sums = np.zeros((int(labels.max()) + 1, rows.shape[1]))
    np.add.at(sums, labels, rows)
    means = sums / np.maximum(np.bincount(labels, minlength=len(sums)), 1)[:, None]
    return largest_first(np.linalg.norm(rows - means[labels], axis=1))


ORDERINGS.add(
    Ordering(
        name="class-mean",
        title="Distance to the class mean",
        summary="the rows farthest from the mean of their own class first",
        needs=("labels",),
        arrange=farthest_from_class_mean,
    )
)
