"""A random order, which every other one has to beat."""

from __future__ import annotations

import numpy as np

from compat_core.retrieval.orderings.base import ORDERINGS, Gallery, Ordering


def shuffled(gallery: Gallery) -> np.ndarray:
    """Every permutation is as likely as any other. Shape: ``(N,)``."""
    return np.random.default_rng(gallery.seed).permutation(len(gallery))


ORDERINGS.add(
    Ordering(
        name="random",
        title="Random",
        summary="any rows, as they are drawn",
        arrange=shuffled,
        random=True,
    )
)
