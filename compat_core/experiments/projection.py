"""One UMAP fit of old, migrated and new vectors together, computed outside the app and kept in the run's folder."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compat_core.config import check_ranges, param
from compat_core.errors import CompatError
from compat_core.experiments.artefacts import Artefacts
from compat_core.experiments.background import BackgroundProcess
from compat_core.experiments.run import Run
from compat_core.retrieval.search import top_k

EPOCHS = 200  # umap-learn takes 500 up to 10,000 points, from a start that is less ordered
SMALL = 4096  # rows below which umap-learn compares all pairs itself and takes no neighbours


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
    repeat ``old`` (up to its length, which the projection does not see) and is left out. Where the old dimension is
    larger than the shared one, ``old`` is left out. :func:`what_is_shown` says so in words.

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
    if "old" not in found or not np.allclose(unit_rows(found["old"]), unit_rows(migrated), atol=1e-5):
        found["migrated"] = migrated
    found["new"] = new
    return chosen, labels[chosen], found


def unit_rows(emb: np.ndarray) -> np.ndarray:
    """``emb (N, D)`` with rows of length 1; rows of zeros stay zeros."""
    return emb / np.maximum(np.linalg.norm(emb, axis=1, keepdims=True), 1e-12)


def what_is_shown(run: Run, config: ProjectionConfig, versions: Sequence[str]) -> list[str]:
    """One sentence for each liberty taken to place all versions in one space; none where none was taken.

    Args:
        run, config: what was projected.
        versions: the versions that the projection holds.

    Raises:
        CompatError: when the run has no such vectors.
    """
    files = Artefacts(run.path)
    old_dim = files.embedding(config.seed, "old", "old").shape[1]
    shared_dim = files.embedding(config.seed, config.method, "gallery_new").shape[1]
    sentences = []
    if "old" not in versions:
        sentences.append(f"Old vectors ({old_dim}-d) do not fit into the shared space ({shared_dim}-d): left out.")
    elif old_dim < shared_dim:
        sentences.append(f"Old vectors ({old_dim}-d) are padded with zeros to the shared space ({shared_dim}-d).")
    if "migrated" not in versions:
        sentences.append("This method leaves old vectors as they are: migrated would repeat old, and is left out.")
    return sentences


def first_hits_right(labels: np.ndarray, indices: np.ndarray) -> list[bool | None]:
    """Whether each item, searching its own gallery, finds its class first; None where nothing relevant is left.

    From the ranked lists alone, which every run keeps: runs older than the metrics per query can be judged too.

    Args:
        labels: ``(N,)`` classes of the items, which are queries and gallery alike.
        indices: ``(N, K)`` gallery rows, nearest first, the item itself left out; −1 where none is left.
    """
    relevant = np.bincount(labels)[labels] > 1  # another item of the same class
    first = indices[:, 0]
    right = (labels[first] == labels) & (first >= 0)
    return [bool(hit) if judged else None for hit, judged in zip(right, relevant, strict=True)]


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
    unit = unit_rows(stacked)  # cosine neighbours are Euclidean ones on the sphere
    layout = lay_out(unit, config.n_neighbors, config.min_dist, config.umap_seed)
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
    packages = {"umap": umap.__version__, "numpy": np.__version__}
    (folder(run) / f"{config.digest}.json").write_text(json.dumps(asdict(config) | packages))
    os.replace(target.with_suffix(".part"), target)
    return target


def lay_out(unit: np.ndarray, n_neighbors: int, min_dist: float, seed: int) -> np.ndarray:
    """UMAP's layout ``(N, 2)`` of rows of length 1 ``(N, D)``, from exact neighbours and a PCA start.

    In a new process most of umap-learn's own time goes into compiling its approximate neighbours, then into the
    layout's epochs. Exact neighbours by matrix products need no compiling, and from a start that is already in order
    umap-learn's number of epochs for large sets is enough for small ones.

    Args:
        unit: what is laid out.
        n_neighbors, min_dist: UMAP's parameters; no more neighbours than there are other rows.
        seed: of the layout, which is then computed on one thread.
    """
    import umap

    count = min(n_neighbors, len(unit) - 1)
    given = {}
    if len(unit) >= SMALL:
        found = top_k(unit, unit, count, "l2", device="cpu")
        given["precomputed_knn"] = (found.indices, -found.scores, None)
    start = principal_plane(unit)
    # fitted once and never asked to place new points: that is all the missing search index would be for
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="precomputed_knn\\[2\\]")
        fitted = umap.UMAP(
            n_neighbors=count, min_dist=min_dist, random_state=seed, n_jobs=1, init=start, n_epochs=EPOCHS, **given
        ).fit_transform(unit)
    return np.asarray(fitted, dtype=np.float32)


def principal_plane(rows: np.ndarray) -> np.ndarray:
    """The first two principal components ``(N, 2)`` float32, scaled to at most 10; signs fixed by the largest entry."""
    centred = rows - rows.mean(axis=0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    plane = centred @ vectors[:, ::-1][:, :2]
    plane *= np.sign(plane[np.abs(plane).argmax(axis=0), range(plane.shape[1])])
    if plane.shape[1] < 2:
        plane = np.column_stack([plane, np.zeros(len(plane))])
    return (10 * plane / max(float(np.abs(plane).max()), 1e-12)).astype(np.float32)


def stored(run: Run, config: ProjectionConfig) -> dict[str, np.ndarray] | None:
    """The stored projection: ``rows``, ``labels``, ``version`` ``(M,)`` and ``xy (M, 2)``; None where there is none.

    Raises:
        CompatError: when the file is damaged.
    """
    path = folder(run) / f"{config.digest}.npz"
    try:
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CompatError("projection", value=str(path), rule="is damaged", fix="delete this file") from error


def process(run: Run, config: ProjectionConfig) -> BackgroundProcess:
    """The process that computes this projection."""
    return BackgroundProcess(folder(run), config.digest)


def failure(run: Run, config: ProjectionConfig) -> str | None:
    """The end of the log of an attempt that left no projection; None where none was made, or one is at work."""
    at_work = process(run, config)
    words = None if at_work.is_running else at_work.last_words()
    return words if words is None else words or "the process was ended"


def is_running(run: Run, config: ProjectionConfig) -> bool:
    """Whether a process computes this projection now, whoever started it."""
    return process(run, config).is_running


def start(run: Run, config: ProjectionConfig) -> None:
    """Compute the projection in a process of its own, which outlives the caller; nothing where one is at it already.

    Raises:
        CompatError: when the run folder is gone.
    """
    if not run.exists():
        raise CompatError("run", value=run.id, rule="was deleted")
    process(run, config).start(command(run, config))


def command(run: Run, config: ProjectionConfig) -> list[str]:
    """The command that computes one projection."""
    place = [run.id, "--runs-dir", str(run.path.parent.resolve())]
    return ["project", *place, "--config", json.dumps(asdict(config))]


def from_json(text: str) -> ProjectionConfig:
    """Inverse of the ``--config`` argument. Raises CompatError for anything else."""
    from compat_core.config import from_dict

    try:
        values: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise CompatError("--config", value=text, rule=f"not valid JSON ({error})") from error
    return from_dict(ProjectionConfig, values)
