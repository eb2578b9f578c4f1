"""A backbone with a linear embedding head: images in, vectors out."""

from __future__ import annotations

import torch
from torch import nn

from compat_core.errors import CompatError
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
        built = BACKBONES.get(arch).build(channels, image_size, pretrained)
        if not (isinstance(built, tuple) and len(built) == 2 and isinstance(built[1], int)):
            raise CompatError(f"backbone {arch}", value=type(built).__name__, rule="build must return (module, width)")
        self.backbone, width = built
        self.head = nn.Linear(width, dim)
        self.final_relu = final_relu
        self.to(memory_format=torch.channels_last)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.backbone(images.contiguous(memory_format=torch.channels_last))
        if features.ndim != 2 or features.shape[1] != self.head.in_features:
            rule = f"must give features of shape (B, {self.head.in_features}), the width that its build returned"
            raise CompatError(f"backbone {self.arguments['arch']}", value=tuple(features.shape), rule=rule)
        emb = self.head(features)
        return emb.relu() if self.final_relu else emb
