"""FCT's h on stored vectors: no image is needed, side-information only where it was stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from compat_core.adapters.base import ADAPTERS, Adapter, FitJob
from compat_core.adapters.pairs import Pairs
from compat_core.adapters.statistics import collect
from compat_core.adapters.training import NetworkMap, PairTraining, Rows, TrainedConfig
from compat_core.config import param
from compat_core.models.transformation import FctTransformation
from compat_core.training.seeding import seeded


@dataclass(frozen=True, slots=True)
class FctMapConfig(TrainedConfig):
    """Width and schedule of h."""

    width: int = param(512, "hidden width of the mixer", unit="units", low=8, high=16_384, paper="2048 (FCT code)")
    batch_size: int = param(256, "pairs per step", unit="pairs", low=2, high=65_536, paper="1024 (FCT code)")
    lr: float = param(1e-3, "peak learning rate", low=0.0, high=10.0, paper="5e-4 (FCT code)")
    weight_decay: float = param(2**-15, "weight decay", low=0.0, high=1.0, paper="2^-15 (FCT code)")
    bn_eval_at: float = param(
        0.5, "share of training after which batch norm keeps its statistics; 1 = never", low=0.0, high=1.0, paper="0.5"
    )


class FctMap(NetworkMap, kind="fct-map"):
    """``h(x, side)`` between standardised spaces; without side-information x feeds both branches.

    Args:
        source_dim, target_dim, side_dim: dimensions; side_dim 0 for none.
        width: the mixer's hidden width.
        normalise: bring source rows to length 1 first.
    """

    def __init__(self, source_dim: int, target_dim: int, side_dim: int, width: int, normalise: bool = False) -> None:
        super().__init__(source_dim, target_dim, side_dim, normalise)
        self.arguments |= {"side_dim": side_dim, "width": width}
        self.transformation = FctTransformation(source_dim, side_dim or source_dim, target_dim, width)

    def network(self, source: torch.Tensor, side: torch.Tensor | None) -> torch.Tensor:
        return self.transformation(source, side if self.side_dim and side is not None else source)


class TransformationTraining(PairTraining):
    """Mean squared error between standardised rows, batch norm frozen from ``bn_eval_at`` on."""

    module: NetworkMap
    config: FctMapConfig

    def start_epoch(self, epoch: int, epochs: int, batches: Sequence[torch.Tensor]) -> None:
        """Look at the held-out pairs; half-way, freeze the batch-norm statistics."""
        super().start_epoch(epoch, epochs, batches)
        if epoch >= self.config.bn_eval_at * epochs:
            for layer in self.module.modules():
                if isinstance(layer, nn.BatchNorm1d):
                    layer.eval()

    def loss(self, rows: Rows) -> dict[str, torch.Tensor]:
        """Mean squared error of a batch."""
        net = self.module
        mapped = net.network(net.standard_source(rows.source), rows.side)
        return {"total": F.mse_loss(mapped, net.standard_target(rows.target))}


def train(pairs: Pairs, config: FctMapConfig, job: FitJob) -> FctMap:
    """Fit h by the mean squared error to the target vectors."""
    with seeded(job.seed, "fct-map", "init"):
        net = FctMap(pairs.source_dim, pairs.target_dim, pairs.side_dim, config.width, config.normalise)
    (statistics,) = collect(pairs.batches(), config.normalise)
    net.set_scales(statistics)
    TransformationTraining(net, pairs, config, job).run("fct")
    return net


ADAPTERS.add(
    Adapter(
        name="fct",
        title="FCT's h",
        summary="FCT's network on stored vectors, with side-information where some was stored.",
        paper="Ramanujan et al. 2022, arXiv 2112.02805",
        formula=r"\min_h\lVert h(x,s)-y\rVert^2",
        config=FctMapConfig,
        optional=("side",),
        departs=(
            "Stored vectors only: no augmented views, and no side-information unless it is given (x then feeds both "
            "branches, as in the released code). Both spaces are standardised, the mixer is narrower, and the state "
            "that is best on a held-out share of the training pairs is kept."
        ),
        dimensions="Any; the layers' widths follow both.",
        min_pairs=16,
        train=train,
    )
)
