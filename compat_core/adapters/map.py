"""A fitted map between two embedding spaces: one face for all adapters, kept as safetensors and JSON."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from compat_core.adapters.pairs import check_finite
from compat_core.errors import CompatError
from compat_core.models.saved import SavedModule, load_module, save_module

MANIFEST_FILE = "manifest.json"
FORMAT = 1


class VectorMap(SavedModule):
    """A map from source vectors to the target space; subclasses state their ``kind`` and keep float32 weights.

    Attributes:
        source_dim: dimension of what goes in, D_source.
        target_dim: dimension of what comes out, D_target.
        side_dim: dimension of the side-information it wants beside each vector; 0 for none.
        normalise: whether source rows are brought to length 1 first. The map was then fitted on targets of length 1
            too; what comes out is not normalised again, which cosine does not see.
    """

    source_dim: int
    target_dim: int
    side_dim: int = 0
    normalise: bool = False

    def forward(self, source: torch.Tensor, side: torch.Tensor | None = None) -> torch.Tensor:
        """Shape: ``(N, D_source)`` [, ``(N, D_side)``] float32 → ``(N, D_target)``."""
        raise NotImplementedError

    def uncertainty(self, source: torch.Tensor, side: torch.Tensor | None = None) -> torch.Tensor | None:
        """How unsure the map is of each row ``(N,)``, larger is worse; None: it cannot tell."""
        return None

    @property
    def num_parameters(self) -> int:
        """Numbers the map consists of, fitted or trained."""
        return sum(tensor.numel() for tensor in self.state_dict().values())


def apply_batches(
    vector_map: VectorMap, batches: Iterable[Any], device: torch.device | str = "cpu"
) -> Iterator[np.ndarray]:
    """Map a stream of batches, one at a time in memory.

    Rounding may depend on the size of a batch: a migration that must come out byte for byte the same when it is
    resumed has to cut its batches at the same rows.

    Args:
        vector_map: the map; it is put on ``device`` in eval mode.
        batches: ``(B, D_source)`` arrays or tensors, or ``(vectors, side)`` tuples of them.
        device: where to compute.

    Yields:
        ``(B, D_target)`` float32, in the same order.

    Raises:
        CompatError: for a batch of another dimension, with NaN, or without the side-information the map wants.
    """
    vector_map = vector_map.to(device).eval()
    first_row = 0
    for batch in batches:
        source, side = batch if isinstance(batch, tuple) else (batch, None)
        source = _batch("vectors to map", source, vector_map.source_dim, first_row)
        if side is None and vector_map.side_dim:
            rule = f"this map wants {vector_map.side_dim} dimensions of side-information beside every vector"
            raise CompatError("side-information", value=None, rule=rule, fix="give the file it was fitted with")
        if side is not None:
            side = _batch("side-information", side, vector_map.side_dim, first_row)
            if len(side) != len(source):
                rule = f"must be as many as there are vectors ({len(source)})"
                raise CompatError("side-information", value=f"{len(side)} rows", rule=rule)
        first_row += len(source)
        with torch.inference_mode():
            mapped = vector_map(source.to(device), None if side is None else side.to(device))
        yield mapped.float().cpu().numpy()


def _batch(name: str, values: Any, dim: int, first_row: int) -> torch.Tensor:
    array = values.detach().cpu().float().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    if array.ndim != 2 or array.shape[1] != dim:
        rule = f"must be (items, {dim}), as the map was fitted" if dim else "this map takes none"
        raise CompatError(name, value=f"shape {array.shape}", rule=rule)
    if array.dtype.kind not in "fiu":
        raise CompatError(name, rule=f"dtype is {array.dtype}; must hold real numbers")
    check_finite(name, array, first_row)
    return torch.from_numpy(np.array(array, dtype=np.float32))


def save_map(vector_map: VectorMap, folder: Path | str, manifest: dict[str, Any]) -> None:
    """Write a map and where it comes from: ``model.safetensors``, ``model.json`` and ``manifest.json``.

    Args:
        vector_map: a fitted map.
        folder: made when it does not exist; a map in it is replaced.
        manifest: JSON types: versions of both models, adapter, config, seed, hashes of the files it was fitted on …

    Raises:
        CompatError: for a manifest that is no JSON.
    """
    folder = Path(folder)
    try:
        json.dumps(manifest, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise CompatError("manifest of a map", value=manifest, rule=f"must be JSON types ({error})") from error
    save_module(vector_map, folder)
    described = {
        "format": FORMAT,
        "kind": vector_map.kind,
        "source_dim": vector_map.source_dim,
        "target_dim": vector_map.target_dim,
        "side_dim": vector_map.side_dim,
        "sha256": _sha256(folder / "model.safetensors"),
        "manifest": manifest,
    }
    part = folder / f"{MANIFEST_FILE}.part"
    part.write_text(json.dumps(described, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(part, folder / MANIFEST_FILE)  # last: it vouches for the other two files


def load_map(folder: Path | str, device: torch.device | str = "cpu") -> VectorMap:
    """The map that :func:`save_map` wrote, in eval mode; nothing is unpickled.

    Raises:
        CompatError: for a folder without a map, or one whose files are broken or do not belong together.
    """
    folder = Path(folder)
    described = _described(folder)
    if not (folder / "model.safetensors").is_file() or _sha256(folder / "model.safetensors") != described["sha256"]:
        raise _broken(folder, "its weights are not the ones its manifest names")
    try:
        loaded = load_module(folder, device)
    except (TypeError, ValueError, AttributeError) as error:  # arguments of another kind of map
        raise _broken(folder, str(error)) from error
    if not isinstance(loaded, VectorMap):
        raise _broken(folder, f"it holds a {loaded.kind}, not a map between vectors")
    if (loaded.source_dim, loaded.target_dim) != (described["source_dim"], described["target_dim"]):
        raise _broken(folder, "its dimensions are not the ones its manifest names")
    return loaded.requires_grad_(False)


def read_manifest(folder: Path | str) -> dict[str, Any]:
    """What was given to :func:`save_map` as the manifest. Raises CompatError as :func:`load_map`."""
    return _described(Path(folder))["manifest"]


def _described(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise CompatError("map", value=str(folder), rule=f"no {MANIFEST_FILE} there", fix="fit and save a map first")
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _broken(folder, f"{MANIFEST_FILE} is no JSON: {error}") from error
    if not isinstance(described, dict) or described.get("format") != FORMAT:
        raise _broken(folder, f"{MANIFEST_FILE} is not of format {FORMAT}")
    if missing := {"source_dim", "target_dim", "sha256", "manifest"} - set(described):
        raise _broken(folder, f"{MANIFEST_FILE} lacks {', '.join(sorted(missing))}")
    return described


def _broken(folder: Path, why: str) -> CompatError:
    return CompatError("map", value=str(folder), rule=f"cannot be read: {why}", fix="fit and save it again")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
