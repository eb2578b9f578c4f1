"""FCT's transformation h: old embedding and side-information to the new embedding."""

from __future__ import annotations

import torch
from torch import nn

from compat_core.models.saved import SavedModule


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU())


class FctTransformation(SavedModule, kind="fct-transformation"):
    """``h(o, s)``: one branch each for old embedding and side-information, concatenated, then a mixer.

    Branches ``D → 2D → 2·D_new``, mixer ``→ width → width → D_new``; every layer is Linear (no bias), batch norm,
    ReLU except the last, a plain Linear with bias.

    Args:
        old_dim, side_dim, new_dim: dimensions D_old, D_side, D_new.
        width: the mixer's hidden width.

    Shape: ``(B, D_old)``, ``(B, D_side)`` → ``(B, D_new)``.

    Reference: FCT, arXiv 2112.02805, appendix; 5,712,000 parameters at 128/128/128 with width 2048.
    """

    def __init__(self, old_dim: int, side_dim: int, new_dim: int, width: int) -> None:
        super().__init__()
        self.arguments = {"old_dim": old_dim, "side_dim": side_dim, "new_dim": new_dim, "width": width}
        self.old_branch = nn.Sequential(_layer(old_dim, 2 * old_dim), _layer(2 * old_dim, 2 * new_dim))
        self.side_branch = nn.Sequential(_layer(side_dim, 2 * side_dim), _layer(2 * side_dim, 2 * new_dim))
        self.mixer = nn.Sequential(_layer(4 * new_dim, width), _layer(width, width), nn.Linear(width, new_dim))

    def forward(self, old_emb: torch.Tensor, side: torch.Tensor) -> torch.Tensor:
        return self.mixer(torch.cat([self.old_branch(old_emb), self.side_branch(side)], dim=1))


class UncertainTransformation(SavedModule, kind="uncertain-transformation"):
    """FastFill's h_σ: FCT's h, and a linear head on its output that predicts log σ² of the mapped row.

    Args:
        old_dim, side_dim, new_dim, width: as :class:`FctTransformation`.

    Shape: ``(B, D_old)``, ``(B, D_side)`` → ``(B, D_new)``, ``(B,)``.

    Reference: FastFill, arXiv 2303.04766; 5,712,129 parameters at 128/128/128 with width 2048.
    """

    def __init__(self, old_dim: int, side_dim: int, new_dim: int, width: int) -> None:
        super().__init__()
        self.arguments = {"old_dim": old_dim, "side_dim": side_dim, "new_dim": new_dim, "width": width}
        self.transformation = FctTransformation(old_dim, side_dim, new_dim, width)
        self.log_variance = nn.Linear(new_dim, 1)

    def forward(self, old_emb: torch.Tensor, side: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mapped = self.transformation(old_emb, side)
        return mapped, self.log_variance(mapped)[:, 0]
