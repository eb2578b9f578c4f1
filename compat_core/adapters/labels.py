"""Items without a label, among others that have one: each is called by its row, so that no two are ever alike.

Such an item stays in the gallery, is relevant to no query, and asks none; a term that needs classes passes it over.
"""

from __future__ import annotations

import numpy as np

NO_CLASS = -1  # the code of an item without a label
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


def class_codes(labels: np.ndarray) -> tuple[np.ndarray, int]:
    """Labels as whole numbers in [0, K), ``NO_CLASS`` for an item without one, and K. ``(N,)`` → ``(N,)`` int64."""
    known = labelled(labels)
    codes = np.full(len(known), NO_CLASS, dtype=np.int64)
    classes, found = np.unique(np.asarray(labels)[known], return_inverse=True)
    codes[known] = found.reshape(-1)
    return codes, len(classes)
