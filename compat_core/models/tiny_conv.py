"""A small residual convnet for small images, sized so that two CPU cores train it in minutes."""

from __future__ import annotations

import itertools

import torch
from torch import nn


def _conv(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class _Residual(nn.Module):
    """``x + conv(x)`` at constant width."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = _conv(width, width, stride=1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features + self.conv(features)


class TinyConv(nn.Module):
    """Convolution stages that halve the side until it is 4 px (2 px below 16), the last two with a residual block.

    Args:
        channels: input channels, 1 or 3.
        image_size: input side in pixels, at least 8.

    Shape: ``(B, C, S, S)`` → ``(B, width)``, by average pooling.
    """

    def __init__(self, channels: int, image_size: int) -> None:
        super().__init__()
        widths = (32, 64) if image_size < 16 else (32, 64, 128, 256)
        stages: list[nn.Module] = [_conv(channels, widths[0], stride=2 if image_size > 40 else 1)]
        for index, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            stages.append(_conv(inputs, outputs, stride=2))
            if index >= len(widths) - 3:
                stages.append(_Residual(outputs))
        self.stages = nn.Sequential(*stages)
        grid = 2 if image_size < 16 else 1  # tiny images keep a coarse layout: a mean over 16 cells loses the stroke
        self.pool = nn.AdaptiveAvgPool2d(grid)
        self.width = widths[-1] * grid * grid

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.pool(self.stages(images)).flatten(1)
