"""A module's passes recorded once and replayed: small kernels end sooner than Python can ask for the next one."""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

LARGEST_ITEM = 3 * 64 * 64  # numbers; what comes in larger pieces keeps a GPU busy by itself


class Recorded:
    """Calls ``module``; on a CUDA device its forward and backward pass are recorded as graphs, one per kind of batch.

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
    free, total = torch.cuda.mem_get_info(device)
    if free < total / 2:  # torch 2.11 leaves past recordings, and their memory, in circles of objects
        gc.collect()
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
