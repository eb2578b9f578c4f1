"""Orthogonal Procrustes: the rotation (or reflection) that brings source vectors closest to their targets."""

from __future__ import annotations

import torch

from compat_core.adapters.base import ADAPTERS, Adapter, AdapterConfig
from compat_core.adapters.linear_map import LinearMap
from compat_core.adapters.statistics import PairStatistics, merged


def rotation(cross_moment: torch.Tensor) -> torch.Tensor:
    """The semi-orthogonal W with the largest ``tr(W C)``: ``W = V Uᵀ`` where ``C = U S Vᵀ``.

    Shape: ``Xᵀ Y (D_source, D_target)`` float64 → ``(D_target, D_source)``.

    Where D_source <= D_target its columns are orthonormal (``Wᵀ W = I``: the source is turned and embedded without
    distortion), otherwise its rows are (``W Wᵀ = I``: the source is turned and projected). Directions that the pairs
    do not span are completed in some orthogonal way.

    Reference: Schönemann 1966, "A generalized solution of the orthogonal Procrustes problem".
    """
    left, _, right = torch.linalg.svd(cross_moment, full_matrices=False)  # (Ds, r), (r,), (r, Dt)
    return (left @ right).T


def solve(parts: tuple[PairStatistics, ...], config: AdapterConfig) -> LinearMap:
    """``W x`` with W from ``Xᵀ Y`` about the origin, which stays where it is."""
    return LinearMap.of(rotation(merged(parts).raw_cross_moment()), None, None, config.normalise)


def solve_centred(parts: tuple[PairStatistics, ...], config: AdapterConfig) -> LinearMap:
    """``W (x − x̄) + ȳ`` with W from the cross-covariance."""
    pairs = merged(parts)
    return LinearMap.of(rotation(pairs.cross_moment), pairs.source_mean, pairs.target_mean, config.normalise)


_DIMENSIONS = (
    "Into more dimensions the source is turned and embedded without distortion (orthonormal columns); into fewer it is "
    "turned and projected (orthonormal rows), which maximises agreement with the targets but is not the least-squares "
    "projection. With fewer pairs than dimensions, directions the pairs do not span are turned arbitrarily."
)
_PAPER = "Schönemann 1966, Psychometrika 31; for embedding upgrades Vejendla 2025, arXiv 2509.23471"

ADAPTERS.add(
    Adapter(
        name="procrustes",
        title="Orthogonal Procrustes",
        summary="The best rotation about the origin: cosines and lengths among mapped vectors stay what they were.",
        paper=_PAPER,
        formula=r"\min_{W^\top W=I}\lVert XW^\top-Y\rVert_F:\;W=VU^\top,\;X^\top Y=USV^\top",
        config=AdapterConfig,
        dimensions=_DIMENSIONS,
        solve=solve,
    )
)
ADAPTERS.add(
    Adapter(
        name="procrustes-centred",
        title="Orthogonal Procrustes, centred",
        summary="The best rotation about the means: distances stay, and a shift between the spaces is undone as well.",
        paper=_PAPER,
        formula=r"W(x-\bar x)+\bar y,\;W=VU^\top,\;(X-\bar x)^\top(Y-\bar y)=USV^\top",
        config=AdapterConfig,
        dimensions=_DIMENSIONS,
        solve=solve_centred,
    )
)
