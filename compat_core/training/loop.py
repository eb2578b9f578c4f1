"""The loop every trained model goes through: device, precision, schedule, events, checkpoint, resume, cancel.

What differs between an embedding model, a side-information encoder and a transformation is one object, a
:class:`Trainable`: the module to optimise and the loss of a batch of item indices.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn

from compat_core.config import digest
from compat_core.data.splits import epoch_batches
from compat_core.device import DeviceChoice
from compat_core.errors import CompatError
from compat_core.training.config import TrainConfig
from compat_core.training.graphs import RecordedSteps, Step
from compat_core.training.memory import kept_memory
from compat_core.training.seeding import derive, seeded

CHECKPOINT_EVERY_S = 5.0
EVENTS_EVERY_S = 0.5


class Reporter(Protocol):
    """What the loop tells the world; :mod:`compat_core.experiments.tracker` writes it into the run folder."""

    def event(self, kind: str, **fields: object) -> None: ...

    def progress(self, fraction: float) -> None: ...

    def check_cancelled(self) -> None: ...


@dataclass(frozen=True, slots=True)
class PartReporter:
    """Reports the progress of one part of a larger piece of work: 0 … 1 becomes ``begin`` … ``end``."""

    whole: Reporter
    begin: float
    end: float

    def event(self, kind: str, **fields: object) -> None:
        """Passed on unchanged."""
        self.whole.event(kind, **fields)

    def progress(self, fraction: float) -> None:
        """Passed on as a part of the whole."""
        self.whole.progress(self.begin + (self.end - self.begin) * fraction)

    def check_cancelled(self) -> None:
        """Passed on unchanged."""
        self.whole.check_cancelled()


class Trainable(Protocol):
    """What is being trained."""

    module: nn.Module
    """All parameters to optimise and buffers to checkpoint."""

    num_items: int
    """Number of training items N; batches are indices into them."""

    def start_epoch(self, epoch: int, epochs: int, batches: Sequence[torch.Tensor]) -> None:
        """Called before each epoch (0-based) with the indices of all its batches, in order.

        To freeze batch-norm statistics half-way, or to have images read before their turn.
        """

    def losses(self, indices: torch.Tensor, stream: torch.Generator, progress: float) -> dict[str, torch.Tensor]:
        """Named scalar losses of one batch; ``total`` is minimised. ``progress`` runs from 0 to 1 over training."""

    def recording(self) -> Hashable | None:
        """What the losses depend on now besides the batch and the modes of ``module``'s parts.

        None where a GPU must be waited for to know them, or where they depend on ``progress`` or on anything else that
        Python computes for each step: such steps cannot be recorded.
        """


@dataclass(frozen=True, slots=True)
class Job:
    """Where and under which name a training runs.

    Attributes:
        name: stage name, for people.
        stream: name of the random streams; trainings that share it (and the seed) draw the same batches.
        seed: the experiment's seed.
        device: device and precision.
        reporter: told about losses, progress; asked about cancellation.
        checkpoint: file to resume from, or None to train without one.
    """

    name: str
    seed: int
    device: DeviceChoice
    reporter: Reporter
    checkpoint: Path | None = None
    stream: str = ""


def train(
    trainable: Trainable,
    config: TrainConfig,
    job: Job,
    watch: Callable[[], Mapping[str, float]] | None = None,
) -> nn.Module:
    """Train ``trainable.module`` and return it in eval mode.

    A fixed seed gives the same result, and so does resuming from a checkpoint: each epoch's permutation, augmentation
    and dropout are drawn from streams that depend on (seed, name, epoch) only. On a GPU a resumed training may differ
    in rounding, as it rehearses its steps anew before they are recorded.

    Args:
        trainable: the module and its losses.
        config: the schedule.
        job: where, under which name, and who is told.
        watch: called after every epoch for metrics to report, by name; it may put modules into eval mode, and must
            neither change them nor draw from torch's default random streams.

    Raises:
        CompatError: when the loss stops being finite, or there are too few items for a batch.
        Cancelled: when the reporter says so.
    """
    if trainable.num_items < 2:
        raise CompatError(f"training of {job.name}", value=trainable.num_items, rule="needs at least 2 images")
    with kept_memory(job.device.device):
        return _train(trainable, config, job, watch)


def _train(
    trainable: Trainable, config: TrainConfig, job: Job, watch: Callable[[], Mapping[str, float]] | None
) -> nn.Module:
    from compat_core.training.checkpoint import load_checkpoint, save_checkpoint

    device, stream_name = job.device.device, job.stream or job.name
    module = trainable.module.to(device)
    optimiser = make_optimiser(module, config, device)
    batch = min(config.batch_size, trainable.num_items)
    steps_per_epoch = sum(1 for _ in epoch_batches(trainable.num_items, batch, 0, 0))
    total_steps = config.epochs * steps_per_epoch
    first = 0
    if job.checkpoint:
        first = load_checkpoint(job.checkpoint, module, optimiser, digest(config))
    stream = torch.Generator(device=device)
    step_with = stepper(trainable, optimiser, job.device, stream)
    saved_at = told_at = time.monotonic()
    items = 0
    for epoch in range(first, config.epochs):
        module.train()
        batches = _batches(trainable.num_items, batch, job.seed, epoch, device)
        trainable.start_epoch(epoch, config.epochs, batches)
        stream.manual_seed(derive(job.seed, stream_name, "augment", epoch))
        with seeded(job.seed, stream_name, "epoch", epoch):
            for step, indices in enumerate(batches):
                done = epoch * steps_per_epoch + step
                lr = config.lr * schedule(done, total_steps, config.warmup)
                _set_rate(optimiser, lr)
                losses = step_with(indices, done / total_steps)
                items += len(indices)
                last = step == steps_per_epoch - 1
                job.reporter.check_cancelled()
                if last or time.monotonic() - told_at > EVENTS_EVERY_S:
                    seconds = time.monotonic() - told_at
                    told_at = time.monotonic()
                    _report(job, losses, epoch, done, total_steps, lr, items / max(seconds, 1e-9))
                    items = 0
        if watch is not None and (values := watch()):
            place = {"epoch": epoch + 1, "step": (epoch + 1) * steps_per_epoch}
            job.reporter.event("watch", seed=job.seed, name=job.name, **place, values=dict(values))
            told_at = time.monotonic()  # the images of the next second do not pay for it
        if job.checkpoint and epoch + 1 < config.epochs and time.monotonic() - saved_at > CHECKPOINT_EVERY_S:
            save_checkpoint(job.checkpoint, module, optimiser, epoch + 1, digest(config))
            saved_at = time.monotonic()
    optimiser.zero_grad(set_to_none=True)  # recorded ones would keep a step's memory as long as the module is there
    return module.eval()


def stepper(
    trainable: Trainable, optimiser: torch.optim.Optimizer, choice: DeviceChoice, stream: torch.Generator
) -> Step:
    """What makes one step of a training; on a CUDA device, a recording of it where the trainable lets it be.

    Args:
        trainable: its module lies on the device.
        optimiser: over the module's parameters; on a CUDA device with a rate that lies there, too.
        choice: device and precision.
        stream: what the losses draw from, on the device.
    """
    device, half = choice.device, choice.autocast
    capturable = [group for group in optimiser.param_groups if "capturable" in group]

    def step(indices: torch.Tensor, progress: float) -> dict[str, torch.Tensor]:
        recorded = device.type == "cuda" and torch.cuda.is_current_stream_capturing()
        lie = _places(trainable.module) if recorded else []
        with torch.autocast(device.type, half, enabled=half is not None):
            losses = trainable.losses(indices, stream, progress)
        optimiser.zero_grad(set_to_none=True)
        losses["total"].backward()
        for group in capturable:  # the same kernels either way; torch warns of it outside a recording
            group["capturable"] = recorded
        optimiser.step()
        if recorded and lie != _places(trainable.module):
            rule = "a step replaces one of its tensors by another, which no recording can do"
            raise CompatError(type(trainable).__name__, rule=rule, fix="fill it in place, or set recordable to False")
        return {name: value.detach() for name, value in losses.items()}

    if device.type != "cuda":
        return step
    parts = list(trainable.module.modules())  # finding them takes as long as a few kernels, at every step

    def kind() -> Hashable | None:
        own = trainable.recording()
        return None if own is None else (own, tuple(part.training for part in parts))

    return RecordedSteps(step, kind, stream)


def _places(module: nn.Module) -> list[int]:
    """Where in memory each of a module's tensors lies."""
    return [tensor.data_ptr() for tensor in (*module.parameters(), *module.buffers())]


