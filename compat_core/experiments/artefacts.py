"""Where a run keeps its models, vectors and gallery, and how they are written and read back."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file

from compat_core.data.distant import whole
from compat_core.data.images import Dataset, ImageSet
from compat_core.errors import CompatError
from compat_core.experiments import results
from compat_core.experiments.files import write_json
from compat_core.experiments.results import RESULTS_FILE
from compat_core.losses import build_loss
from compat_core.methods import METHODS, TrainedModel, Upgrade
from compat_core.models import is_saved, load_module, save_module
from compat_core.models.saved import write_weights
from compat_core.spec import Spec

MODELS, EMBEDDINGS = "models", "embeddings"  # folders of a run
RANKINGS = "rankings"  # folder of ranked lists and of metrics per query
THUMBNAIL_PX = 64
UNREADABLE_FILE = "unreadable_files.json"


def folder_name(label: str) -> str:
    """A file-system name for a method label; one that had to be changed gets a short digest, so none collide."""
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", label).strip("-.")[:80]
    return safe if safe == label else f"{safe}-{hashlib.sha256(label.encode()).hexdigest()[:6]}"


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Save several arrays as .npz under a temporary name first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(part, path)


def write_array(path: Path, array: np.ndarray) -> None:
    """Save ``array`` as .npy under a temporary name first, so that no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, array, allow_pickle=False)
    os.replace(part, path)


