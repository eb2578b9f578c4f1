"""A gallery in the middle of a backfill: some rows new, the rest as the method leaves old rows."""

from __future__ import annotations

import numpy as np

from compat_core.errors import CompatError


def backfilled_mask(num_items: int, share: float, seed: int = 0) -> np.ndarray:
    """Which rows are backfilled, in a fixed random order: a larger share contains every smaller one.

    Args:
        num_items: gallery rows N.
        share: share backfilled, in [0, 1]; ``round(share · N)`` rows.
        seed: of the order.

    Returns:
        ``(N,)`` bool.

    Raises:
        CompatError: for a share outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise CompatError("backfilled share", value=share, rule="must be from 0 to 1")
    mask = np.zeros(num_items, dtype=bool)
    mask[np.random.default_rng(seed).permutation(num_items)[: round(share * num_items)]] = True
    return mask


def mixed_gallery(gallery_old: np.ndarray, gallery_new: np.ndarray, backfilled: np.ndarray) -> np.ndarray:
    """Rows of ``gallery_new`` where backfilled, else of ``gallery_old``.

    Args:
        gallery_old, gallery_new: ``(N, D)``, both in the shared space.
        backfilled: ``(N,)`` bool.

    Raises:
        CompatError: when the shapes differ.
    """
    if gallery_old.shape != gallery_new.shape or len(backfilled) != len(gallery_old):
        shapes = (gallery_old.shape, gallery_new.shape, backfilled.shape)
        raise CompatError("mixed gallery", value=shapes, rule="both galleries need the same items in the same space")
    return np.where(backfilled[:, None], gallery_new, gallery_old)
