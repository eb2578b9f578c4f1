"""Any number of vectors through a map into a new file: out of core, resumable byte for byte, verified, with a manifest.

Rows are mapped in batches that begin at fixed row numbers, so that a migration that was cut off and resumed computes
the very same products as one that was not. The new file grows under another name and gets its own when it is whole;
beside it lies a manifest that says which model's space it is in, and that is read before a file is mapped or searched.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from compat_core.adapters import VectorMap, load_map, read_manifest
from compat_core.adapters.map import MANIFEST_FILE
from compat_core.errors import CompatError
from compat_core.experiments.files import write_json
from compat_core.experiments.locks import FileLock
from compat_core.retrieval.streamed import let_go
from compat_core.vectors.file_spec import FileSpec
from compat_core.vectors.growing import GrowingFile
from compat_core.vectors.sources import read_vectors

BATCH_ROWS = 8_192
SYNC_BATCHES = 64  # batches of a piece that the journal knows: what a power cut costs at most
FREED_BATCHES = 8  # batches after which the pages of a mapped file are given back
SAMPLED = 1_000  # rows mapped once more at the end
UNIT = 0.01  # a length that differs from 1 by no more counts as 1, float16's included
TOLERANCE = 1e-5  # of a recomputed row, relative to its length
FORMAT = "compatbench vectors 1"


@dataclass(frozen=True, slots=True)
class SpaceManifest:
    """Which space a file of vectors is in.

    Attributes:
        space: version of the model whose space it is.
        origin: version of the model that computed the vectors before they were mapped; ``space`` where none were.
        rows, dim: of the file.
        sha256: of the whole file.
        map_sha256: of the map's weights; empty where nothing was mapped.
        source: the name, size and sha256 of the file that was mapped; empty where nothing was.
    """

    space: str
    origin: str
    rows: int
    dim: int
    sha256: str
    map_sha256: str = ""
    source: dict[str, Any] | None = None


def manifest_path(path: Path) -> Path:
    """Where the manifest of a file of vectors lies."""
    return path.with_name(f"{path.name}.manifest.json")


def write_manifest(path: Path, manifest: SpaceManifest) -> None:
    """Write the manifest of ``path``."""
    write_json(manifest_path(path), {"format": FORMAT} | asdict(manifest), fsync=True)


def read_space(path: Path) -> SpaceManifest | None:
    """The manifest of a file of vectors; None where it has none. Raises CompatError for a broken one."""
    where = manifest_path(path)
    if not where.is_file():
        return None
    try:
        values = json.loads(where.read_text(encoding="utf-8"))
        if values.pop("format", None) != FORMAT:
            raise ValueError(f"not of format {FORMAT}")
        return SpaceManifest(**values)
    except (ValueError, TypeError, AttributeError) as error:
        raise CompatError(
            str(where), rule=f"cannot be read ({error})", fix="delete it if you know the space"
        ) from error


def migrate(
    map_folder: Path,
    vectors: str | Path,
    out: Path,
    tell: Callable[[float], None] = lambda share: None,
    side: str | Path | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> SpaceManifest:
    """Map every row of ``vectors`` and write them to ``out`` (.npy, float32).

    Calling it again after it was cut off goes on after the last piece that the journal knows and the disk still has.

    Args:
        map_folder: what ``save_map`` wrote; its manifest names ``old_model`` and ``new_model``.
        vectors: ``FILE`` or ``FILE:NAME``.
        out: the new file; it must not exist.
        tell: hears the share done, in [0, 1].
        side: side-information of the same rows, for a map that wants some.
        note: hears what should be known of the mapped vectors before they are used, in a sentence.

    Raises:
        CompatError: for a map or file that cannot be read, another dimension, a file that is in another space than the
            map starts from, an ``out`` that exists, NaN, another process at the same work, or a check that fails.
    """
    out = Path(out)
    if out.suffix != ".npy":
        raise CompatError("--out", value=str(out), rule="must end in .npy")
    if out.exists():
        raise CompatError("--out", value=str(out), rule="exists already", fix="name another file, or delete it")
    if not out.parent.is_dir():
        raise CompatError("--out", value=str(out), rule="its folder does not exist")
    fitted, described = load_map(map_folder), read_manifest(map_folder)
    source_path = FileSpec.parse(vectors).of_arrays().path
    source = _Source(source_path, read_vectors(vectors).emb, None if side is None else read_vectors(side).emb)
    _may_be_mapped(source, fitted, described)
    lock = FileLock(out.with_name(f".{out.name}.lock"))
    if not lock.acquire():
        raise CompatError("--out", value=str(out), rule="another process is writing it")
    try:
        return _mapped(fitted, described, map_folder, source, out, tell, note)
    finally:
        lock.release()


@dataclass(frozen=True, slots=True)
class _Source:
    """What is mapped: a file, its vectors, and the side-information of its rows, or None."""

    path: Path
    emb: np.ndarray
    side: np.ndarray | None

    def mapped(self, fitted: VectorMap, rows: np.ndarray, beside: np.ndarray | None) -> np.ndarray:
        """Some rows through the map, float32."""
        with torch.inference_mode():
            more = None if beside is None else torch.from_numpy(beside)
            return fitted(torch.from_numpy(rows), more).float().numpy()  # type: ignore[no-any-return]

    def batch(self, first: int) -> tuple[np.ndarray, np.ndarray | None]:
        """``BATCH_ROWS`` rows as float32, and their side-information. Raises CompatError for NaN or infinity."""
        beside = None if self.side is None else _finite("--vectors-side", self.side, first)
        return _finite(str(self.path), self.emb, first), beside

    def chosen(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Some rows as float32, and their side-information."""
        return _rows(self.emb, rows), None if self.side is None else _rows(self.side, rows)

    def let_go(self) -> None:
        """Give back the pages of mapped files that were read."""
        for stored in (self.emb, self.side):
            if stored is not None:
                let_go(stored)


