"""Search a gallery whose rows are partly old, migrated and new: several files, one space, a version on every hit.

While a backfill goes on, an item may still be in the old file and be in the new one already: it is searched once, in
its newest version.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from compat_core.adapters import VectorMap
from compat_core.errors import CompatError
from compat_core.retrieval.search import top_k
from compat_core.retrieval.streamed import let_go
from compat_core.vectors.checks import row_fault
from compat_core.vectors.file_spec import FileSpec
from compat_core.vectors.migrate import SpaceManifest, manifest_path, read_space, sha256
from compat_core.vectors.sources import ID_COLUMN, read_column, read_vectors

BLOCK_ROWS = 65_536
VERSIONS = ("old", "migrated", "new")  # from the one that gives way


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the gallery.

    Attributes:
        version: ``old``, ``migrated`` or ``new``.
        path: its file.
        emb: ``(N, D)``, memory-mapped where the format allows it.
        ids: ``(N,)`` texts, or None: a hit is called ``FILE:row`` then, and is no item of any other part.
        stamped: whether a manifest says which space the file is in; otherwise it is taken at its word.
        live: ``(N,)`` bool, the rows that are searched; None for all.
    """

    version: str
    path: Path
    emb: np.ndarray
    ids: np.ndarray | None
    stamped: bool
    live: np.ndarray | None = None

    def name_of(self, row: int) -> str:
        """What a hit in ``row`` is called."""
        return f"{self.path.name}:{row}" if self.ids is None else str(self.ids[row])


@dataclass(frozen=True, slots=True)
class Hit:
    """One gallery item found: its id, version and score (higher is closer)."""

    id: str
    version: str
    score: float


def open_part(
    version: str,
    spec: str,
    space: str,
    on_the_fly: VectorMap | None,
    queries: SpaceManifest | None = None,
    ids: str = "",
) -> Part:
    """Open a part and make sure that it is in the space that is searched.

    Args:
        version: one of VERSIONS.
        spec: ``FILE`` or ``FILE:NAME``.
        space: version of the model whose space is searched; empty: the parts' manifests only have to agree.
        on_the_fly: a map for old rows, applied while they are searched.
        queries: manifest of the query file, or None. Where it says that queries were brought into another model's
            space, that is the old model's: old rows are taken at their word then, and it is new ones that need a
            manifest.
        ids: a file of an id per row; empty: those that the part's own file holds, if it does.

    Raises:
        CompatError: for an unknown version, a file in another space, rows that are not in the searched space by
            their version, without a map or manifest that says that they are, and ids that are not one per row.
    """
    if version not in VERSIONS:
        raise CompatError("--part", value=f"{version}=…", rule=f"must begin with one of {', '.join(VERSIONS)}")
    if on_the_fly is not None and on_the_fly.side_dim:
        fix = "migrate the file first, with --vectors-side"
        raise CompatError("--map", rule="wants side-information, which is not searched along", fix=fix)
    path = FileSpec.parse(spec).of_arrays().path
    manifest = read_space(path)
    to_old = queries is not None and queries.origin != queries.space and queries.space == space
    if version == "old" and on_the_fly is None and (manifest.space != space if manifest else not to_old):
        fix = (
            "give --map, or migrate the file first; a compatible model's old rows need a manifest that says so, as "
            "stamp writes it"
        )
        raise CompatError(str(path), rule="holds old vectors: they are in another space", fix=fix)
    if version == "new" and manifest is None and queries is not None and to_old and queries.map_sha256:
        rule = f"holds new vectors; queries were mapped into the space of {space}"
        raise CompatError(str(path), rule=rule, fix="map the file as the queries were, or search with unmapped ones")
    if manifest is not None and space and not (version == "old" and on_the_fly) and manifest.space != space:
        raise CompatError(str(path), rule=f"is in the space of {manifest.space}; queries are in that of {space}")
    found = read_vectors(spec)
    if manifest is not None:
        check_stamp(path, manifest, found.emb)
    named = read_column(ids, ID_COLUMN).astype(str) if ids else found.ids
    if named is not None and (fault := row_fault(len(named), "ids", str(path), len(found.emb))):
        raise CompatError(ids or str(path), rule=fault)
    return Part(version, path, found.emb, named, manifest is not None)


