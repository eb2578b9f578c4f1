"""In which order gallery rows are re-embedded: the orderings of a partial backfill."""

from __future__ import annotations

import numpy as np

from compat_core.errors import CompatError, unknown_name

ORDERS = {
    "random": "in random order; several seeds give a band",
    "sigma": "the rows the method itself is least sure of first (FastFill's predicted uncertainty)",
    "class-mean": "the rows farthest from the mean of their own class first; needs labels, no training",
    "oracle": "the rows whose migrated vector is farthest from the new one first; needs the new",
    "class": "whole classes, one after the other, in random order",
    "popularity": "the most requested rows first; needs weights",
}
NEEDED = {"sigma": "scores", "popularity": "scores", "class-mean": "labels", "class": "labels", "oracle": "new"}


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
        name: one of ORDERS.
        gallery_old: ``(N, D)`` rows before their backfill, in the shared space.
        labels: ``(N,)`` for ``class-mean`` and ``class``.
        gallery_new: ``(N, D)`` rows after it, for ``oracle``.
        scores: ``(N,)`` for ``sigma`` (uncertainty) and ``popularity`` (weights); largest first.
        seed: of ``random`` and ``class``.
        distance: how the gallery is searched, which decides what ``far`` means for ``class-mean`` and ``oracle``:
            between directions under ``cosine``, between the rows as they are under ``l2`` and ``dot``.

    Returns:
        ``(N,)`` int64, a permutation. Equal keys keep gallery order.

    Raises:
        CompatError: for an unknown ordering, or one whose input is missing or of another length.

    Reference: FastFill, arXiv 2303.04766, section 4; ``class``: BCT, arXiv 2003.11942, appendix.
    """
    if name not in ORDERS:
        raise unknown_name("backfill ordering", name, ORDERS)
    given = {"labels": labels, "new": gallery_new, "scores": scores}
    needed = NEEDED.get(name)
    value = given.get(needed) if needed else None
    if needed and (value is None or len(value) != len(gallery_old)):
        raise CompatError(f"backfill ordering {name}", rule=f"needs {needed}, one for each of {len(gallery_old)} rows")
    random = np.random.default_rng(seed)
    if name == "random":
        return random.permutation(len(gallery_old))
    if name == "class" and labels is not None:
        place = random.permutation(int(labels.max()) + 1)
        return np.argsort(place[labels], kind="stable")
    if name == "class-mean" and labels is not None:
        keys = _distance_to_class_mean(_as_searched(gallery_old, distance), labels)
    elif name == "oracle" and gallery_new is not None:
        keys = np.linalg.norm(_as_searched(gallery_old, distance) - _as_searched(gallery_new, distance), axis=1)
    else:
        keys = np.asarray(scores, dtype=np.float64)
    return np.argsort(-keys, kind="stable")


def _as_searched(rows: np.ndarray, distance: str) -> np.ndarray:
    rows = np.asarray(rows, dtype=np.float64)
    if distance != "cosine":
        return rows
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _distance_to_class_mean(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    sums = np.zeros((int(labels.max()) + 1, rows.shape[1]))
    np.add.at(sums, labels, rows)
    means = sums / np.maximum(np.bincount(labels, minlength=len(sums)), 1)[:, None]
    return np.linalg.norm(rows - means[labels], axis=1)
