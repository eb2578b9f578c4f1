"""Class after class, as when the classes of a gallery are re-embedded one at a time."""

from __future__ import annotations

import numpy as np

from compat_core.retrieval.orderings.base import ORDERINGS, Gallery, Ordering


def class_by_class(gallery: Gallery, labels: np.ndarray) -> np.ndarray:
    """Whole classes in random order, within a class in gallery order. One draw: it has no band.

    Args:
        gallery: of N rows.
        labels: ``(N,)`` codes from 0.

    Reference: BCT, arXiv 2003.11942, appendix.
    """
    place = np.random.default_rng(gallery.seed).permutation(int(labels.max()) + 1)
    return np.argsort(place[labels], kind="stable")


ORDERINGS.add(
    Ordering(
        name="class",
        title="Class by class",
        summary="whole classes, one after the other, in random order",
        paper="Shen et al. 2020, arXiv 2003.11942, appendix",
        needs=("labels",),
        arrange=class_by_class,
    )
)
