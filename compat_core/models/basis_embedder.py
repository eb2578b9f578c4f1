"""BT²'s embedder: old-sized and new-sized features, rotated so that the first components meet the old gallery."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from compat_core.errors import CompatError
from compat_core.models.backbones import BACKBONES
from compat_core.models.saved import SavedModule


class Rotation(nn.Module):
    """A learned orthogonal map, ``exp(A − Aᵀ)``, that starts as the identity. Shape: ``(B, D)`` → ``(B, D)``."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.generator = nn.Parameter(torch.zeros(dim, dim))

    def forward(self, emb: torch.Tensor) -> torch.Tensor:
        with torch.autocast(emb.device.type, enabled=False):  # in half precision it would not stay orthogonal
            return emb.float() @ torch.linalg.matrix_exp(self.generator - self.generator.T).T  # (B, D) @ (D, D)


def check_extra(extra: int, old_dim: int, new_dim: int) -> None:
    """Raise CompatError where Δ extra dimensions leave no room for the old space, or more than all of it."""
    fewest = max(1, old_dim - new_dim)
    if not fewest <= extra <= old_dim:
        rule = f"must lie between {fewest} and {old_dim} (old {old_dim}, new {new_dim} dimensions)"
        raise CompatError("bt2.extra", value=extra, rule=rule)


class BasisEmbedder(SavedModule, kind="basis-embedder"):
    """``[Q m_{1…D_old}; m_{D_old+1…}]`` with ``m = [N(ψ)_{1…Δ}; C · P N(φ)]``, P and Q orthogonal.

    ψ and φ are linear heads of one backbone, of the old and the new dimension. Rotations keep lengths and angles, so
    all of φ is in the result, while its first ``D_old`` components ``b`` are free to be an old embedding.

    Args:
        arch: backbone name.
        dim: dimension of the result, ``new_dim + Δ``, at least ``old_dim``.
        old_dim, new_dim: dimensions of ψ and φ.
        scale: C, length of the new features where N(ψ) has 1.
        channels, image_size, pretrained, final_relu: as :class:`~compat_core.models.embedder.Embedder`.

    Shape: float images ``(B, C, S, S)`` → ``(B, dim)``.

    Reference: BT², Zhou et al. 2023, arXiv 2211.03989.
    """

    def __init__(
        self,
        arch: str,
        dim: int,
        old_dim: int,
        new_dim: int,
        scale: float,
        channels: int,
        image_size: int,
        pretrained: bool = False,
        final_relu: bool = False,
    ) -> None:
        super().__init__()
        self.extra = dim - new_dim  # Δ
        check_extra(self.extra, old_dim, new_dim)
        # rebuilt from disk, the weights come from the file: nothing is downloaded again
        self.arguments = {
            "arch": arch, "dim": dim, "old_dim": old_dim, "new_dim": new_dim, "scale": scale, "channels": channels,
            "image_size": image_size, "pretrained": False, "final_relu": final_relu,
        }  # fmt: skip
        self.dim, self.old_dim, self.scale, self.final_relu = dim, old_dim, scale, final_relu
        self.backbone, width = BACKBONES.get(arch).build(channels, image_size, pretrained)
        self.new_head = nn.Linear(width, new_dim)  # φ
        self.old_head = nn.Linear(width, old_dim)  # ψ
        self.new_rotation, self.old_rotation = Rotation(new_dim), Rotation(old_dim)  # P, Q
        self.to(memory_format=torch.channels_last)

    def features(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The result ``(B, dim)`` and the new features φ it was made from ``(B, new_dim)``."""
        pooled = self.backbone(images.contiguous(memory_format=torch.channels_last))
        new = self.new_head(pooled).float()
        kept = F.normalize(self.old_head(pooled).float())[:, : self.extra]
        mixed = torch.cat([kept, self.scale * self.new_rotation(F.normalize(new))], dim=1)  # m (B, Δ + D_new)
        emb = torch.cat([self.old_rotation(mixed[:, : self.old_dim]), mixed[:, self.old_dim :]], dim=1)
        return (emb.relu() if self.final_relu else emb), new

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.features(images)[0]
