"""Centre loss: softmax, with every embedding drawn to the centre of its class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F

from compat_core.config import param
from compat_core.losses.base import LOSSES, Loss
from compat_core.losses.joint import JointConfig, JointLoss


@dataclass(frozen=True, slots=True)
class CentreConfig(JointConfig):
    """Weight of the pull and how fast the centres follow."""

    classifier: str = param(
        "softmax",
        "softmax: embeddings as they are; normsoftmax: embeddings of length 1, in both terms",
        choices=("softmax", "normsoftmax"),
        paper="softmax",
    )
    weight: float = param(
        0.003, "λ, weight of the pull to the centres; classification weighs 1", low=0.0, high=1e4, paper="0.003"
    )
    rate: float = param(0.5, "α, share of the way a centre moves in a step", low=0.0, high=1.0, paper="0.5")


class CentreLoss(JointLoss):
    """``−log softmax_y + λ · ½‖n − c_y‖²``, averaged over the batch.

    The centres are learnt by the paper's rule, not by the optimiser (λ and the learning rate would make them crawl):
    after every training step ``c_j ← c_j − α · Σ_{i: y_i = j} (c_j − n_i) / (1 + N_j)``, with N_j the images of class
    j in the batch. They start at 0, are saved with the head, and stay where they are in eval mode and in a frozen
    head, which then draws new embeddings to the old centres.

    Reference: Wen et al. 2016, ECCV, Eq. 2, 4 and 5.

    Departs from the paper: both terms are means over the batch, not sums (their ratio is the same); optionally on
    embeddings of length 1.
    """

    recordable = True

    config: CentreConfig
    centres: torch.Tensor

    def __init__(self, dim: int, num_classes: int, config: CentreConfig) -> None:
        super().__init__(dim, num_classes, config)
        self.register_buffer("centres", torch.zeros(num_classes, dim))  # (K, D)

    def second_term(self, emb: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        pull = 0.5 * (emb - self.centres[labels]).square().sum(dim=1).mean()
        if self.training and self.weight.requires_grad and torch.is_grad_enabled():
            self._follow(emb.detach(), labels)
        return pull

    def _follow(self, emb: torch.Tensor, labels: torch.Tensor) -> None:
        """Move the centres of the batch's classes towards its embeddings."""
        member = F.one_hot(labels, len(self.centres)).to(self.centres.dtype)  # (B, K)
        count = member.sum(dim=0)[:, None]  # (K, 1)
        with torch.autocast(emb.device.type, enabled=False):
            sums = member.T @ emb.to(self.centres.dtype)  # (K, B) @ (B, D); unlike index_add, repeatable on a GPU
        self.centres -= self.config.rate * (count * self.centres - sums) / (1 + count)

    def with_rows(self, weight: torch.Tensor) -> Self:
        head = super().with_rows(weight)
        known = min(len(self.centres), len(weight))
        head.centres.copy_(self.placed(weight.detach()))  # a synthesised row is a mean embedding, so a centre
        head.centres[:known] = self.centres[:known]
        return head


LOSSES.add(
    Loss(
        name="centre",
        title="Centre loss",
        summary="Softmax, with every embedding also drawn to the running centre of its class.",
        formula=r"-\log\frac{e^{W_y\cdot n+b_y}}{\sum_j e^{W_j\cdot n+b_j}}+\frac{\lambda}{2}\lVert n-c_y\rVert^2",
        paper="Wen et al. 2016, ECCV, doi 10.1007/978-3-319-46478-7_31",
        config=CentreConfig,
        build=CentreLoss,
    )
)
