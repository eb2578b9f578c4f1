"""The order of the uncertainty that a method predicts for its own migrated rows."""

from __future__ import annotations

import numpy as np

from compat_core.retrieval.orderings.base import ORDERINGS, Gallery, Ordering, largest_first


def least_sure_first(gallery: Gallery, uncertainty: np.ndarray) -> np.ndarray:
    """Rows by falling σ.

    Args:
        gallery: of N rows.
        uncertainty: ``(N,)`` σ of each row.

    Reference: FastFill, arXiv 2303.04766, section 4.
    """
    del gallery
    return largest_first(uncertainty)


ORDERINGS.add(
    Ordering(
        name="sigma",
        title="Predicted uncertainty",
        summary="the rows the method itself is least sure of first (FastFill's predicted uncertainty)",
        paper="Jaeckle et al. 2023, arXiv 2303.04766, section 4",
        needs=("uncertainty",),
        arrange=least_sure_first,
    )
)
