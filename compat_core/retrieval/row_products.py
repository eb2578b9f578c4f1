"""One vector against all rows of a gallery: bound by memory, and on a page between two uses of a network.

BLAS would do it with threads of its own, which go on spinning for some ten milliseconds and keep torch's from the
processor: with two cores a query then takes three times as long, and so does the network that embeds the next one.
"""

from __future__ import annotations

import numpy as np
import torch

from compat_core.retrieval import compiled

WORTH_COMPILING = 2**20  # numbers below which torch is done in a millisecond


def products(rows: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """``rows @ vector``, in any order of summing. Shape: ``(N, D)``, ``(D,)`` float32 → ``(N,)`` float32.

    Compiled where numba is installed and the rows are many.
    """
    if rows.size < WORTH_COMPILING:
        return (torch.from_numpy(rows) * torch.from_numpy(vector)).sum(dim=1).numpy()
    if not compiled.available():
        return np.asarray(rows @ vector)
    out = np.empty(len(rows), np.float32)
    compiled.over_rows(_products, len(rows), lambda part: (rows[part], vector, out[part]), any_order=True)
    return out


def _products(rows: np.ndarray, vector: np.ndarray, out: np.ndarray) -> None:  # plain until numba compiles it
    for i in range(rows.shape[0]):
        total = np.float32(0)
        for j in range(rows.shape[1]):
            total += rows[i, j] * vector[j]
        out[i] = total
