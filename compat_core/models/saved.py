"""Modules on disk: weights as safetensors, construction arguments as JSON. Nothing that needs unpickling."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from compat_core.errors import CompatError, unknown_name

_KINDS: dict[str, type[SavedModule]] = {}


class SavedModule(nn.Module):
    """A module that knows the keyword arguments it was made with, so that it can be rebuilt from a folder.

    A subclass states ``kind="…"`` in its class line and sets ``self.arguments`` (JSON types) in its constructor.
    """

    arguments: dict[str, Any]

    def __init_subclass__(cls, kind: str = "", **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if kind:
            cls.kind = kind
            _KINDS[kind] = cls

    kind = ""


def save_module(module: SavedModule, folder: Path) -> None:
    """Write ``model.safetensors`` and then ``model.json``: a folder with the JSON file is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in module.state_dict().items()}
    write_weights(weights, folder / "model.safetensors")
    (folder / "model.json.part").write_text(json.dumps({"kind": module.kind, "arguments": module.arguments}, indent=1))
    os.replace(folder / "model.json.part", folder / "model.json")


def write_weights(weights: dict[str, torch.Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """Write contiguous tensors on the CPU as a safetensors file, whole or not at all.

    The library's own writer makes files that only their owner can read, and calls a full disk by an error of its own.

    Raises:
        OSError: when the disk is full or the place cannot be written to.
    """
    part = path.with_name(f"{path.name}.part")
    part.write_bytes(save(weights, metadata))
    os.replace(part, path)


def is_saved(folder: Path) -> bool:
    """True when ``folder`` holds a completely written module."""
    return (folder / "model.json").is_file()


def load_module(folder: Path, device: torch.device | str = "cpu") -> Any:
    """Rebuild the module in ``folder``, in eval mode.

    Raises:
        CompatError: when the folder holds no complete module, or a broken one.
    """
    try:
        described = json.loads((folder / "model.json").read_text())
        kind, arguments = described["kind"], described["arguments"]
        if kind not in _KINDS:
            raise unknown_name("kind of saved model", kind, _KINDS)
        module = _KINDS[kind](**arguments)
        module.load_state_dict(load_file(folder / "model.safetensors"))
    except (OSError, json.JSONDecodeError, KeyError, SafetensorError, RuntimeError) as error:
        raise CompatError(
            "saved model", value=str(folder), rule=f"cannot be read ({error})", fix="run it again"
        ) from error
    return module.to(device).eval()
