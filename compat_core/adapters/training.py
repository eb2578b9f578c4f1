"""Training a small network on pairs: batches of rows, a held-out share of them, and the best state kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from compat_core.adapters.base import AdapterConfig, FitJob
from compat_core.adapters.map import VectorMap
from compat_core.adapters.pairs import Pairs
from compat_core.adapters.statistics import PairStatistics, fold_of
from compat_core.config import param
from compat_core.data.splits import epoch_batches
from compat_core.training.config import TrainConfig
from compat_core.training.loop import Job, train

HELD_OUT_ROWS = 4096  # most rows that are looked at to choose the best state
LOOKS = 50  # most times this is done
HASH_PARTS = 1000


@dataclass(frozen=True, slots=True)
class TrainedConfig(AdapterConfig):
    """Schedule of a trained adapter."""

    steps: int = param(
        1500, "optimiser steps, rounded to whole passes over the pairs, one at least", unit="steps", low=1, high=10**6
    )
    batch_size: int = param(256, "pairs per step", unit="pairs", low=2, high=65_536)
    lr: float = param(1e-3, "peak learning rate", low=0.0, high=10.0)
    weight_decay: float = param(0.0, "weight decay", low=0.0, high=1.0)
    warmup: float = param(0.05, "share of all steps spent warming up linearly", low=0.0, high=0.9)
    held_out: float = param(
        0.1,
        "share of the training pairs kept back to choose the best state along the way; 0 = keep the last",
        low=0.0,
        high=0.5,
    )


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch of pairs on the device.

    Attributes:
        source, target: ``(B, D_source)``, ``(B, D_target)`` float32.
        side: ``(B, D_side)`` or None.
        labels: class codes ``(B,)`` int64, or None.
    """

    source: torch.Tensor
    target: torch.Tensor
    side: torch.Tensor | None
    labels: torch.Tensor | None


