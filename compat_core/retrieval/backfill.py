"""In which order gallery rows are re-embedded: a partial backfill by the name of its ordering."""

from __future__ import annotations

import numpy as np

from compat_core.errors import CompatError
from compat_core.retrieval.orderings import ORDERINGS, Gallery

SCORES = ("uncertainty", "weights")  # what ``scores`` can be, see the ordering's needs


def backfill_order(
    name: str,
    gallery_old: np.ndarray,
    *,
    labels: np.ndarray | None = None,
    gallery_new: np.ndarray | None = None,
    scores: np.ndarray | None = None,
    seed: int = 0,
    distance: str = "cosine",
) -> np.ndarray:
    """Gallery rows in the order in which they are backfilled.

    Args:
        name: one of :data:`~compat_core.retrieval.orderings.ORDERINGS`.
        gallery_old: ``(N, D)`` rows before their backfill, in the shared space.
        labels: ``(N,)`` codes from 0, for orderings that need them (``class-mean``, ``class``).
        gallery_new: ``(N, D)`` rows after it, for ``oracle``.
        scores: ``(N,)`` for ``sigma`` (uncertainty) and ``popularity`` (weights); largest first.
        seed: of ``random`` and ``class``.
        distance: how the gallery is searched, which decides what ``far`` means for ``class-mean`` and ``oracle``:
            between directions under ``cosine``, between the rows as they are under ``l2`` and ``dot``.

    Returns:
        ``(N,)`` int64, a permutation. Equal keys keep gallery order.

    Raises:
        CompatError: for an unknown ordering, one whose input is missing or of another length, one that needs both
            kinds of scores, or one that gives no permutation.
    """
    ordering = ORDERINGS.get(name)
    if set(SCORES) <= set(ordering.needs):
        rule, fix = f"needs {' and '.join(SCORES)}, which are one argument here", "order a Gallery that holds both"
        raise CompatError(f"backfill ordering {name}", rule=rule, fix=fix)
    return ordering.order(Gallery(gallery_old, labels, gallery_new, scores, scores, seed, distance))