@dataclass(frozen=True, slots=True)
class Artefacts:
    """The large files of one run folder. Arrays are read memory-mapped."""

    root: Path

    def model_dir(self, seed: int, label: str) -> Path:
        """Folder of a model version or an upgrade."""
        return self.root / MODELS / f"seed{seed}" / folder_name(label)

    def embedding_file(self, seed: int, label: str, kind: str) -> Path:
        """File of one embedding matrix; ``kind`` is ``old``, ``new``, ``side``, ``query``, ``gallery_new`` …"""
        return self.root / EMBEDDINGS / f"seed{seed}" / folder_name(label) / f"{kind}.npy"

    def checkpoint(self, seed: int, label: str) -> Path:
        """Checkpoint file of a stage."""
        return self.root / "checkpoints" / f"seed{seed}-{folder_name(label)}.safetensors"

    def ranking_file(self, seed: int, label: str, cell: str) -> Path:
        """File of the raw ranked lists of one cell."""
        return self.root / RANKINGS / f"seed{seed}" / folder_name(label) / f"{cell.replace('/', '_')}.npz"

    def backfill_file(self, seed: int, label: str) -> Path:
        """File of a method's backfill curves: per ordering and metric the area under the curve of every query."""
        return self.root / RANKINGS / f"seed{seed}" / folder_name(label) / "backfill.npz"

    def backfill(self, seed: int, label: str) -> dict[str, np.ndarray]:
        """``"ordering metric"`` -> area under the backfill curve per query ``(Nq,)``; empty where none was drawn."""
        path = self.backfill_file(seed, label)
        if not path.is_file():
            return {}
        with _damaged("backfill curves", f"{label}, seed {seed}"), np.load(path) as stored:
            return {name: stored[name] for name in stored.files}

    def ranking(self, seed: int, label: str, cell: str) -> dict[str, np.ndarray]:
        """The ranked lists of one cell and its metrics per query.

        Cells that are the same for several methods are kept once: ``old/old`` with the old model, ``paragon`` and an
        equal ``new/new`` with the paragon, ``new/migrated`` of a method that maps nothing as its ``new/old``. Cells of
        a chain (``v3/v1``) belong to their method.

        Returns:
            ``indices (Nq, K)`` int32 (-1: none left), ``scores (Nq, K)`` float32, and every metric by name ``(Nq,)``
            float32, NaN where the query was skipped.

        Raises:
            CompatError: when the run has not got that far.
        """
        once = {"old/old": ("old", "old/old"), "paragon": ("paragon", "new/new")}
        path = self.ranking_file(seed, *once.get(cell, (label, cell)))
        shared = {"new/migrated": ("new/old", label, "new/old"), "new/new": ("paragon", "paragon", "new/new")}
        if not path.is_file() and cell in shared:
            twin, *home = shared[cell]
            if self._equal(seed, label, cell, twin):
                path = self.ranking_file(seed, *home)
        where = f"{label}, seed {seed}, {cell}"
        if not path.is_file():
            raise self._missing("ranked lists", where, RANKINGS, "not written by this run (yet)")
        with _damaged("ranked lists", where), np.load(path) as stored:
            return {name: stored[name] for name in stored.files}

    def _equal(self, seed: int, label: str, cell: str, twin: str) -> bool:
        """Whether two cells of a method are one: then all numbers of the finished run agree, to the last digit."""
        numbers = results.derive(self.root, _numbers) or {}
        one, other = (numbers.get((seed, label, name), {}) for name in (cell, twin))
        metrics = one.keys() & other.keys()
        return bool(metrics) and all(one[metric] == other[metric] for metric in metrics)

    # -- model versions ------------------------------------------------------------------------------------------

    def save_version(self, seed: int, label: str, model: TrainedModel) -> None:
        """Write a model version with its classifier head; complete once ``model.json`` is there."""
        folder = self.model_dir(seed, label)
        folder.mkdir(parents=True, exist_ok=True)
        head = {name: tensor.detach().cpu().contiguous() for name, tensor in model.head.state_dict().items()}
        write_weights(head | {"classes": model.classes.cpu().contiguous()}, folder / "head.safetensors")
        save_module(model.embedder, folder)

    def load_version(self, seed: int, label: str, loss: Spec, device: torch.device) -> TrainedModel | None:
        """The saved model version, or None where it was not finished. Raises CompatError for a broken one."""
        folder = self.model_dir(seed, label)
        if not is_saved(folder):
            return None
        embedder = load_module(folder, device)
        with _damaged("classifier", f"{label}, seed {seed}"):
            tensors = load_file(folder / "head.safetensors")
            classes = tensors.pop("classes").to(device)
            head = build_loss(loss, tensors["weight"].shape[1], len(classes))  # BT²'s head sees fewer dimensions
            head.load_state_dict(tensors)
        return TrainedModel(embedder, head.to(device).eval(), classes)

    # -- upgrades ------------------------------------------------------------------------------------------------

    def save_upgrade(self, seed: int, spec: Spec, upgrade: Upgrade, paragon: TrainedModel) -> None:
        """Write what the upgrade adds to the old model and the paragon; complete once ``upgrade.json`` is there."""
        folder = self.model_dir(seed, spec.label)
        folder.mkdir(parents=True, exist_ok=True)
        free = upgrade.new is paragon.embedder
        if not free:
            save_module(upgrade.new, folder / "new")
        for name, part in upgrade.parts.items():
            save_module(part, folder / name)  # type: ignore[arg-type]
        described = {"method": spec.name, "label": spec.label, "new": "paragon" if free else "own"}
        text = json.dumps(described | {"parts": sorted(upgrade.parts)}, indent=1)
        (folder / "upgrade.json.part").write_text(text)
        os.replace(folder / "upgrade.json.part", folder / "upgrade.json")

    def load_upgrade(self, seed: int, label: str, device: torch.device | str = "cpu") -> Upgrade | None:
        """The saved upgrade, or None where it was not finished. Raises CompatError for a broken one."""
        folder = self.model_dir(seed, label)
        if not (folder / "upgrade.json").is_file():
            return None
        with _damaged("method", f"{label}, seed {seed}"):
            described = json.loads((folder / "upgrade.json").read_text())
        new = self.model_dir(seed, "paragon") if described["new"] == "paragon" else folder / "new"
        parts = {name: load_module(folder / name, device) for name in described["parts"]}
        old = load_module(self.model_dir(seed, "old"), device)
        upgrade = METHODS.get(described["method"]).upgrade(old, load_module(new, device), **parts)
        return upgrade.to(device).eval()

    def finished_upgrade(self, seed: int, label: str) -> Upgrade:
        """The saved upgrade. Raises CompatError where there is none, or a broken one."""
        upgrade = self.load_upgrade(seed, label)
        if upgrade is None:
            raise self._missing("method", label, MODELS, "this run has not finished it")
        return upgrade

    def _missing(self, what: str, value: str, folder: str, otherwise: str) -> CompatError:
        """Why something is not there: a finished run without the whole ``folder`` was copied in part."""
        if (self.root / RESULTS_FILE).is_file() and not (self.root / folder).is_dir():
            rule, fix = f"this copy of the run came without its folder {folder}", "copy the whole folder of the run"
            return CompatError(what, value=value, rule=rule, fix=fix)
        return CompatError(what, value=value, rule=otherwise, fix="wait, or resume the run")

    def maps_old(self, seed: int, label: str) -> bool:
        """Whether the method transforms old rows; False where it was not finished. Raises CompatError for a broken one.

        The saved parts decide it (one method maps either way), so they are loaded once, and the answer is remembered
        for as long as the upgrade is the same.
        """
        described = self.model_dir(seed, label) / "upgrade.json"
        return described.is_file() and _maps_old(self, seed, label, described.stat().st_mtime_ns)

    # -- the images ----------------------------------------------------------------------------------------------

    def keep_unreadable(self, dataset: Dataset) -> Dataset:
        """Write the files that could not be read, each with its reason, and name the list in the data set's notes."""
        if not dataset.unreadable:
            return dataset
        listed = [{"file": file, "reason": reason} for file, reason in dataset.unreadable]
        write_json(self.root / UNREADABLE_FILE, listed)
        note = f"every unreadable file and its reason: {UNREADABLE_FILE} in the run's folder"
        return dataclasses.replace(dataset, notes=(*dataset.notes, note))

    # -- the evaluation gallery ----------------------------------------------------------------------------------

    def save_gallery(self, images: ImageSet, spec: str) -> None:
        """Write ids, labels and thumbnails (at most 64 px) of the evaluation images, once."""
        folder = self.root / EMBEDDINGS
        thumbnails = whole(images.images)
        if images.size > THUMBNAIL_PX:
            small = [
                F.interpolate(chunk.float(), size=(THUMBNAIL_PX, THUMBNAIL_PX), mode="area").round().to(torch.uint8)
                for chunk in thumbnails.split(256)
            ]
            thumbnails = torch.cat(small)
        write_array(folder / "images.npy", thumbnails.permute(0, 2, 3, 1).contiguous().cpu().numpy())
        write_array(folder / "ids.npy", images.ids)
        write_array(folder / "labels.npy", images.labels.cpu().numpy())
        described = {"class_names": list(images.class_names), "spec": spec, "image_size": images.size}
        part = folder / "gallery.json.part"
        part.write_text(json.dumps(described | {"channels": images.channels}))
        os.replace(part, folder / "gallery.json")

    def gallery(self) -> Gallery:
        """The evaluation gallery. Raises CompatError when the run has not got that far, or was deleted."""
        folder = self.root / EMBEDDINGS
        try:
            described = json.loads((folder / "gallery.json").read_text())
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("images", "labels", "ids")}
        except FileNotFoundError as error:
            raise CompatError(
                "gallery", value=self.root.name, rule="this run has no vectors yet or was deleted"
            ) from error
        return Gallery(**arrays, **described)

    def embedding(self, seed: int, label: str, kind: str) -> np.ndarray:
        """One embedding matrix ``(N, D)`` float32, memory-mapped. Raises CompatError when it is not there."""
        path = self.embedding_file(seed, label, kind)
        if not path.is_file():
            where = f"{label}, seed {seed}, {kind}"
            raise self._missing("embeddings", where, EMBEDDINGS, "not written by this run (yet)")
        return np.load(path, mmap_mode="r")