class PairTraining:
    """A module trained on pairs, as :class:`compat_core.training.loop.Trainable` has it.

    Subclasses write :meth:`loss`. Before a pass over the pairs the loss on the held-out ones is taken, and the best
    state so far remembered, the one before training included: a network that starts at a closed form of the other
    pairs (:func:`training_batches`) ends no worse than it on pairs that neither has seen.

    Args:
        module: what is trained.
        pairs: where rows are read.
        config: schedule; ``normalise`` brings both sides of every row to length 1.
        job: seed, device, reporter.
        codes: class codes ``(N,)`` int64, or None.
    """

    def __init__(
        self, module: nn.Module, pairs: Pairs, config: TrainedConfig, job: FitJob, codes: np.ndarray | None = None
    ) -> None:
        self.module, self.pairs, self.config, self.job, self.codes = module, pairs, config, job, codes
        held = _held_out(len(pairs), config)
        self.training, self.held_out = np.flatnonzero(~held), _looked_at(np.flatnonzero(held))
        self.num_items = len(self.training)
        self.best: tuple[float, dict[str, torch.Tensor]] | None = None

    def loss(self, rows: Rows) -> dict[str, torch.Tensor]:
        """Named scalar losses of a batch; ``total`` is minimised, and compared on the held-out pairs."""
        raise NotImplementedError

    def rows(self, indices: np.ndarray) -> Rows:
        """Some pairs by number, on the device. ``indices (B,)`` int64."""
        device = self.job.device.device
        source, target, side = self.pairs.rows(indices)
        if self.config.normalise:
            source, target = F.normalize(source), F.normalize(target)
        return Rows(
            source.to(device),
            target.to(device),
            None if side is None else side.to(device),
            None if self.codes is None else torch.from_numpy(self.codes[indices]).to(device),
        )

    def start_epoch(self, epoch: int, epochs: int, batches: Sequence[torch.Tensor]) -> None:
        """Take the loss on the held-out pairs, at most LOOKS times over the training."""
        if epoch % -(-epochs // LOOKS) == 0:
            self.remember()

    def recording(self) -> None:
        """Rows are read from files, or from main memory."""

    def losses(self, indices: torch.Tensor, stream: torch.Generator, progress: float) -> dict[str, torch.Tensor]:
        """The loss of one batch of the training share."""
        return self.loss(self.rows(self.training[indices.cpu().numpy()]))

    def remember(self) -> None:
        """Keep the module's state if its loss on the held-out pairs is the smallest so far."""
        if not len(self.held_out):
            return
        modes = {layer: layer.training for layer in self.module.modules()}
        self.module.eval()
        with torch.no_grad():
            value = float(self.loss(self.rows(self.held_out))["total"])
        for layer, mode in modes.items():
            layer.training = mode
        if self.best is None or value < self.best[0]:
            state = {name: tensor.detach().clone() for name, tensor in self.module.state_dict().items()}
            self.best = (value, state)

    def run(self, name: str) -> nn.Module:
        """Train, and return the module in its best state, in eval mode.

        Raises:
            CompatError: when the loss stops being finite.
            Cancelled: when the reporter says so.
        """
        config = self.config
        per_epoch = sum(1 for _ in epoch_batches(self.num_items, min(config.batch_size, self.num_items), 0, 0))
        schedule = TrainConfig(
            epochs=min(10_000, max(1, round(config.steps / per_epoch))),
            batch_size=config.batch_size,
            lr=config.lr,
            weight_decay=config.weight_decay,
            warmup=config.warmup,
        )
        device = dataclasses.replace(self.job.device, autocast=None)  # small products, exact comparisons
        train(
            self, schedule, Job(f"adapter {name}", self.job.seed, device, self.job.reporter, stream=f"adapter-{name}")
        )
        self.remember()
        if self.best is not None:
            self.module.load_state_dict(self.best[1])
        return self.module.eval()


def training_batches(pairs: Pairs, config: TrainedConfig) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs but those that :class:`PairTraining` holds out, in order: ``(B, D_source)``, ``(B, D_target)``."""
    kept, begin = ~_held_out(len(pairs), config), 0
    for source, target in pairs.batches():
        part = kept[begin : begin + len(source)]
        yield source[part], target[part]
        begin += len(source)


def _held_out(count: int, config: TrainedConfig) -> np.ndarray:
    """Which of ``count`` pairs are kept back ``(count,)``; none where fewer than two would be left."""
    held = fold_of(np.arange(count), HASH_PARTS) < round(config.held_out * HASH_PARTS)
    return held if count - held.sum() >= 2 else np.zeros_like(held)


def _looked_at(held: np.ndarray) -> np.ndarray:
    """Those of the rows held out ``(H,)`` that the loss is taken on: at most HELD_OUT_ROWS, from all over the file.

    The first ones would be of the first classes alone where a file is sorted by class.
    """
    most = min(len(held), HELD_OUT_ROWS)
    return held[np.arange(most) * len(held) // max(most, 1)]


class NetworkMap(VectorMap):
    """A network between standardised spaces: ``ȳ + s_y · net((x − x̄) / s_x, side)``, s the mean standard deviation.

    Standardising makes learning rates and the weights of loss terms mean the same whatever the vectors' length is.
    The side-information goes in as it is.

    Args:
        source_dim, target_dim, side_dim: dimensions; side_dim 0 for none.
        normalise: bring source rows to length 1 first.
    """

    source_mean: torch.Tensor
    source_scale: torch.Tensor
    target_mean: torch.Tensor
    target_scale: torch.Tensor

    def __init__(self, source_dim: int, target_dim: int, side_dim: int = 0, normalise: bool = False) -> None:
        super().__init__()
        self.arguments: dict[str, Any] = {"source_dim": source_dim, "target_dim": target_dim, "normalise": normalise}
        self.source_dim, self.target_dim, self.side_dim, self.normalise = source_dim, target_dim, side_dim, normalise
        for name, dim in (("source", source_dim), ("target", target_dim)):
            self.register_buffer(f"{name}_mean", torch.zeros(dim))
            self.register_buffer(f"{name}_scale", torch.ones(()))

    def set_scales(self, pairs: PairStatistics) -> None:
        """Standardise by the means and mean standard deviations of ``pairs``."""
        for name, mean, moment in (
            ("source", pairs.source_mean, pairs.source_moment),
            ("target", pairs.target_mean, pairs.target_moment),
        ):
            scale = (moment.diagonal().mean() / pairs.count).sqrt()
            getattr(self, f"{name}_mean").copy_(mean)
            getattr(self, f"{name}_scale").copy_(scale if scale > 0 else torch.ones(()))

    def network(self, source: torch.Tensor, side: torch.Tensor | None) -> torch.Tensor:
        """The network itself, standardised source to standardised target. ``(N, D_source)`` → ``(N, D_target)``."""
        raise NotImplementedError

    def standard_source(self, source: torch.Tensor) -> torch.Tensor:
        """Source rows as the network sees them. Shape: ``(N, D_source)``, unchanged."""
        rows = F.normalize(source) if self.normalise else source
        return (rows - self.source_mean) / self.source_scale

    def standard_target(self, target: torch.Tensor) -> torch.Tensor:
        """Target rows as the network gives them. Shape: ``(N, D_target)``, unchanged."""
        return (target - self.target_mean) / self.target_scale

    def forward(self, source: torch.Tensor, side: torch.Tensor | None = None) -> torch.Tensor:
        return self.target_mean + self.target_scale * self.network(self.standard_source(source), side)
