"""Plain softmax cross-entropy on a linear classifier."""

from __future__ import annotations

from typing import Self

import torch
from torch import nn

from compat_core.losses.base import LOSSES, ClassificationLoss, Loss, LossConfig, carried_bias, products


class Softmax(ClassificationLoss):
    """``−log softmax(W n + b)_y``: the FCT paper's training loss (with label smoothing 0.1)."""

    recordable = True

    def __init__(self, dim: int, num_classes: int, config: LossConfig) -> None:
        super().__init__(dim, num_classes, config)
        self.bias = nn.Parameter(torch.zeros(num_classes))

    def logits(self, emb: torch.Tensor) -> torch.Tensor:
        return products(emb, self.weight) + self.bias

    def with_rows(self, weight: torch.Tensor) -> Self:
        head = super().with_rows(weight)
        with torch.no_grad():
            head.bias.copy_(carried_bias(self.bias, self.weight, weight))
        return head


LOSSES.add(
    Loss(
        name="softmax",
        title="Softmax cross-entropy",
        summary="Linear classifier on the un-normalised embedding; vector norms carry information.",
        formula=r"-\log\frac{e^{W_y\cdot n+b_y}}{\sum_j e^{W_j\cdot n+b_j}}",
        paper="used by FCT, Ramanujan et al. 2022, arXiv 2112.02805",
        config=LossConfig,
        build=Softmax,
    )
)
