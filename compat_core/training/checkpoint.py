"""One file per training: weights, optimiser state and the number of finished epochs, as safetensors.

Random state is not stored: every epoch derives its own streams from (seed, name, epoch), see ``seeding``.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from compat_core.models.saved import write_weights


def save_checkpoint(path: Path, module: nn.Module, optimiser: torch.optim.Optimizer, epoch: int, digest: str) -> None:
    """Write the state after ``epoch`` finished epochs, under a temporary name first."""
    tensors = {f"module.{name}": value for name, value in module.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        for name, value in state.items():
            if isinstance(value, torch.Tensor):
                tensors[f"optimiser.{index}.{name}"] = value
    contiguous = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_weights(contiguous, path, {"epoch": str(epoch), "digest": digest})


def load_checkpoint(path: Path, module: nn.Module, optimiser: torch.optim.Optimizer, digest: str) -> int:
    """Restore ``module`` and ``optimiser``; returns the finished epochs, 0 where there is nothing that fits.

    A checkpoint of another configuration (``digest``) is left alone and training starts afresh.
    """
    if not path.is_file():
        return 0
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("digest") != digest:
                return 0
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError:  # written by a machine that lost power: the rename is atomic, the disk was not
        return 0
    module.load_state_dict({name[7:]: value for name, value in tensors.items() if name.startswith("module.")})
    state: dict[int, dict[str, torch.Tensor]] = {}
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".", 2)
            parameter = parameters[int(index)]
            if value.shape == parameter.shape:  # a fused step goes through memory: moments must lie as weights do
                value = torch.empty_like(parameter, requires_grad=False).copy_(value)
            state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return int(metadata["epoch"])
