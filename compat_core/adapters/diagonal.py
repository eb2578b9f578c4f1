"""Diagonal rescaling on top of another linear adapter: every target component gets a factor of its own."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from compat_core.adapters.base import ADAPTERS, Adapter, AdapterConfig
from compat_core.adapters.linear_map import AffineMap, LinearMap
from compat_core.adapters.ridge import FOLDS
from compat_core.adapters.statistics import PairStatistics, merged
from compat_core.config import param
from compat_core.errors import CompatError

BASES = ("mean-shift", "procrustes", "procrustes-centred", "ridge", "cca", "low-rank")


@dataclass(frozen=True, slots=True)
class DiagonalConfig(AdapterConfig):
    """What is rescaled."""

    base: str = param("procrustes-centred", "the adapter underneath, with its default parameters", choices=BASES)


def solve(parts: tuple[PairStatistics, ...], config: DiagonalConfig) -> LinearMap:
    """``diag(d) m(x)`` for a base m through the origin, else ``ȳ + diag(d) (m(x) − m(x̄))``; d by least squares."""
    pairs = merged(parts)
    base = ADAPTERS.get(config.base)
    mapped = base.from_statistics(
        parts if base.folds == len(parts) else (pairs,), base.config(normalise=config.normalise)
    )
    if not isinstance(mapped, AffineMap):
        raise CompatError("adapter diagonal", value=config.base, rule="the adapter underneath must be linear")
    weight = mapped.matrix().to(pairs.source_moment)  # (D_target, D_source)
    through_origin = not bool(mapped.centre.any() or mapped.offset.any())
    source = pairs.raw_source_moment() if through_origin else pairs.source_moment
    cross = pairs.raw_cross_moment() if through_origin else pairs.cross_moment
    agreement = (weight * cross.T).sum(1)  # Σ m_j y_j (D_target,)
    energy = ((weight @ source) * weight).sum(1)  # Σ m_j² (D_target,)
    silent = energy <= 1e-12 * energy.max()
    factors = torch.where(silent, 1.0, agreement / energy.masked_fill(silent, 1.0))
    centre, offset = (None, None) if through_origin else (pairs.source_mean, pairs.target_mean)
    return LinearMap.of(factors[:, None] * weight, centre, offset, config.normalise)


ADAPTERS.add(
    Adapter(
        name="diagonal",
        title="Diagonal rescaling",
        summary="Another linear map, and a factor per target component that undoes differences in scale.",
        paper="Vejendla 2025 (Drift-Adapter's DSM), arXiv 2509.23471",
        formula=r"\bar y+\mathrm{diag}(d)\,(m(x)-m(\bar x)),\;d_j=\frac{\sum_i m_{ij}y_{ij}}{\sum_i m_{ij}^2}",
        config=DiagonalConfig,
        departs=(
            "Factors by least squares instead of gradient descent. Around the means, except over a map through the "
            "origin (plain Procrustes), which stays one."
        ),
        dimensions="As the adapter underneath.",
        min_pairs=10,
        folds=FOLDS,
        solve=solve,
    )
)
