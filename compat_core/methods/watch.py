"""How well a few of its own training images are found while a model is trained: to watch it, never to choose by."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from compat_core.data.images import ImageSet
from compat_core.methods.upgrade import Upgrade
from compat_core.metrics.evaluate import evaluate_retrieval
from compat_core.models.embedder import Embedder
from compat_core.training.embedding import embed

MOST_IMAGES = 512
SMALLEST_PART = 8  # one image of so many: looking then costs a few hundredths of an epoch
PER_CLASS = 8  # enough relevant items for each query, however many classes there are
FEWEST_IMAGES = 16


class Watch:
    """Mean average precision among a fixed sample of training images, in every cell that can be had so early.

    Args:
        embedder: the model that is being trained.
        images: its training images.
        role: ``old``, ``new``, …: what the model is called in a cell's name.
        device: where to embed and compare.
        distance: how the shared space will be searched.
        upgrade: the method's, over ``embedder`` as it stands; None for a model that is compatible with nothing.
        seed: of the sample.
    """

    def __init__(
        self,
        embedder: Embedder,
        images: ImageSet,
        role: str,
        device: torch.device,
        distance: str = "cosine",
        upgrade: Upgrade | None = None,
        seed: int = 0,
    ) -> None:
        labels = images.labels.cpu().numpy()
        rows = watched_rows(labels, seed)
        self.embedder, self.upgrade, self.role = embedder, upgrade, role
        self.device, self.distance = device, distance
        self.labels = labels[rows]
        self.images = images.images[torch.as_tensor(rows, device=images.images.device)]
        self.old_emb: torch.Tensor | None = None

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """mAP by cell: ``new/new``, and with an upgrade ``new/old`` and ``old/old``.

        Empty for too few images, and once the embeddings are no longer finite, which the loss will say next.

        Leaves the model in eval mode, and no random stream touched.
        """
        if len(np.unique(self.labels)) == len(self.labels):
            return {}
        emb = embed(self.embedder, self.images, self.device)
        if not bool(torch.isfinite(emb).all()):
            return {}
        if self.upgrade is None:
            return {f"{self.role}/{self.role}": self._mean_ap(emb, emb)}
        upgrade = self.upgrade.eval()
        if self.old_emb is None:
            self.old_emb = embed(upgrade.old, self.images, self.device)
        query = upgrade.query(emb).float()
        return {
            f"{self.role}/{self.role}": self._mean_ap(query, upgrade.gallery_new(emb).float()),
            f"{self.role}/old": self._mean_ap(query, upgrade.gallery_old(self.old_emb).float()),
            "old/old": self._mean_ap(self.old_emb, self.old_emb),
        }

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
