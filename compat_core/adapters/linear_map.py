"""Maps made of one matrix, or of two thin ones, or of none."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from compat_core.adapters.map import VectorMap
from compat_core.methods.upgrade import match_dim


class AffineMap(VectorMap):
    """Any ``W (x − a) + c``; subclasses hold W in the cheapest form it has.

    The mean of the source is taken off first instead of being folded into one bias: far from the origin a float32
    bias would cancel against the product and take the result's digits with it.

    Args:
        source_dim, target_dim: dimensions.
        normalise: bring source rows to length 1 first.
    """

    centre: torch.Tensor  # a (D_source,)
    offset: torch.Tensor  # c (D_target,)

    def __init__(self, source_dim: int, target_dim: int, normalise: bool = False) -> None:
        super().__init__()
        self.arguments = {"source_dim": source_dim, "target_dim": target_dim, "normalise": normalise}
        self.source_dim, self.target_dim, self.normalise = source_dim, target_dim, normalise
        self.register_buffer("centre", torch.zeros(source_dim))
        self.register_buffer("offset", torch.zeros(target_dim))

    def matrix(self) -> torch.Tensor:
        """W as one matrix ``(D_target, D_source)``."""
        raise NotImplementedError

    def bias(self) -> torch.Tensor:
        """``c − W a``, what the zero vector maps to ``(D_target,)``."""
        return self.offset - self.matrix() @ self.centre

    def product(self, centred: torch.Tensor) -> torch.Tensor:
        """``W`` times each row. Shape: ``(N, D_source)`` → ``(N, D_target)``."""
        raise NotImplementedError

    def forward(self, source: torch.Tensor, side: torch.Tensor | None = None) -> torch.Tensor:
        rows = F.normalize(source) if self.normalise else source
        return self.product(rows - self.centre) + self.offset


class LinearMap(AffineMap, kind="linear-map"):
    """``W (x − a) + c`` with a full matrix W."""

    weight: torch.Tensor  # (D_target, D_source)

    def __init__(self, source_dim: int, target_dim: int, normalise: bool = False) -> None:
        super().__init__(source_dim, target_dim, normalise)
        self.register_buffer("weight", torch.zeros(target_dim, source_dim))

    @classmethod
    def of(
        cls, weight: torch.Tensor, centre: torch.Tensor | None, offset: torch.Tensor | None, normalise: bool
    ) -> LinearMap:
        """The map with these numbers (float64 or float32). Shape: ``(D_target, D_source)``, ``(D_source,)``,
        ``(D_target,)``; None: zero."""
        made = cls(weight.shape[1], weight.shape[0], normalise)
        made.weight.copy_(weight)
        if centre is not None:
            made.centre.copy_(centre)
        if offset is not None:
            made.offset.copy_(offset)
        return made

    def matrix(self) -> torch.Tensor:
        return self.weight

    def product(self, centred: torch.Tensor) -> torch.Tensor:
        return centred @ self.weight.T  # (N, D_source) @ (D_source, D_target)


class LowRankMap(AffineMap, kind="low-rank-map"):
    """``U V (x − a) + c``: two thin matrices, ``rank · (D_source + D_target)`` numbers.

    Args:
        source_dim, target_dim, rank: dimensions; V is ``(rank, D_source)``, U ``(D_target, rank)``.
    """

    down: torch.Tensor
    up: torch.Tensor

    def __init__(self, source_dim: int, target_dim: int, rank: int, normalise: bool = False) -> None:
        super().__init__(source_dim, target_dim, normalise)
        self.arguments["rank"] = rank
        self.register_buffer("down", torch.zeros(rank, source_dim))
        self.register_buffer("up", torch.zeros(target_dim, rank))

    def matrix(self) -> torch.Tensor:
        return self.up @ self.down

    def product(self, centred: torch.Tensor) -> torch.Tensor:
        return (centred @ self.down.T) @ self.up.T  # (N, D_source) → (N, rank) → (N, D_target)


class ShiftMap(AffineMap, kind="shift-map"):
    """``x − a + c``; where dimensions differ the first components are kept, or zeros appended."""

    def matrix(self) -> torch.Tensor:
        return torch.eye(self.target_dim, self.source_dim, device=self.centre.device)

    def product(self, centred: torch.Tensor) -> torch.Tensor:
        return match_dim(centred, self.target_dim)
