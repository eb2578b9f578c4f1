"""The order of the error that only a finished backfill knows."""

from __future__ import annotations

import numpy as np

from compat_core.retrieval.orderings.base import ORDERINGS, Gallery, Ordering, largest_first


def farthest_from_new(gallery: Gallery, gallery_new: np.ndarray) -> np.ndarray:
    """Rows by falling ``‖migrated − new‖``, in the space that is searched.

    Args:
        gallery: of N rows.
        gallery_new: ``(N, D)`` the rows after their backfill.
    """
    before, after = gallery.as_searched(gallery.gallery_old), gallery.as_searched(gallery_new)
    return largest_first(np.linalg.norm(before - after, axis=1))


ORDERINGS.add(
    Ordering(
        name="oracle",
        title="Oracle",
        summary="the rows whose migrated vector is farthest from the new one first",
        needs=("gallery_new",),
        arrange=farthest_from_new,
    )
)
