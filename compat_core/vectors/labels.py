"""Items without a label, among others that have one: each is called by its row, so that no two are ever alike.

Such an item stays in the gallery, is relevant to no query, and asks none.
"""

from __future__ import annotations

import numpy as np

_UNLABELLED = "unlabelled (row "


def named_apart(known: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Labels of all items ``(N,)`` as texts, those of ``known (N,)`` bool items being ``labels (K,)``."""
    names = np.array([f"{_UNLABELLED}{row})" for row in range(len(known))], dtype=object)
    names[known] = labels.astype(str)
    return names.astype(str)


def labelled(labels: np.ndarray) -> np.ndarray:
    """Which of the items with these ``labels (N,)`` have one of somebody's own. Shape: ``(N,)`` bool."""
    labels = np.asarray(labels)
    if labels.dtype.kind != "U":
        return np.ones(len(labels), dtype=bool)
    return ~np.char.startswith(labels, _UNLABELLED)


def for_orders(labels: np.ndarray | None) -> np.ndarray | None:
    """The labels ``(N,)`` where every item has one, else None.

    An order by class would take all items without a label first or last, which no query finds relevant: part of a
    backfill would tell them apart from the others, and look better than all of it.
    """
    return labels if labels is not None and labelled(labels).all() else None