def newest_only(parts: Sequence[Part]) -> list[Part]:
    """The parts, in order, with the rows left out whose item a newer part holds, or an earlier one of its version.

    Items are told by id: parts without ids are searched as they are.
    """
    found = list(parts)
    seen: list[np.ndarray] = []
    for place in sorted(range(len(parts)), key=lambda place: -VERSIONS.index(parts[place].version)):
        ids = parts[place].ids
        if ids is None:
            continue
        if seen:
            found[place] = dataclasses.replace(parts[place], live=~np.isin(ids, np.concatenate(seen)))
        seen.append(ids)
    return found


def check_stamp(path: Path, manifest: SpaceManifest, emb: np.ndarray) -> None:
    """Raise CompatError when a manifest is not of this file: it is of another shape, or was written to since.

    A file that is newer than its manifest is read as a whole once more: a copy is, too, and is the same.
    """
    if (manifest.rows, manifest.dim) != emb.shape:
        rule = f"its manifest is of {manifest.rows:,} × {manifest.dim} vectors, the file holds {emb.shape}"
        raise CompatError(str(path), rule=rule, fix="the file was replaced: migrate or stamp it again")
    written, described = path.stat().st_mtime_ns, manifest_path(path).stat().st_mtime_ns
    if written > described and manifest.sha256 and sha256(path) != manifest.sha256:
        rule = "has changed since its manifest was written"
        raise CompatError(str(path), rule=rule, fix="migrate or stamp it again")


def check_ends(ends: tuple[str, str], queries: SpaceManifest | None, old: SpaceManifest | None, space: str) -> None:
    """Raise CompatError unless a map leads from where the old part is to where the queries are.

    Args:
        ends: versions the map leads from and to; empty where it does not say.
        queries, old: manifests of the query file and of an old part, or None.
        space: what the queries are said to be in.
    """
    if queries is not None and queries.space != space:
        raise CompatError("--query", value=queries.space, rule=f"must be in the space searched, {space}", fix="--space")
    start, end = ends
    if end and end != space:
        raise CompatError("--map", value=f"{start} → {end}", rule=f"must lead into the space searched, {space}")
    if start and old is not None and old.space != start:
        raise CompatError("--map", value=f"{start} → {end}", rule=f"the old part is in the space of {old.space}")


def mixed_search(
    query_emb: np.ndarray, parts: Sequence[Part], k: int, distance: str = "cosine", on_the_fly: VectorMap | None = None
) -> list[list[Hit]]:
    """The ``k`` nearest rows over all parts, nearest first; equal scores in the order of the parts.

    Args:
        query_emb: ``(Q, D)`` of the new model.
        parts: of the gallery; read in blocks whose memory is given back, so they may be larger than memory. Items
            that are in several of them are found in each, unless :func:`newest_only` was asked.
        k: hits per query.
        distance: ``cosine``, ``l2`` or ``dot``.
        on_the_fly: maps the rows of ``old`` parts while they are searched.
    """
    best: list[list[Hit]] = [[] for _ in range(len(query_emb))]
    for part in parts:
        for first in range(0, len(part.emb), BLOCK_ROWS):
            places = np.arange(first, min(first + BLOCK_ROWS, len(part.emb)))
            if part.live is not None:
                places = places[part.live[places]]
                if not len(places):
                    continue
            within = slice(first, first + BLOCK_ROWS) if part.live is None else places
            rows = np.asarray(part.emb[within], dtype=np.float32)
            if part.version == "old" and on_the_fly is not None:
                with torch.inference_mode():
                    rows = on_the_fly(torch.from_numpy(np.array(rows))).numpy()
            if rows.shape[1] != query_emb.shape[1]:
                rule = f"has {rows.shape[1]} dimensions; queries have {query_emb.shape[1]}"
                raise CompatError(str(part.path), rule=rule, fix="pad, or map it into the queries' space")
            found = top_k(query_emb, rows, k, distance, device="cpu")
            for query, (indices, scores) in enumerate(zip(found.indices, found.scores, strict=True)):
                hits = [Hit(part.name_of(places[row]), part.version, float(score))
                        for row, score in zip(indices, scores, strict=True)]  # fmt: skip
                best[query] = sorted([*best[query], *hits], key=lambda hit: -hit.score)[:k]
            let_go(part.emb)
    return best