def _batches(num_items: int, batch_size: int, seed: int, epoch: int, device: torch.device) -> Sequence[torch.Tensor]:
    """The epoch's batches of indices on the device, sent there at once: a GPU would be waited for at every copy."""
    batches = list(epoch_batches(num_items, batch_size, seed, epoch))
    return torch.as_tensor(np.concatenate(batches), device=device).split([len(chosen) for chosen in batches])


def schedule(step: int, total_steps: int, warmup: float) -> float:
    """Learning-rate factor in [0, 1]: linear warm-up over a share of the steps, then cosine decay towards zero."""
    warm = int(warmup * total_steps)
    if step < warm:
        return (step + 1) / (warm + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total_steps - warm)))


def make_optimiser(module: nn.Module, config: TrainConfig, device: torch.device) -> torch.optim.Optimizer:
    """The optimiser over trainable parameters; weight decay spares biases and normalisation."""
    # a rate on the GPU may change under a recording that reads it
    lr = torch.tensor(config.lr, device=device) if device.type == "cuda" else config.lr
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optimiser == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=0.9, nesterov=True, fused=True)
    return torch.optim.AdamW(groups, lr=lr, fused=True)


def _set_rate(optimiser: torch.optim.Optimizer, lr: float) -> None:
    for group in optimiser.param_groups:
        if isinstance(group["lr"], torch.Tensor):
            group["lr"].fill_(lr)
        else:
            group["lr"] = lr


def _report(
    job: Job, losses: dict[str, torch.Tensor], epoch: int, done: int, total_steps: int, lr: float, rate: float
) -> None:
    values = {name: float(value) for name, value in losses.items()}
    if not math.isfinite(values["total"]):
        raise CompatError(
            f"training of {job.name}",
            value=values["total"],
            rule=f"the loss stopped being finite in epoch {epoch + 1}",
            fix="lower train.lr, or the weight of the compatibility term",
        )
    job.reporter.event(
        "train", seed=job.seed, name=job.name, epoch=epoch + 1, step=done + 1, steps=total_steps, lr=lr,
        images_per_s=round(rate, 1), losses=values,
    )  # fmt: skip
    job.reporter.progress((done + 1) / total_steps)
