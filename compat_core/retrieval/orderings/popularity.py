"""The order of how often a row is requested."""

from __future__ import annotations

import numpy as np

from compat_core.retrieval.orderings.base import ORDERINGS, Gallery, Ordering, largest_first


def most_requested_first(gallery: Gallery, weights: np.ndarray) -> np.ndarray:
    """Rows by falling weight.

    Args:
        gallery: of N rows.
        weights: ``(N,)`` requests, or anything that grows with them.
    """
    del gallery
    return largest_first(weights)


ORDERINGS.add(
    Ordering(
        name="popularity",
        title="Popularity",
        summary="the most requested rows first",
        needs=("weights",),
        arrange=most_requested_first,
    )
)
