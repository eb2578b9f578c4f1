"""LCE's transformation: residual blocks of several bottleneck paths, a linear map first where dimensions differ."""

from __future__ import annotations

import torch
from torch import nn

from compat_core.models.saved import SavedModule

BOTTLENECK, PATHS = 16, 4


def _layer(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.PReLU()]


class _Block(nn.Module):
    """``x + Σ paths``, each path Linear–BN–PReLU three times through a bottleneck of 16."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        sizes = ((dim, BOTTLENECK), (BOTTLENECK, BOTTLENECK), (BOTTLENECK, dim))
        self.paths = nn.ModuleList(
            nn.Sequential(*(layer for inputs, outputs in sizes for layer in _layer(inputs, outputs)))
            for _ in range(PATHS)
        )

    def forward(self, emb: torch.Tensor) -> torch.Tensor:
        return emb + torch.stack([path(emb) for path in self.paths]).sum(0)


class ResidualTransformation(SavedModule, kind="residual-transformation"):
    """A map between two embedding spaces.

    Args:
        input_dim, output_dim: dimensions; where they differ a linear map comes first.
        blocks: residual blocks.
        role: which way it maps, ``forward`` (old → new) or ``backward``; kept with the weights.

    Shape: ``(B, input_dim)`` → ``(B, output_dim)``.

    Reference: LCE, arXiv:2108.01958; block layout from its released code (4 blocks).
    """

    def __init__(self, input_dim: int, output_dim: int, blocks: int, role: str) -> None:
        super().__init__()
        self.arguments = {"input_dim": input_dim, "output_dim": output_dim, "blocks": blocks, "role": role}
        first = nn.Identity() if input_dim == output_dim else nn.Linear(input_dim, output_dim)
        self.layers = nn.Sequential(first, *(_Block(output_dim) for _ in range(blocks)))

    def forward(self, emb: torch.Tensor) -> torch.Tensor:
        return self.layers(emb)
