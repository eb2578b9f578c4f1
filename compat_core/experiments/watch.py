"""How well a few of its own training images are found while a model is trained: to watch it, never to choose by."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import nn

from compat_core.data.images import ImageSet
from compat_core.methods import Upgrade
from compat_core.metrics.evaluate import evaluate_retrieval
from compat_core.training.embedding import embed

MOST_IMAGES = 512
SMALLEST_PART = 8  # one image of so many: looking then costs a few hundredths of an epoch
PER_CLASS = 8  # enough relevant items for each query, however many classes there are
FEWEST_IMAGES = 16


class Watch:
    """Mean average precision among a fixed sample of training images.

    Args:
        images: the training images of the model.
        device: where to embed and compare.
        distance: how the space will be searched.
        seed: of the sample.
    """

    def __init__(self, images: ImageSet, device: torch.device, distance: str = "cosine", seed: int = 0) -> None:
        labels = images.labels.cpu().numpy()
        rows = watched_rows(labels, seed)
        self.device, self.distance = device, distance
        self.labels = labels[rows]
        self.images = images.images[torch.as_tensor(rows, device=images.images.device)]
        self.old: tuple[nn.Module, torch.Tensor, float] | None = None  # frozen: looked at once

    def alone(self, embedder: nn.Module, role: str) -> dict[str, float]:
        """mAP of a model that serves no method, as ``{"old/old": …}`` for the role ``old``; see :meth:`method`."""
        emb = self._emb(embedder)
        return {} if emb is None else {f"{role}/{role}": self._mean_ap(emb, emb)}

    @torch.no_grad()
    def method(self, upgrade: Upgrade) -> dict[str, float]:
        """mAP of the cells new/new, new/old and old/old, in the space the upgrade searches.

        Empty for too few images, and once the embeddings are no longer finite, which the loss will say next. Leaves
        the upgrade in eval mode, and no random stream touched.
        """
        emb = self._emb(upgrade.eval().new)
        if emb is None:
            return {}
        if self.old is None or self.old[0] is not upgrade.old:
            frozen = embed(upgrade.old, self.images, self.device)
            self.old = (upgrade.old, frozen, self._mean_ap(frozen, frozen))
        _, old_emb, status_quo = self.old
        query = upgrade.query(emb).float()
        return {
            "new/new": self._mean_ap(query, upgrade.gallery_new(emb).float()),
            "new/old": self._mean_ap(query, upgrade.gallery_old(old_emb).float()),
            "old/old": status_quo,
        }

    def _emb(self, embedder: nn.Module) -> torch.Tensor | None:
        if len(np.unique(self.labels)) == len(self.labels):
            return None
        emb = embed(embedder, self.images, self.device)
        return emb if bool(torch.isfinite(emb).all()) else None

    def _mean_ap(self, query: torch.Tensor, gallery: torch.Tensor) -> float:
        ids = np.arange(len(self.labels))
        found = evaluate_retrieval(
            query, self.labels, gallery, self.labels, ids, ids, self.distance, device=str(self.device)
        )
        return found.mean_ap


def watched_rows(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Which items are watched: random classes, up to ``PER_CLASS`` random items of each.

    Args:
        labels: ``(N,)``.
        seed: of the choice.

    Returns:
        ``(W,)`` int64 rows, ascending, W <= ``MOST_IMAGES`` and a small part of N; none of a very small set.
    """
    most = min(MOST_IMAGES, len(labels) // SMALLEST_PART)
    if most < FEWEST_IMAGES:
        return np.zeros(0, dtype=np.int64)
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(labels))
    rows = rows[pd.Series(labels[rows]).groupby(labels[rows]).cumcount().to_numpy() < PER_CLASS]
    classes, codes = np.unique(labels[rows], return_inverse=True)
    turn = rng.permutation(len(classes))[codes]
    return np.sort(rows[np.argsort(turn, kind="stable")][:most])
