"""The d-simplex classifier of CoReS: class rows are fixed vertices of a regular simplex, and never learned."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import nn

from compat_core.config import param
from compat_core.errors import CompatError
from compat_core.losses.base import LOSSES, ClassificationLoss, Loss, LossConfig, products


@dataclass(frozen=True, slots=True)
class SimplexConfig(LossConfig):
    """Scale of the logits."""

    scale: float = param(1.0, "multiplies the logits; embeddings are not normalised", low=0.01, high=256.0, paper="1")


def simplex_vertices(dim: int) -> torch.Tensor:
    """The ``dim + 1`` unit vertices of a regular simplex around the origin, any two at cosine ``−1/dim``.

    The unit vectors and the one point that is equally far from all of them, moved to their common mean and scaled.

    Returns:
        ``(dim + 1, dim)`` float32.
    """
    last = torch.full((1, dim), (1 - math.sqrt(dim + 1)) / dim, dtype=torch.float64)
    corners = torch.cat([torch.eye(dim, dtype=torch.float64), last])
    return nn.functional.normalize(corners - corners.mean(0)).float()


class Simplex(ClassificationLoss):
    """``−log softmax(s · V n)_y`` over all ``D + 1`` vertices V, class k at vertex k.

    Vertices beyond the classes are kept free for classes to come: training pushes embeddings away from them. Another
    model of the same dimension whose classes carry the same numbers has the same rows, whatever it was trained on.

    Reference: Biondi et al. 2021, arXiv 2111.07632.
    """

    recordable = True

    config: SimplexConfig
    spare: torch.Tensor

    def __init__(self, dim: int, num_classes: int, config: SimplexConfig) -> None:
        if num_classes > dim + 1:
            raise CompatError(
                "loss simplex",
                value=f"{num_classes} classes, {dim} dimensions",
                rule=f"a simplex of {dim} dimensions has {dim + 1} vertices, one per class",
                fix=f"set dim to at least {num_classes - 1}",
            )
        super().__init__(dim, num_classes, config)
        vertices = simplex_vertices(dim)
        self.weight = nn.Parameter(vertices[:num_classes].clone(), requires_grad=False)  # (K, D)
        self.register_buffer("spare", vertices[num_classes:].clone())  # (D + 1 − K, D)

    @property
    def scale(self) -> float:
        """Inverse temperature of the logits."""
        return self.config.scale

    def logits(self, emb: torch.Tensor) -> torch.Tensor:
        return self.scale * products(emb, self.weight)

    def margin_logits(self, emb: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.logits(emb), self.scale * products(emb, self.spare)], dim=1)  # (B, D + 1)

    def with_rows(self, weight: torch.Tensor) -> Self:
        head = copy.deepcopy(self)
        head.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
        head.spare = self.spare[max(0, len(weight) - len(self.weight)) :]  # new rows take the place of spare vertices
        return head.to(weight.device)


LOSSES.add(
    Loss(
        name="simplex",
        title="Fixed d-simplex classifier",
        summary="Softmax against fixed, evenly spread class rows, with spare ones for classes to come.",
        formula=r"-\log\frac{e^{s\,v_y\cdot n}}{\sum_{j=1}^{D+1}e^{s\,v_j\cdot n}},\;v_i\cdot v_j=-\tfrac1D",
        paper="Biondi et al. 2021, arXiv 2111.07632",
        config=SimplexConfig,
        build=Simplex,
    )
)
