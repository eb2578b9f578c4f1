"""A module's passes recorded once and replayed: small kernels end sooner than Python can ask for the next one."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import nn


class Recorded:
    """Calls ``module``; on a CUDA device its forward and backward pass are recorded as graphs, one per kind of batch.

    The numbers are those of the plain call. What a call returns is overwritten by the next call of the same kind, so
    there must be one call per optimiser step. Calls without gradients, and other devices, are passed through.

    A recording holds the memory of one step, and is made anew when the batch has another shape, or when a part of the
    module went to eval mode.

    Args:
        module: without hooks, every parameter taking part in every call, nothing that waits for the GPU.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.adders: list[Any] = []
        self.graphs: dict[Hashable, Callable[..., Any]] = {}

    def __call__(self, *inputs: torch.Tensor) -> Any:
        if inputs[0].device.type != "cuda" or not torch.is_grad_enabled():
            return self.module(*inputs)
        modes = tuple(part.training for part in self.module.modules())
        kind = (modes, *(tuple(tensor.shape) for tensor in inputs))
        if kind not in self.graphs:
            self.adders = self.adders or _gradient_adders(self.module)
            self.graphs[kind] = _record(self.module, inputs)
        return self.graphs[kind](*inputs)


def _gradient_adders(module: nn.Module) -> list[Any]:
    """What adds to each parameter's gradient, made here and held.

    It belongs to the stream it was made on. One made while recording, on a stream of its own, would have every step
    wait for the one stream on the other, parameter by parameter.
    """
    views = [parameter.view_as(parameter) for parameter in module.parameters() if parameter.requires_grad]
    return [view.grad_fn.next_functions[0][0] for view in views if view.grad_fn is not None]


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
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    half, wanted = torch.get_autocast_dtype("cuda"), torch.is_autocast_enabled("cuda")
    # Weights cast outside the recording would be stale in its replays, so nothing is taken from the cast cache.
    with torch.random.fork_rng([device]), torch.autocast("cuda", half, enabled=wanted, cache_enabled=False):
        samples = tuple(tensor.clone() for tensor in inputs)
        graphed: Callable[..., Any] = torch.cuda.make_graphed_callables(_Alone(module), samples)
    with torch.no_grad():  # the rehearsals before a recording moved the running statistics of batch norm
        for name, buffer in module.named_buffers():
            buffer.copy_(before[name])
    return graphed
