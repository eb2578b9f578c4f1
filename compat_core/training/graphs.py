"""Training steps recorded once and replayed: small kernels end sooner than Python can ask a GPU for the next one."""

from __future__ import annotations

import functools
import gc
from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from compat_core.data.images import ImageSet

LARGEST_ITEM = 3 * 64 * 64  # numbers; what comes in larger pieces keeps a GPU busy by itself
REHEARSALS = 3  # steps of a kind before it is recorded: libraries choose their kernels, an optimiser makes its state

Step = Callable[[torch.Tensor, float], dict[str, torch.Tensor]]
"""One step of a training: indices of the batch ``(B,)`` and the share of training done → named losses."""


def recordable(images: ImageSet) -> bool:
    """Whether steps on these images may be recorded: they lie on the device as a whole, and are small."""
    return isinstance(images.images, torch.Tensor) and images.channels * images.size**2 <= LARGEST_ITEM


class RecordedSteps:
    """Training steps on a CUDA device, each kind of them recorded whole after a few, from batch to optimiser.

    A replay asks the GPU for exactly what it was asked for while the recording was made, with another batch and the
    random numbers that are next: the numbers are those of plain steps. All else that a step reads must lie where it
    lay. The losses it returns are overwritten by the next step of its kind.

    Args:
        step: a whole step; what it returns has no gradient.
        kind: what a step depends on besides its batch's size, such as which parts are in training mode; None where it
            cannot be recorded, because it waits for the GPU or reads what Python computes anew.
        stream: what the step draws from, besides torch's own stream.
    """

    def __init__(self, step: Step, kind: Callable[[], Hashable | None], stream: torch.Generator) -> None:
        self.step, self.kind, self.stream = step, kind, stream
        self.rehearsed: Counter[Hashable] = Counter()
        self.recordings: dict[Hashable, tuple[torch.Tensor, Callable[[], dict[str, torch.Tensor]]]] = {}

    def __call__(self, indices: torch.Tensor, progress: float) -> dict[str, torch.Tensor]:
        kind = self.kind()
        if kind is None:
            return self.step(indices, progress)
        kind = (len(indices), kind)
        if kind not in self.recordings:
            if self.rehearsed[kind] < REHEARSALS:
                self.rehearsed[kind] += 1
                return aside(lambda: self.step(indices, progress), self.stream.device)
            batch = indices.clone()
            self.recordings[kind] = batch, record(lambda: self.step(batch, progress), self.stream)
        batch, replay = self.recordings[kind]
        batch.copy_(indices)
        return replay()


def aside(work: Callable[[], dict[str, torch.Tensor]], device: torch.device) -> dict[str, torch.Tensor]:
    """Do ``work`` on another CUDA stream than the usual one, as what is to be recorded must have been done before."""
    usual, other = torch.cuda.current_stream(device), _other_stream(device)
    other.wait_stream(usual)
    try:
        with torch.cuda.stream(other):
            return work()
    finally:
        usual.wait_stream(other)


@functools.cache
def _other_stream(device: torch.device) -> torch.cuda.Stream:
    """One for all: memory that was used on a stream is kept for what is done on it next, recordings aside.

    So only one training at a time may be recorded on a device.
    """
    return torch.cuda.Stream(device)


def record(
    work: Callable[[], dict[str, torch.Tensor]], stream: torch.Generator
) -> Callable[[], dict[str, torch.Tensor]]:
    """What ``work`` asks a GPU for, as a call that asks for it again; it is not done yet.

    Args:
        work: waits for nothing; draws from ``stream`` and torch's own stream alone.
        stream: on the device where all of it happens.
    """
    _make_room(stream.device)
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(stream)
    there = _other_stream(stream.device)  # torch would take a stream of the device that recorded first
    with torch.cuda.device(stream.device), _nothing_collected(), torch.cuda.graph(graph, stream=there):
        found = work()

    def replay() -> dict[str, torch.Tensor]:
        graph.replay()
        return found

    return replay


class Recorded:
    """One module of a step that cannot be recorded whole.

    Calls ``module``; on a CUDA device its forward and backward pass are recorded as graphs, one per kind of batch.

    The numbers are those of the plain call. What a call returns is overwritten by the next call of the same kind, so
    there must be one call per optimiser step. Calls without gradients, or with items above ``LARGEST_ITEM``, and other
    devices are passed through.

    A recording holds the memory of one step, and is made anew when the batch has another shape, or when a part of the
    module went to eval mode: two for the two sizes of batches that an epoch has.

    Args:
        module: without hooks, every parameter taking part in every call, nothing that waits for the GPU.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.parts = list(module.modules())  # finding them takes as long as a few kernels, at every step
        self.graphs: dict[Hashable, Callable[..., Any]] = {}

    def __call__(self, *inputs: torch.Tensor) -> Any:
        small = inputs[0][0].numel() <= LARGEST_ITEM
        if inputs[0].device.type != "cuda" or not small or not torch.is_grad_enabled():
            return self.module(*inputs)
        modes = tuple(part.training for part in self.parts)
        kind = (modes, *(tuple(tensor.shape) for tensor in inputs))
        if kind not in self.graphs:
            self.graphs[kind] = _record(self.module, inputs)
        return self.graphs[kind](*inputs)


class _Alone(nn.Module):
    """Takes the patch that recording puts on a module's ``forward``."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.training = module.training

    def forward(self, *inputs: torch.Tensor) -> Any:
        return self.module(*inputs)


def _record(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> Callable[..., Any]:
    device = inputs[0].device
    # Gradients are added up on the stream they were recorded on, each after those of the step before: as it must be.
    hush = getattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch", None)
    if hush:
        hush(False)
    _make_room(device)
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    half, wanted = torch.get_autocast_dtype("cuda"), torch.is_autocast_enabled("cuda")
    # Weights cast outside the recording would be stale in its replays, so nothing is taken from the cast cache.
    with (
        torch.cuda.device(device),  # streams are made on the current one, and record nothing of another
        _nothing_collected(),
        torch.random.fork_rng([device]),
        torch.autocast("cuda", half, enabled=wanted, cache_enabled=False),
    ):
        samples = tuple(tensor.clone() for tensor in inputs)
        graphed: Callable[..., Any] = torch.cuda.make_graphed_callables(_Alone(module), samples)
    with torch.no_grad():  # the rehearsals before a recording moved the running statistics of batch norm
        for name, buffer in module.named_buffers():
            buffer.copy_(before[name])
    return graphed


def _make_room(device: torch.device) -> None:
    """Free past recordings: torch 2.11 leaves them, and their memory, in circles of objects."""
    free, total = torch.cuda.mem_get_info(device)
    if free < total / 2:
        gc.collect()


@contextmanager
def _nothing_collected() -> Iterator[None]:
    """A block that Python's collector keeps out of: freeing an earlier recording would spoil the one that is made."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
