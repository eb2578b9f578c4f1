"""Classification joined by a second term on the embeddings: the shape of the centre, triplet and contrastive losses.

The classification part gives these losses the weight row per class that backward-compatible methods freeze.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import nn

from compat_core.config import param
from compat_core.losses.base import UNIT_ROW_START_STD, ClassificationLoss, LossConfig, carried_bias, products


@dataclass(frozen=True, slots=True)
class JointConfig(LossConfig):
    """Which classification loss, and how much the second term weighs against it."""

    classifier: str = param(
        "normsoftmax",
        "normsoftmax: embeddings of length 1, in both terms; softmax: embeddings as they are",
        choices=("normsoftmax", "softmax"),
    )
    scale: float = param(16.0, "inverse temperature of the cosine logits (normsoftmax only)", low=1.0, high=256.0)
    weight: float = param(1.0, "weight of the second term; classification weighs 1", low=0.0, high=1e4)


class JointLoss(ClassificationLoss):
    """``classification + weight · second term``, both on the same placed embeddings."""

    config: JointConfig

    def __init__(self, dim: int, num_classes: int, config: JointConfig) -> None:
        super().__init__(dim, num_classes, config)
        self.bias = None if self.normalised else nn.Parameter(torch.zeros(num_classes))

    def start_std(self, dim: int) -> float:
        return UNIT_ROW_START_STD if self.normalised else super().start_std(dim)

    @property
    def normalised(self) -> bool:
        """Whether embeddings are put on the unit sphere first."""
        return self.config.classifier == "normsoftmax"

    @property
    def scale(self) -> float:
        """Inverse temperature of the logits; 1 for the plain softmax."""
        return self.config.scale if self.normalised else 1.0

    def placed(self, emb: torch.Tensor) -> torch.Tensor:
        """The embeddings as both terms see them: of length 1, or as they are. Shape: ``(B, D)`` → ``(B, D)``."""
        return F.normalize(emb) if self.normalised else emb

    def logits(self, emb: torch.Tensor) -> torch.Tensor:
        if self.bias is None:
            return self.scale * products(self.placed(emb), F.normalize(self.weight))
        return products(emb, self.weight) + self.bias

    def second_term(self, emb: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The term beside classification. Shape: placed ``emb (B, D)``, ``labels (B,)`` → scalar."""
        raise NotImplementedError

    def forward(self, emb: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        classification = super().forward(emb, labels)
        return classification + self.config.weight * self.second_term(self.placed(emb), labels)

    def with_rows(self, weight: torch.Tensor) -> Self:
        head = super().with_rows(weight)
        if self.bias is not None and head.bias is not None:
            with torch.no_grad():
                head.bias.copy_(carried_bias(self.bias, self.weight, weight))
        return head


class PairLoss(JointLoss):
    """A second term on the Euclidean distances between all images of a batch.

    A frozen head leaves the pair term out: it would say nothing about the frozen rows, and a method that trains new
    embeddings against an old classifier would count the new model's own pairs twice. A batch without two images of
    one class has a pair term of zero, with zero gradient.
    """

    def pair_term(self, distances: torch.Tensor, same: torch.Tensor, different: torch.Tensor) -> torch.Tensor:
        """The term of a batch with at least one positive pair.

        Args:
            distances: Euclidean distances ``(B, B)``.
            same: True for two images of one class, False on the diagonal ``(B, B)``.
            different: True for images of two classes ``(B, B)``.
        """
        raise NotImplementedError

    def second_term(self, emb: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if not self.weight.requires_grad:
            return emb.sum() * 0
        equal = labels[:, None] == labels[None, :]  # (B, B)
        same = equal & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
        if not same.any():
            return emb.sum() * 0
        # not by ‖a‖² + ‖b‖² − 2ab: its rounding error makes near-duplicates look far apart
        distances = torch.cdist(emb, emb, compute_mode="donot_use_mm_for_euclid_dist")  # gradient 0 at distance 0
        return self.pair_term(distances, same, ~equal)
