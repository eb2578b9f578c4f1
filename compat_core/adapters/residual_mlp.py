"""Residual MLP: a closed-form map, and a small network that corrects it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from compat_core.adapters.base import ADAPTERS, Adapter, FitJob
from compat_core.adapters.pairs import Pairs
from compat_core.adapters.procrustes import rotation
from compat_core.adapters.ridge import FOLDS, penalty_of, ridge_matrix
from compat_core.adapters.statistics import collect, merged
from compat_core.adapters.training import NetworkMap, PairTraining, Rows, TrainedConfig, training_batches
from compat_core.config import param
from compat_core.training.seeding import seeded


@dataclass(frozen=True, slots=True)
class ResidualMlpConfig(TrainedConfig):
    """Width, and what the network corrects."""

    hidden: int = param(256, "width of the hidden layer", unit="units", low=1, high=65_536, paper="256")
    skip: str = param(
        "ridge",
        "what is corrected, fitted first and then fixed: ridge, procrustes (centred), or identity (equal axes)",
        choices=("ridge", "procrustes", "identity"),
        paper="identity",
    )
    weight_decay: float = param(1e-2, "weight decay", low=0.0, high=1.0)


class ResidualMlp(NetworkMap, kind="residual-mlp-map"):
    """``S x + W₂ GELU(W₁ x + b₁) + b₂`` between standardised spaces; S is fixed, and W₂ starts at zero.

    Args:
        source_dim, target_dim: dimensions.
        hidden: width of the hidden layer.
        normalise: bring source rows to length 1 first.
    """

    skip: torch.Tensor  # (D_target, D_source)

    def __init__(self, source_dim: int, target_dim: int, hidden: int, normalise: bool = False) -> None:
        super().__init__(source_dim, target_dim, 0, normalise)
        self.arguments["hidden"] = hidden
        self.register_buffer("skip", torch.eye(target_dim, source_dim))
        self.first, self.second = nn.Linear(source_dim, hidden), nn.Linear(hidden, target_dim)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def network(self, source: torch.Tensor, side: torch.Tensor | None) -> torch.Tensor:
        return source @ self.skip.T + self.second(F.gelu(self.first(source)))


class _Training(PairTraining):
    module: ResidualMlp

    def loss(self, rows: Rows) -> dict[str, torch.Tensor]:
        """Mean squared error between standardised rows."""
        net = self.module
        mapped = net.network(net.standard_source(rows.source), None)
        return {"total": F.mse_loss(mapped, net.standard_target(rows.target))}


def train(pairs: Pairs, config: ResidualMlpConfig, job: FitJob) -> ResidualMlp:
    """Fit the skip from statistics, then the network by gradient descent."""
    parts = collect(training_batches(pairs, config), config.normalise, FOLDS)
    whole = merged(parts)
    with seeded(job.seed, "residual-mlp", "init"):
        net = ResidualMlp(pairs.source_dim, pairs.target_dim, config.hidden, config.normalise)
    net.set_scales(whole)
    if config.skip == "ridge":
        weight = ridge_matrix(whole, penalty_of(parts, whole, None))
        net.skip.copy_(weight * (net.source_scale / net.target_scale))
    elif config.skip == "procrustes":
        net.skip.copy_(rotation(whole.cross_moment))
    _Training(net, pairs, config, job).run("residual-mlp")
    return net


ADAPTERS.add(
    Adapter(
        name="residual-mlp",
        title="Residual MLP",
        summary="Ridge regression, and a network of one hidden layer that learns what a straight map misses.",
        paper="Vejendla 2025 (Drift-Adapter), arXiv 2509.23471",
        formula=r"\min\lVert Sx+W_2\,\mathrm{GELU}(W_1x+b_1)+b_2-y\rVert^2",
        config=ResidualMlpConfig,
        departs=(
            "The paper's skip is the identity, which says nothing between two models trained apart; ours is the ridge "
            "solution by default, fixed, and the network starts at zero correction. The state that is best on a "
            "held-out share of the training pairs is kept."
        ),
        dimensions="Any; an identity skip keeps the first components or appends zeros.",
        min_pairs=16,
        train=train,
    )
)