def _finite(name: str, stored: np.ndarray, first: int) -> np.ndarray:
    rows = np.array(stored[first : first + BATCH_ROWS], dtype=np.float32)
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        row = first + int(np.flatnonzero(~finite)[0])
        raise CompatError(name, rule=f"NaN or infinite values in row {row}", fix="drop or repair that item")
    return rows


def _may_be_mapped(source: _Source, fitted: VectorMap, described: dict[str, Any]) -> None:
    path, emb, side = source.path, source.emb, source.side
    if bool(fitted.side_dim) != (side is not None):
        rule = "wants side-information" if side is None else "has no use for side-information"
        raise CompatError("map", value=fitted.kind, rule=rule, fix="give or leave out --vectors-side")
    if side is not None and side.shape != (len(emb), fitted.side_dim):
        wanted = f"must be {(len(emb), fitted.side_dim)}: a row per vector"
        raise CompatError("--vectors-side", value=side.shape, rule=wanted)
    space, start, end = read_space(path), described.get("old_model", ""), described.get("new_model", "")
    if space is not None and space.space == end and end != start:
        fix = "nothing to do; or name the file of old vectors"
        raise CompatError(str(path), rule=f"is in the space of {end} already (its manifest says so)", fix=fix)
    if space is not None and space.space != start:
        fix = f"use a map that starts from {space.space}"
        raise CompatError(str(path), rule=f"is in the space of {space.space}; this map starts from {start}", fix=fix)
    if emb.shape[1] != fitted.source_dim:
        raise CompatError(str(path), rule=f"has {emb.shape[1]} dimensions; this map takes {fitted.source_dim}")


def _mapped(
    fitted: VectorMap,
    described: dict[str, Any],
    map_folder: Path,
    source: _Source,
    out: Path,
    tell: Callable[[float], None],
    note: Callable[[str], None],
) -> SpaceManifest:
    emb = source.emb
    weights = json.loads((Path(map_folder) / MANIFEST_FILE).read_text(encoding="utf-8"))["sha256"]
    work = {"source": _stamp(source.path), "map_sha256": weights}
    growing = GrowingFile(out, len(emb), fitted.target_dim, SYNC_BATCHES * BATCH_ROWS, work)
    with growing:
        for number, first in enumerate(range(growing.done, len(emb), BATCH_ROWS), 1):
            rows = source.mapped(fitted, *source.batch(first))
            growing.append(rows)
            if number % FREED_BATCHES == 0:
                source.let_go()
            tell((first + len(rows)) / len(emb))
    source.let_go()
    if lost := _verify(fitted, source, growing.part):
        note(lost)
    start, end = described.get("old_model", ""), described.get("new_model", "")
    file_of = {"file": source.path.name, "bytes": source.path.stat().st_size, "sha256": sha256(source.path)}
    manifest = SpaceManifest(end, start, len(emb), fitted.target_dim, growing.checked(), weights, file_of)
    write_manifest(out, manifest)
    growing.give_name()  # last: a file of that name is whole, checked and described
    return manifest


def _verify(fitted: VectorMap, source: _Source, part: Path) -> str:
    """Map a random sample of rows once more and compare: rounding may depend on the batch, nothing else may.

    Returns what :func:`lost_lengths` says of the sample.
    """
    written = np.load(part, mmap_mode="r")
    if written.shape != (len(source.emb), fitted.target_dim):
        raise CompatError(str(part), rule=f"shape is {written.shape}", fix="delete it and migrate again")
    chosen = np.sort(np.random.default_rng(0).permutation(len(source.emb))[:SAMPLED])
    again = source.mapped(fitted, *source.chosen(chosen))
    gap = np.linalg.norm(_rows(written, chosen) - again, axis=1) / np.maximum(np.linalg.norm(again, axis=1), 1e-12)
    if gap.max() > TOLERANCE:
        row = int(chosen[gap.argmax()])
        rule = f"row {row} differs from its recomputation by {gap.max():.2g} of its length"
        raise CompatError(
            str(part), rule=rule, fix=f"delete it and migrate again; {source.path} may have changed meanwhile"
        )
    return lost_lengths(_rows(source.emb, chosen), again)


def lost_lengths(given: np.ndarray, mapped: np.ndarray) -> str:
    """A sentence where vectors of length 1 are not of length 1 any more once they are mapped; else empty.

    An index that compares by dot product or l2 then ranks them below new vectors that are no more alike.

    Args:
        given: ``(N, D)``; mapped: ``(N, D')``.
    """
    before, after = (np.linalg.norm(emb, axis=1) for emb in (given, mapped))
    if abs(before - 1).max() > UNIT or abs(after - 1).max() <= UNIT:
        return ""
    return (
        f"the vectors given have length 1, mapped ones {after.mean():.2f} on average: compare them with others by "
        "cosine, or scale them to length 1 before they go into an index that compares by dot product or l2"
    )


def _rows(emb: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Some rows as float32, ``(M, D)``; of a mapped file a few at a time: each may bring its surroundings along."""
    parts = []
    for few in np.array_split(chosen, max(1, len(chosen) // 20)):
        parts.append(np.array(emb[few], dtype=np.float32))
        let_go(emb)
    return np.concatenate(parts)


def _stamp(path: Path) -> dict[str, Any]:
    """Enough to see that a file was replaced, without reading all of it at every start."""
    stat = path.stat()
    return {"file": path.name, "bytes": stat.st_size, "modified_ns": stat.st_mtime_ns}


def sha256(path: Path) -> str:
    """Of a whole file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
