"""Ridge regression with an intercept, its strength chosen by leaving out parts of the training pairs."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from compat_core.adapters.base import ADAPTERS, Adapter, AdapterConfig
from compat_core.adapters.linear_map import LinearMap
from compat_core.adapters.statistics import PairStatistics, filled, merged, spanned
from compat_core.config import param

FOLDS = 5
STRENGTHS = tuple(10 ** (exponent / 4) for exponent in range(-28, 13))  # 1e-7 … 1e3, four per decade


@dataclass(frozen=True, slots=True)
class RidgeConfig(AdapterConfig):
    """How strongly the matrix is kept small."""

    strength: float | None = param(
        None,
        "penalty on the squared weights, in units of the mean variance of a source component times the number of "
        "pairs; none = chosen by 5-fold leave-out on the training pairs, 0 = ordinary least squares",
        low=0.0,
        high=1e6,
    )


def absolute_penalty(pairs: PairStatistics, strength: float) -> float:
    """α of ``‖Y − XW‖² + α ‖W‖²`` for a ``strength`` relative to the mean diagonal of the centred ``Xᵀ X``."""
    return strength * float(pairs.source_moment.diagonal().mean())


def ridge_matrix(pairs: PairStatistics, penalty: float) -> torch.Tensor:
    """``W = ((C_xx + α I)⁻¹ C_xy)ᵀ``, the pseudo-inverse where C_xx is singular and α = 0. ``(D_target, D_source)``."""
    values, vectors = torch.linalg.eigh(pairs.source_moment)
    known = spanned(values, pairs.source_mean, pairs.count)
    return (vectors @ (_inverse(values, penalty, known)[:, None] * (vectors.T @ pairs.cross_moment))).T


def choose_strength(parts: tuple[PairStatistics, ...]) -> float:
    """The strength of STRENGTHS with the smallest squared error on left-out parts, summed over the parts.

    Everything follows from the parts' statistics, so no pair is read again. Of equal errors the strongest wins.

    Args:
        parts: statistics of disjoint parts of the pairs; empty ones are passed over.

    Raises:
        CompatError: when fewer than two hold pairs.
    """
    used = filled(parts)
    errors = torch.zeros(len(STRENGTHS), dtype=torch.float64, device=used[0].device)
    for index, left_out in enumerate(used):
        training = merged(used[:index] + used[index + 1 :])
        errors += _left_out_errors(training, left_out)
    best = errors.min()
    near = (errors <= best * (1 + 1e-12)).nonzero()
    return STRENGTHS[int(near.max())]


def _left_out_errors(training: PairStatistics, left_out: PairStatistics) -> torch.Tensor:
    """Squared error on ``left_out`` of the ridge fitted on ``training``, for every strength ``(S,)``.

    In the eigenbasis of the training covariance the fit is ``diag(d) G`` with ``d = 1 / (λ + α)``, so that the error
    ``tr C_yy − 2 tr(Wᵀ C_xy) + tr(Wᵀ C_xx W)`` is quadratic in d and costs nothing per strength.
    """
    x_step = left_out.source_mean - training.source_mean  # moments of the left-out pairs about the training means
    y_step = left_out.target_mean - training.target_mean
    source = left_out.source_moment + left_out.count * torch.outer(x_step, x_step)
    cross = left_out.cross_moment + left_out.count * torch.outer(x_step, y_step)
    target = left_out.target_moment.diagonal().sum() + left_out.count * y_step @ y_step
    values, vectors = torch.linalg.eigh(training.source_moment)
    known = spanned(values, training.source_mean, training.count)
    fitted = vectors.T @ training.cross_moment  # G (D_source, D_target)
    linear = (fitted * (vectors.T @ cross)).sum(1)  # (D_source,)
    quadratic = (vectors.T @ source @ vectors) * (fitted @ fitted.T)  # (D_source, D_source)
    errors = []
    for strength in STRENGTHS:
        shrunk = _inverse(values, absolute_penalty(training, strength), known)
        errors.append(target - 2 * shrunk @ linear + shrunk @ quadratic @ shrunk)
    return torch.stack(errors)


def _inverse(values: torch.Tensor, penalty: float, known: torch.Tensor) -> torch.Tensor:
    """``1 / (λ + α)``, and 0 where λ is rounding error and not ``known``: no pair has a component there."""
    return torch.where(known, 1 / (values + penalty).masked_fill(~known, 1.0), torch.zeros_like(values))


def penalty_of(parts: tuple[PairStatistics, ...], pairs: PairStatistics, strength: float | None) -> float:
    """α for all ``pairs``: of the given strength, or of the one chosen on the ``parts``."""
    return absolute_penalty(pairs, choose_strength(parts) if strength is None else strength)


def solve(parts: tuple[PairStatistics, ...], config: RidgeConfig) -> LinearMap:
    """``W (x − x̄) + ȳ``: the intercept is not penalised."""
    pairs = merged(parts)
    weight = ridge_matrix(pairs, penalty_of(parts, pairs, config.strength))
    return LinearMap.of(weight, pairs.source_mean, pairs.target_mean, config.normalise)


ADAPTERS.add(
    Adapter(
        name="ridge",
        title="Ridge regression",
        summary="The best affine map in squared error, kept from chasing noise by a penalty chosen on left-out pairs.",
        paper="Hoerl & Kennard 1970, Technometrics 12",
        formula=r"\min_{W,b}\lVert XW^\top+b-Y\rVert_F^2+\alpha\lVert W\rVert_F^2",
        config=RidgeConfig,
        dimensions="Any; a regression knows no difference.",
        min_pairs=10,
        folds=FOLDS,
        solve=solve,
    )
)
