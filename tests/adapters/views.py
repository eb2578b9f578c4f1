"""Two views of the same items, for the tests of adapters."""

import numpy as np
import torch

from compat_core.adapters import Pairs


def two_views(count=200, source_dim=12, target_dim=9, classes=5, noise=0.1, seed=0):
    """Pairs whose vectors are two noisy, bent views of clustered latent points; labels are the clusters."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    latent = rng.normal(size=(classes, 6))[labels] + 0.5 * rng.normal(size=(count, 6))
    sides = [np.tanh(latent @ rng.normal(size=(6, dim)) / 2) for dim in (source_dim, target_dim)]
    source, target = (side + noise * rng.normal(size=side.shape) + 0.3 for side in sides)
    return Pairs(source.astype(np.float32), target.astype(np.float32), labels)


def orthogonal(dim, seed=0):
    """A random orthogonal matrix (dim, dim), float64."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))[0]


@torch.no_grad()
def mapped(vector_map, vectors, side=None):
    """Vectors through a map, as numpy."""
    side = None if side is None else torch.as_tensor(side, dtype=torch.float32)
    return vector_map(torch.as_tensor(np.asarray(vectors), dtype=torch.float32), side).numpy()


def cosines(left, right):
    """Cosine of each row of one matrix with the same row of the other."""
    return (left * right).sum(1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