def _numbers(results: dict[str, Any]) -> Mapping[tuple[int, str, str], Mapping[str, Any]]:
    """``{(seed, method, cell): {metric: (value, low, high)}}`` of a run's table."""
    found: dict[tuple[int, str, str], dict[str, Any]] = {}
    for row in results["rows"]:
        number = (row["value"], row["ci_low"], row["ci_high"])
        found.setdefault((row["seed"], row["method"], row["cell"]), {})[row["metric"]] = number
    return MappingProxyType(found)


@contextlib.contextmanager
def _damaged(what: str, value: str) -> Iterator[None]:
    """Say which file of a run cannot be read: renames are atomic, a disk that lost power is not."""
    try:
        yield
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, SafetensorError, RuntimeError) as error:
        raise CompatError(what, value=value, rule=f"damaged ({error})", fix="copy it again, or run it again") from error


@functools.lru_cache(maxsize=1024)
def _maps_old(files: Artefacts, seed: int, label: str, written_ns: int) -> bool:
    upgrade = files.load_upgrade(seed, label)
    return upgrade is not None and upgrade.maps_old


@dataclass(frozen=True, slots=True)
class Gallery:
    """The evaluation items: thumbnails ``(N, H, W, C)`` uint8, labels ``(N,)``, ids ``(N,)``, class names."""

    images: Any
    labels: Any
    ids: Any
    class_names: list[str]
    spec: str
    image_size: int
    channels: int
