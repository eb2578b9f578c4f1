"""A backbone with a linear embedding head: images in, vectors out."""

from __future__ import annotations

import torch
from torch import nn

from compat_core.models.backbones import BACKBONES, check_image_size
from compat_core.models.saved import SavedModule


class Embedder(SavedModule, kind="embedder"):
    """``φ(x) = A · backbone(x)``, un-normalised; comparison decides about norms, not the model.

    Args:
        arch: backbone name.
        dim: embedding dimension D.
        channels: image channels, 1 or 3.
        image_size: image side in pixels.
        pretrained: start the backbone from published weights.
        final_relu: clamp the embedding at zero (a negative control: it breaks BCT).

    Shape: float images ``(B, C, S, S)`` → ``(B, D)``.
    """

    def __init__(
        self,
        arch: str,
        dim: int,
        channels: int,
        image_size: int,
        pretrained: bool = False,
        final_relu: bool = False,
    ) -> None:
        super().__init__()
        check_image_size(arch, image_size)
        # rebuilt from disk, the weights come from the file: nothing is downloaded again
        self.arguments = {
            "arch": arch, "dim": dim, "channels": channels, "image_size": image_size,
            "pretrained": False, "final_relu": final_relu,
        }  # fmt: skip
        self.dim = dim
        self.backbone, width = BACKBONES.get(arch).build(channels, image_size, pretrained)
        self.head = nn.Linear(width, dim)
        self.final_relu = final_relu
        self.to(memory_format=torch.channels_last)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        emb = self.head(self.backbone(images.contiguous(memory_format=torch.channels_last)))
        return emb.relu() if self.final_relu else emb
