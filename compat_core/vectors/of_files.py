"""The vectors that somebody has as files, brought to a decision with all that is known of the items."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from compat_core.errors import CompatError
from compat_core.vectors.alignment import MISALIGNED
from compat_core.vectors.checks import Finding, row_fault
from compat_core.vectors.file_spec import FileSpec
from compat_core.vectors.given import CANDIDATE_KINDS, Candidate, Given
from compat_core.vectors.inspection import inspect, refuse
from compat_core.vectors.matching import MatchedVectors, matched
from compat_core.vectors.migrate import sha256
from compat_core.vectors.options import RETRAIN
from compat_core.vectors.picture_files import picture_files
from compat_core.vectors.pictures import ItemPictures, open_pictures
from compat_core.vectors.sources import read_ages, read_column, read_ids, read_qrels, read_weights


@dataclass(frozen=True, slots=True)
class DecisionFiles:
    """The files of a decision; the fields are called as the options of ``decide``.

    Attributes:
        old, new, labels, ids, new_ids: see :func:`~compat_core.vectors.matching.matched`.
        side: vectors stored beside the old ones.
        images: see :func:`~compat_core.vectors.pictures.open_pictures`.
        qrels: see :func:`~compat_core.vectors.sources.read_qrels`.
        ages: see :func:`~compat_core.vectors.sources.read_ages`.
        weights: see :func:`~compat_core.vectors.sources.read_weights`.
        groups: name -> a column.
        options: name -> two files of vectors, every item as a query and as a gallery row of an option made elsewhere.
        kinds: name of such an option -> one of CANDIDATE_KINDS; ``retrain`` where it is not named.
    """

    old: FileSpec
    new: FileSpec
    labels: FileSpec | None = None
    ids: FileSpec | None = None
    new_ids: FileSpec | None = None
    side: FileSpec | None = None
    images: FileSpec | None = None
    qrels: FileSpec | None = None
    ages: FileSpec | None = None
    weights: FileSpec | None = None
    groups: Mapping[str, FileSpec] = field(default_factory=dict)
    options: Mapping[str, tuple[FileSpec, FileSpec]] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)

    def single(self) -> dict[str, FileSpec]:
        """Option -> file, of those that take one file."""
        found = {one.name.replace("_", "-"): getattr(self, one.name) for one in fields(self)}
        return {name: file for name, file in found.items() if isinstance(file, FileSpec)}

    def described(self) -> dict[str, Any]:
        """Name, size and SHA-256 of every file, by option: what a decision was made on."""
        found: dict[str, Any] = {name: describe(file.path) for name, file in self.single().items()}
        found |= {f"group {name}": describe(file.path) for name, file in self.groups.items()}
        return found | {f"option {name}": [describe(one.path) for one in two] for name, two in self.options.items()}


def given_from_files(
    files: DecisionFiles, tell: Callable[[str], None] = lambda text: None
) -> tuple[Given, list[Finding]]:
    """Read the files, bring them together, and look at them; ``tell`` hears what takes a while.

    Returns:
        what a decision is made on, and what was found, nothing of it a reason to refuse.

    Raises:
        CompatError: for a file that cannot be read or does not belong to the others, and for a finding that would make
            every later number wrong.
    """
    pair = matched(files.old, files.new, files.labels, files.ids, files.new_ids)
    judgements = read_qrels(files.qrels) if files.qrels else None
    findings = inspect(pair, judgements, tell)
    refuse(findings)
    groups = {name: pair.column("group", read_column(file), read_ids(file)) for name, file in files.groups.items()}
    given = Given(
        pair.old, pair.new, pair.labels, pair.ids,
        judgements=judgements,
        candidates=tuple(
            _candidate(name, pair, two, files.kinds.get(name, RETRAIN)) for name, two in files.options.items()
        ),
        groups=groups,
        ages=_beside("ages", pair, files.ages, read_ages),
        weights=_beside("weights", pair, files.weights, read_weights),
        side=pair.vectors("side", files.side) if files.side else None,
        pictures=_pictures(pair, files.images) if files.images else None,
        rows=pair.rows,
        doubt=" ".join(f"{one.sentence}." for one in findings if one.what == MISALIGNED),
    )  # fmt: skip
    return given, findings


def describe(path: Path) -> dict[str, Any]:
    """Name, size and SHA-256 of an input file; a folder by the number and size of its files."""
    if path.is_dir():
        sizes = [one.stat().st_size for one in path.rglob("*") if one.is_file()]
        return {"folder": path.name, "files": len(sizes), "bytes": sum(sizes)}
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)}


def _beside(
    name: str, pair: MatchedVectors, file: FileSpec | None, read: Callable[[FileSpec], np.ndarray]
) -> np.ndarray | None:
    return None if file is None else pair.column(name, read(file), read_ids(file))


def _candidate(name: str, pair: MatchedVectors, files: tuple[FileSpec, FileSpec], kind: str) -> Candidate:
    query, gallery = (pair.vectors("option", file) for file in files)
    mapped, retrained = CANDIDATE_KINDS[kind]
    counted = "one training" if retrained else "a map of the gallery" if mapped else "a map of the queries"
    return Candidate(name, query, gallery, f"{name}: made elsewhere, counted as {counted}.", mapped, retrained)


def _pictures(pair: MatchedVectors, spec: FileSpec) -> ItemPictures:
    files = picture_files(spec.path) is not None
    by_id = files and pair.ids is not None
    picture, count = open_pictures(spec, pair.ids if by_id else None)
    rows = np.arange(count)
    if files and not by_id and count != pair.old_rows:
        rule = row_fault(count, "pictures", "the old file", pair.old_rows)
        raise CompatError("--images", rule=rule, fix="give the ids (--ids), and files are found by them")
    if not by_id:
        rows = pair.column("images", rows, None if files else read_ids(spec))

    def caption(row: int) -> str:
        name = f"item {row}" if pair.ids is None else str(pair.ids[row])
        return name if pair.labels is None else f"{name}, {pair.labels[row]}"

    return ItemPictures(lambda row: picture(int(rows[row])), caption)
