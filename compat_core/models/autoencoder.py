"""A convolutional autoencoder whose bottleneck is side-information."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from compat_core.models.embedder import Embedder


class Decoder(nn.Module):
    """Bottleneck back to an image, by three nearest-neighbour doublings.

    Args:
        dim: bottleneck dimension.
        channels: image channels.
        image_size: image side in pixels.

    Shape: ``(B, dim)`` → ``(B, channels, image_size, image_size)``, in [-1, 1].
    """

    def __init__(self, dim: int, channels: int, image_size: int) -> None:
        super().__init__()
        self.image_size = image_size
        self.side = max(1, image_size // 8)
        self.start = nn.Linear(dim, 64 * self.side * self.side)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())
            for inputs, outputs in ((64, 64), (64, 32), (32, 32))
        )
        self.last = nn.Conv2d(32, channels, 3, padding=1)

    def forward(self, code: torch.Tensor) -> torch.Tensor:
        grid = self.start(code).view(-1, 64, self.side, self.side)
        for block in self.blocks:
            grid = block(F.interpolate(grid, scale_factor=2.0))
        return torch.tanh(self.last(F.interpolate(grid, size=(self.image_size, self.image_size))))


class Autoencoder(nn.Module):
    """An embedder (the encoder that is kept) and a decoder (thrown away after training)."""

    def __init__(self, encoder: Embedder) -> None:
        super().__init__()
        self.encoder = encoder
        arguments = encoder.arguments
        self.decoder = Decoder(encoder.dim, arguments["channels"], arguments["image_size"])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.decoder(self.encoder(images))
