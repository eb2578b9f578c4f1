"""Low-rank affine map: a regression through a narrow waist, cheap to apply and hard to overfit."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from compat_core.adapters.base import ADAPTERS, Adapter
from compat_core.adapters.linear_map import LowRankMap
from compat_core.adapters.ridge import FOLDS, RidgeConfig, penalty_of, ridge_matrix
from compat_core.adapters.statistics import PairStatistics, merged
from compat_core.config import param


@dataclass(frozen=True, slots=True)
class LowRankConfig(RidgeConfig):
    """Width of the waist; the ridge's strength is chosen as there."""

    rank: int = param(
        64,
        "width of the waist; at most the smaller of the two dimensions is used",
        unit="dimensions",
        low=1,
        high=65_536,
        paper="64",
    )


def solve(parts: tuple[PairStatistics, ...], config: LowRankConfig) -> LowRankMap:
    """``ȳ + V V_ᵀ W (x − x̄)``: the ridge's W projected on the r leading directions V of what it predicts.

    Reference: reduced-rank ridge, Mukherjee & Zhu 2011: among all matrices of rank r this one has the smallest
    penalised squared error.
    """
    pairs = merged(parts)
    rank = min(config.rank, pairs.source_dim, pairs.target_dim)
    penalty = penalty_of(parts, pairs, config.strength)
    weight = ridge_matrix(pairs, penalty)  # (D_target, D_source)
    predicted = weight @ pairs.source_moment @ weight.T + penalty * weight @ weight.T  # (D_target, D_target)
    _, vectors = torch.linalg.eigh(predicted)  # ascending
    leading = vectors[:, -rank:].flip(1)  # (D_target, rank)
    fitted = LowRankMap(pairs.source_dim, pairs.target_dim, rank, config.normalise)
    fitted.down.copy_(leading.T @ weight)
    fitted.up.copy_(leading)
    fitted.centre.copy_(pairs.source_mean)
    fitted.offset.copy_(pairs.target_mean)
    return fitted


ADAPTERS.add(
    Adapter(
        name="low-rank",
        title="Low-rank affine",
        summary="The best affine map through 64 dimensions: two thin matrices instead of one square one.",
        paper="Vejendla 2025 (Drift-Adapter), arXiv 2509.23471; Izenman 1975; Mukherjee & Zhu 2011",
        formula=r"\min_{U,V,b}\lVert XV^\top U^\top+b-Y\rVert_F^2+\alpha\lVert UV\rVert_F^2,\;\mathrm{rank}\le r",
        config=LowRankConfig,
        departs=(
            "Drift-Adapter trains both factors by gradient descent; here the optimum of the same squared error is "
            "computed (reduced-rank ridge), its strength chosen on left-out pairs."
        ),
        dimensions="Any; the rank is at most the smaller dimension.",
        min_pairs=10,
        folds=FOLDS,
        solve=solve,
    )
)
