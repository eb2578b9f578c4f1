"""Which labels a backfill may be ordered by."""

from __future__ import annotations

import numpy as np

from compat_core.adapters.labels import labelled


def for_orders(labels: np.ndarray | None) -> np.ndarray | None:
    """The labels ``(N,)`` where every item has one, else None.

    An order by class would take all items without a label first or last, which no query finds relevant: part of a
    backfill would tell them apart from the others, and look better than all of it.
    """
    return labels if labels is not None and labelled(labels).all() else None
