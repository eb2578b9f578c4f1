"""Canonical correlation analysis: what both spaces have in common, carried over from one to the other."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from compat_core.adapters.base import ADAPTERS, Adapter, AdapterConfig
from compat_core.adapters.linear_map import LinearMap
from compat_core.adapters.ridge import FOLDS
from compat_core.adapters.statistics import PairStatistics, filled, merged, spanned
from compat_core.config import param

STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)  # each costs an SVD per part


@dataclass(frozen=True, slots=True)
class CcaConfig(AdapterConfig):
    """How much of what is common is carried over."""

    components: int = param(
        0, "canonical components kept, the best correlated first; 0 = all", unit="components", low=0, high=65_536
    )
    strength: float | None = param(
        None,
        "added to both covariances before whitening, as a share of their mean variance; none = chosen by 5-fold "
        "leave-out on the training pairs",
        low=0.0,
        high=1e3,
    )
    weighting: str = param(
        "correlation",
        "correlation: each component is scaled by how well it is known (the regression onto it); none: all equally",
        choices=("correlation", "none"),
    )


@dataclass(frozen=True, slots=True)
class CanonicalPairs:
    """Whitening and canonical directions of paired data, best correlated first; all float64.

    Attributes:
        correlations: ρ ``(r,)`` in [0, 1], descending, ``r = min(D_source, D_target)``.
        source_directions: ``(D_source, r)``; ``(x − x̄)`` times them gives the canonical variates, variance 1.
        target_directions: ``(D_target, r)``.
        target_loadings: ``(D_target, r)``; variates times their transpose give ``y − ȳ`` back.
    """

    correlations: torch.Tensor
    source_directions: torch.Tensor
    target_directions: torch.Tensor
    target_loadings: torch.Tensor


def canonical(pairs: PairStatistics, strength: float = 0.0) -> CanonicalPairs:
    """Canonical correlations and directions, from the SVD of ``C_xx^{−½} C_xy C_yy^{−½}``.

    Args:
        pairs: statistics of the pairs.
        strength: share of the mean variance added to both covariances.

    Reference: Hotelling 1936, "Relations between two sets of variates".
    """
    source, _ = _whitening(pairs.source_moment / pairs.count, pairs.source_mean, strength)
    target, colouring = _whitening(pairs.target_moment / pairs.count, pairs.target_mean, strength)
    left, correlations, right = torch.linalg.svd(source @ (pairs.cross_moment / pairs.count) @ target)
    rank = len(correlations)
    left, right = left[:, :rank], right[:rank].T
    return CanonicalPairs(correlations.clamp(0, 1), source @ left, target @ right, colouring @ right)


def _whitening(covariance: torch.Tensor, mean: torch.Tensor, strength: float) -> tuple[torch.Tensor, torch.Tensor]:
    """``C^{−½}`` and ``C^{½}`` of the regularised covariance; directions without variance stay zero in both."""
    values, vectors = torch.linalg.eigh(covariance)
    known = spanned(values, mean, 1)  # a covariance is the moment of a single row
    root = (values + strength * values.mean()).clamp_min(0).sqrt().masked_fill(~known, 0.0)
    inverse = torch.where(known, 1 / root.masked_fill(~known, 1.0), root)
    return (vectors * inverse) @ vectors.T, (vectors * root) @ vectors.T


def transfer(pairs: PairStatistics, config: CcaConfig, strength: float) -> torch.Tensor:
    """``C_yy^{½} V diag(ρ) Uᵀ C_xx^{−½}`` over the kept components, ρ replaced by 1 where unweighted.

    Returns:
        ``(D_target, D_source)``.
    """
    found = canonical(pairs, strength)
    kept = config.components or len(found.correlations)
    weights = found.correlations if config.weighting == "correlation" else torch.ones_like(found.correlations)
    return (found.target_loadings * weights)[:, :kept] @ found.source_directions[:, :kept].T


def choose_strength(parts: tuple[PairStatistics, ...], config: CcaConfig) -> float:
    """The strength of STRENGTHS with the smallest squared error on left-out parts, summed over the parts."""
    used = filled(parts)
    errors = dict.fromkeys(STRENGTHS, 0.0)
    for index, left_out in enumerate(used):
        training = merged(used[:index] + used[index + 1 :])
        for strength in STRENGTHS:
            weight = transfer(training, config, strength)
            errors[strength] += float(left_out.squared_error(weight, training.source_mean, training.target_mean))
    return min(STRENGTHS, key=errors.__getitem__)


def solve(parts: tuple[PairStatistics, ...], config: CcaConfig) -> LinearMap:
    """``T (x − x̄) + ȳ`` with T as :func:`transfer` gives it."""
    pairs = merged(parts)
    strength = choose_strength(parts, config) if config.strength is None else config.strength
    return LinearMap.of(transfer(pairs, config, strength), pairs.source_mean, pairs.target_mean, config.normalise)


ADAPTERS.add(
    Adapter(
        name="cca",
        title="Canonical correlation analysis",
        summary="Whitens the source, turns it onto the target's axes, weights each by its correlation, and un-whitens.",
        paper="Hotelling 1936, Biometrika 28; whitening and re-weighting: Artetxe et al. 2018, AAAI",
        formula=r"\bar y+C_{yy}^{1/2}V\,\mathrm{diag}(\rho)\,U^\top C_{xx}^{-1/2}(x-\bar x),\;"
        r"C_{xx}^{-1/2}C_{xy}C_{yy}^{-1/2}=U\,\mathrm{diag}(\rho)V^\top",
        config=CcaConfig,
        departs=(
            "The target's own vectors stay as they are: canonical variates of the source are taken back into the "
            "target space instead of projecting both sides, since a deployed index is not to be touched. With all "
            "components, weighting by correlation and no regularisation this is ordinary least squares."
        ),
        dimensions="At most as many components as the smaller space has dimensions.",
        min_pairs=10,
        folds=FOLDS,
        solve=solve,
    )
)
