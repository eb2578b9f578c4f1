"""The one object every method ends in: how old and new vectors meet in one space.

All evaluation, search, backfill and migration code is written against :class:`Upgrade`.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from compat_core.models.saved import SavedModule


def match_dim(emb: torch.Tensor, dim: int) -> torch.Tensor:
    """``emb (N, D)`` as ``(N, dim)``: its first ``dim`` components, or padded with zeros.

    Reference: BCT, arXiv 2003.11942, section 4.4 (a new model of another dimension).
    """
    width = emb.shape[1]
    return emb[:, :dim] if width >= dim else F.pad(emb, (0, dim - width))


class Upgrade(nn.Module):
    """An old and a new embedder and the maps into the space they share.

    This base is the direct case (independent, BCT, direct LCE): vectors are compared as they are. When the dimensions
    differ the shorter one is padded with zeros, which for one query ranks the old rows exactly as cutting the longer
    one would, under cosine, dot product and L2 alike.

    Args:
        old: the frozen old embedder, ``(B, C, S, S)`` → ``(B, D_old)``.
        new: the new embedder, → ``(B, D_new)``.
        parts: further saved modules of the method by name; ``side`` is the side-information encoder stored with the
            old gallery.
    """

    def __init__(self, old: SavedModule, new: SavedModule, **parts: SavedModule) -> None:
        super().__init__()
        self.old, self.new = old, new
        self.parts = nn.ModuleDict(parts)
        self.dim = max(old.arguments["dim"], new.arguments["dim"])

    @property
    def side(self) -> nn.Module | None:
        """The encoder of the side-information, or None for methods that store none."""
        return dict(self.parts.items()).get("side")

    def query(self, new_emb: torch.Tensor) -> torch.Tensor:
        """A new-model query in the shared space. Shape: ``(N, D_new)`` → ``(N, D)``."""
        return match_dim(new_emb, self.dim)

    def gallery_new(self, new_emb: torch.Tensor) -> torch.Tensor:
        """A backfilled gallery row in the shared space. Shape: ``(N, D_new)`` → ``(N, D)``."""
        return self.query(new_emb)

    def gallery_old(self, old_emb: torch.Tensor, side: torch.Tensor | None = None) -> torch.Tensor:
        """A gallery row that was NOT backfilled. Shape: ``(N, D_old)`` [, ``(N, D_side)``] → ``(N, D)``."""
        return match_dim(old_emb, self.dim)

    def uncertainty(self, old_emb: torch.Tensor, side: torch.Tensor | None = None) -> torch.Tensor | None:
        """How unsure the method is of each row of ``gallery_old`` ``(N,)``, larger is worse; None: it cannot tell."""
        return None

    @property
    def maps_old(self) -> bool:
        """True when old rows are transformed: ``new/migrated`` then differs from ``new/old``."""
        return type(self).gallery_old is not Upgrade.gallery_old
