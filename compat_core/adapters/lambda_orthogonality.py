"""λ-orthogonality: an affine map that may leave the rotations, but only by as much as it is allowed to."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from compat_core.adapters.base import ADAPTERS, Adapter, FitJob
from compat_core.adapters.labels import NO_CLASS, class_codes
from compat_core.adapters.linear_map import LinearMap
from compat_core.adapters.pairs import Pairs
from compat_core.adapters.procrustes import rotation
from compat_core.adapters.statistics import PairStatistics, collect
from compat_core.adapters.training import PairTraining, Rows, TrainedConfig, training_batches
from compat_core.config import param


@dataclass(frozen=True, slots=True)
class LambdaOrthogonalityConfig(TrainedConfig):
    """How far from orthogonal the map may be, and what pulls it away."""

    normalise: bool = param(
        True, "bring source and target vectors to length 1 before fitting, and source vectors before mapping"
    )
    form: str = param(
        "relaxed",
        "relaxed: any matrix, held near the orthogonal ones by the penalty; strict: exp of a skew-symmetric matrix",
        choices=("relaxed", "strict"),
    )
    slack: float = param(
        0.5,
        "λ over the root of the smaller dimension: how far ‖WᵀW − I‖ may be from zero before it is penalised",
        low=0.0,
        high=100.0,
        paper="λ = 12, about 0.5 at 512 dimensions",
    )
    steepness: float = param(10.0, "α, how sharply the penalty sets in at λ", low=0.1, high=1e4)
    penalty: float = param(1.0, "weight of the penalty", low=0.0, high=1e4, paper="1")
    align: float = param(1.0, "weight of the squared distance to the target", low=0.0, high=1e4)
    contrast: float = param(
        0.1, "weight of the supervised contrastive term, which takes part where pairs have labels", low=0.0, high=1e4
    )
    temperature: float = param(0.1, "τ of the contrastive term", low=1e-3, high=10.0)


def orthogonality_gap(weight: torch.Tensor) -> torch.Tensor:
    """``‖W Wᵀ − I‖_F``, or ``‖Wᵀ W − I‖_F`` where W has more rows than columns: the smaller Gram matrix; a scalar."""
    gram = weight @ weight.T if weight.shape[0] <= weight.shape[1] else weight.T @ weight
    # not .norm(), whose gradient is undefined at 0, where training starts
    return ((gram - torch.eye(len(gram), device=gram.device)).square().sum() + 1e-12).sqrt()


def lambda_penalty(weight: torch.Tensor, threshold: float, steepness: float) -> torch.Tensor:
    """``σ(α (g − λ)) · g`` with g the :func:`orthogonality_gap`: next to nothing below λ, g itself above; a scalar.

    Reference: Ricci et al. 2025, arXiv 2509.16664, Eq. 6.
    """
    gap = orthogonality_gap(weight)
    return torch.sigmoid(steepness * (gap - threshold)) * gap


def contrastive_loss(mapped: torch.Tensor, target: torch.Tensor, labels: torch.Tensor, tau: float) -> torch.Tensor:
    """Cross-entropy between "same class" and the softmax of cosines over τ, mapped rows against all target rows.

    Args:
        mapped, target: ``(B, D)``.
        labels: ``(B,)``.
        tau: temperature.

    Returns:
        a scalar, the mean over rows; the row's own target always counts as of its class.

    Reference: Ricci et al. 2025, arXiv 2509.16664, Eq. 8.
    """
    log_share = F.log_softmax(F.normalize(mapped) @ F.normalize(target).T / tau, dim=1)  # (B, B)
    same = (labels[:, None] == labels[None, :]).to(log_share.dtype)  # (B, B), 1 on the diagonal
    return -((log_share * same).sum(1) / same.sum(1)).mean()


class _Affine(nn.Module):
    """``W (x − x̄) + c``, starting at the centred Procrustes solution.

    Strict: the orthogonal matrix of the larger dimension is ``Q exp(P − Pᵀ)`` with Q Procrustes' solution, so that
    reflections, which no exponential reaches, are not shut out; W is its upper left part.
    """

    def __init__(self, statistics: PairStatistics, strict: bool) -> None:
        super().__init__()
        start = rotation(statistics.cross_moment).cpu()
        self.target_dim, self.source_dim = start.shape
        self.strict = strict
        if strict:
            size = max(start.shape)
            whole = torch.zeros(size, size, dtype=torch.float64)
            whole[: self.target_dim, : self.source_dim] = start
            left, _, right = torch.linalg.svd(whole)  # completes a semi-orthogonal matrix to an orthogonal one
            self.register_buffer("base", (left @ right).float())
            self.skew = nn.Parameter(torch.zeros(size, size))
        else:
            self.free = nn.Parameter(start.float())
        self.register_buffer("centre", statistics.source_mean.float().cpu())
        self.offset = nn.Parameter(statistics.target_mean.float().cpu())

    def weight(self) -> torch.Tensor:
        """W ``(D_target, D_source)``."""
        if not self.strict:
            return self.free
        turn = torch.linalg.matrix_exp(self.skew.triu(1) - self.skew.triu(1).T)
        return (self.get_buffer("base") @ turn)[: self.target_dim, : self.source_dim]

    def forward(self, source: torch.Tensor) -> torch.Tensor:
        return (source - self.get_buffer("centre")) @ self.weight().T + self.offset


class _Training(PairTraining):
    """``w_a ‖W x − y‖² + w_c · contrastive + w_p · penalty(W)``."""

    module: _Affine
    config: LambdaOrthogonalityConfig

    def loss(self, rows: Rows) -> dict[str, torch.Tensor]:
        """Every term of a batch, weighted."""
        config, net = self.config, self.module
        mapped = net(rows.source)
        parts = {"align": config.align * (mapped - rows.target).square().sum(1).mean()}
        if rows.labels is not None:
            # A pair without a label may be of any class: nothing to be drawn to, and nothing to be pushed from.
            known = rows.labels != NO_CLASS
            sides = (mapped[known], rows.target[known], rows.labels[known])
            contrast = contrastive_loss(*sides, config.temperature) if known.any() else mapped.new_zeros(())
            parts["contrast"] = config.contrast * contrast
        if not net.strict:
            threshold = config.slack * math.sqrt(min(net.source_dim, net.target_dim))
            parts["penalty"] = config.penalty * lambda_penalty(net.weight(), threshold, config.steepness)
        return {"total": torch.stack(list(parts.values())).sum(), **parts}


def train(pairs: Pairs, config: LambdaOrthogonalityConfig, job: FitJob) -> LinearMap:
    """Fit W from the Procrustes solution on, without the contrastive term where pairs have no labels: a linear map."""
    codes = None if pairs.labels is None or not config.contrast else class_codes(pairs.labels)[0]
    (statistics,) = collect(training_batches(pairs, config), config.normalise)
    net = _Affine(statistics, config.form == "strict")
    _Training(net, pairs, config, job, codes).run("lambda-orthogonality")
    weight = net.weight().detach()
    return LinearMap.of(weight, net.get_buffer("centre"), net.offset.detach(), config.normalise)


ADAPTERS.add(
    Adapter(
        name="lambda-orthogonality",
        title="λ-orthogonality",
        summary="A rotation that may bend a little where that draws classes together.",
        paper="Ricci et al. 2025, arXiv 2509.16664",
        formula=r"\lVert Wx+b-y\rVert^2+w\,\mathcal L_{contr}+\sigma(\alpha(g-\lambda))\,g,\;"
        r"g=\lVert W^\top W-I\rVert_F",
        config=LambdaOrthogonalityConfig,
        optional=("labels",),
        departs=(
            "The paper learns two maps, one for either model, into a space between; a deployed index wants one side "
            "left alone, so one map is learned and the target stays (a strictly orthogonal second map would change no "
            "ranking). λ is given per root dimension, training starts at the Procrustes solution, and weights, "
            "temperature and steepness, for which we found no values, are ours. Rectangular maps where the paper cuts "
            "the longer vectors. The contrastive term is among the pairs that have a label; without any it is left "
            "out, as with contrast=0."
        ),
        dimensions="Semi-orthogonal as Procrustes: the smaller Gram matrix is held near the identity.",
        min_pairs=16,
        train=train,
    )
)
