"""One UMAP fit of old, migrated and new vectors together, computed outside the app and kept in the run's folder."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compat_core.config import check_ranges, param
from compat_core.errors import CompatError
from compat_core.experiments.artefacts import Artefacts
from compat_core.experiments.run import Run


@dataclass(frozen=True, slots=True)
class ProjectionConfig:
    """What is projected, and UMAP's own parameters."""

    method: str = param("", "label of the method whose shared space is shown")
    seed: int = param(0, "the experiment's seed", low=0)
    items: int = param(1000, "gallery items shown, each once per version", unit="items", low=10, high=20_000)
    n_neighbors: int = param(15, "larger shows more of the global layout", unit="neighbours", low=2, high=200)
    min_dist: float = param(0.1, "smaller packs clusters tighter", low=0.0, high=1.0)
    umap_seed: int = param(0, "seed of the layout; another seed, another picture", low=0)

    def __post_init__(self) -> None:
        check_ranges(self, "projection")

    @property
    def digest(self) -> str:
        """Names the projection's files."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:12]


def folder(run: Run) -> Path:
    """Where a run's projections are kept."""
    return run.path / "projections"


def vectors(run: Run, config: ProjectionConfig) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """What is projected: rows of the method's shared space by version.

    ``new`` are backfilled rows; ``migrated`` the rows as the method leaves old vectors; ``old`` the old vectors
    themselves, padded with zeros where the new dimension is larger. For a method that maps nothing, ``migrated`` would
    repeat ``old`` and is left out. Where the old dimension is larger than the shared one, ``old`` is left out.

    Returns:
        gallery rows ``(n,)``, labels ``(n,)``, version -> ``(n, D)`` float32.
    """
    files = Artefacts(run.path)
    gallery = files.gallery()
    labels = np.asarray(gallery.labels)
    chosen = np.sort(np.random.default_rng(0).permutation(len(labels))[: config.items])
    new = np.asarray(files.embedding(config.seed, config.method, "gallery_new")[chosen])
    migrated = np.asarray(files.embedding(config.seed, config.method, "gallery_old")[chosen])
    old = np.asarray(files.embedding(config.seed, "old", "old")[chosen])
    found = {}
    if old.shape[1] <= new.shape[1]:
        found["old"] = np.pad(old, ((0, 0), (0, new.shape[1] - old.shape[1])))
    if "old" not in found or not np.array_equal(found["old"], migrated):
        found["migrated"] = migrated
    found["new"] = new
    return chosen, labels[chosen], found


def project(run: Run, config: ProjectionConfig) -> Path:
    """Fit UMAP once on all versions together and store the coordinates; returns the file.

    Raises:
        CompatError: when the run has no such vectors, or umap-learn is not installed.
    """
    try:
        import umap
    except ImportError as error:
        raise CompatError("projection", rule="needs umap-learn", fix="pip install -r requirements.txt") from error
    rows, labels, versions = vectors(run, config)
    stacked = np.concatenate(list(versions.values())).astype(np.float32)
    norms = np.linalg.norm(stacked, axis=1, keepdims=True)
    unit = stacked / np.maximum(norms, 1e-12)  # cosine neighbours are Euclidean ones on the sphere
    neighbours = min(config.n_neighbors, len(unit) - 1)
    layout = umap.UMAP(
        n_neighbors=neighbours, min_dist=config.min_dist, random_state=config.umap_seed, n_jobs=1
    ).fit_transform(unit)
    target = folder(run) / f"{config.digest}.npz"
    target.parent.mkdir(exist_ok=True)
    with target.with_suffix(".part").open("wb") as file:
        np.savez(
            file,
            rows=np.tile(rows, len(versions)),
            labels=np.tile(labels, len(versions)),
            version=np.repeat(np.array(list(versions)), len(rows)),
            xy=np.asarray(layout, dtype=np.float32),
        )
    (folder(run) / f"{config.digest}.json").write_text(json.dumps(asdict(config) | {"umap": umap.__version__}))
    os.replace(target.with_suffix(".part"), target)
    return target


def stored(run: Run, config: ProjectionConfig) -> dict[str, np.ndarray] | None:
    """The stored projection: ``rows``, ``labels``, ``version`` ``(M,)`` and ``xy (M, 2)``; None where there is none."""
    path = folder(run) / f"{config.digest}.npz"
    if not path.is_file():
        return None
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def log_file(run: Run, config: ProjectionConfig) -> Path:
    """What the computing process printed."""
    return folder(run) / f"{config.digest}.log"


def start(run: Run, config: ProjectionConfig) -> subprocess.Popen[bytes]:
    """Compute the projection in a process of its own, which outlives the caller.

    Raises:
        CompatError: when the run folder is gone.
    """
    if not run.exists():
        raise CompatError("run", value=run.id, rule="was deleted")
    folder(run).mkdir(exist_ok=True)
    command = [sys.executable, "-m", "compat_core", "project", run.id, "--runs-dir", str(run.path.parent)]
    with log_file(run, config).open("wb") as log:
        return subprocess.Popen(
            [*command, "--config", json.dumps(asdict(config))],
            cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


def from_json(text: str) -> ProjectionConfig:
    """Inverse of the ``--config`` argument. Raises CompatError for anything else."""
    from compat_core.config import from_dict

    try:
        values: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise CompatError("--config", value=text, rule=f"not valid JSON ({error})") from error
    return from_dict(ProjectionConfig, values)
