"""The same items under two models: by row number, or brought together by id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from compat_core.errors import CompatError
from compat_core.vectors.checks import INFO, WARN, Finding, row_fault
from compat_core.vectors.file_spec import SpecLike
from compat_core.vectors.scratch import scratch
from compat_core.vectors.sources import ID_COLUMN, VectorFile, read_column, read_ids, read_labels, read_vectors

IN_MEMORY = 2**28  # bytes of matched rows that are simply kept in memory
AT_ONCE = 2**16  # rows copied at a time


@dataclass(frozen=True, slots=True)
class MatchedVectors:
    """Row i of ``old (N, D_old)`` and of ``new (N, D_new)`` are one item.

    Attributes:
        labels: ``(N,)``, or None; items without one as in :mod:`~compat_core.vectors.labels`.
        ids: ``(N,)``, or None.
        rows: ``(N,)`` the rows of the old file that were kept, in order; columns given with it are taken by these.
        old_rows: rows of the old file.
        findings: which columns are the vectors, how rows were paired, and what matching dropped.
    """

    old: np.ndarray
    new: np.ndarray
    labels: np.ndarray | None
    ids: np.ndarray | None
    rows: np.ndarray
    old_rows: int
    findings: tuple[Finding, ...] = ()

    def column(self, name: str, values: np.ndarray, ids: np.ndarray | None = None) -> np.ndarray:
        """A column of the old file's items, for the kept ones: by id where both sides have ids, else by row.

        Args:
            name: of the option it was given with.
            values: ``(M, …)``.
            ids: ``(M,)`` texts that stand beside the values, or None.

        Raises:
            CompatError: for another length than the old file's, an item without a value, or an id that occurs twice.
        """
        return values[self._places(name, len(values), ids)]

    def vectors(self, name: str, spec: SpecLike) -> np.ndarray:
        """Vectors of the old file's items ``(N, D)`` from another file, for the kept ones; as :meth:`column`."""
        found = read_vectors(spec)
        return taken_rows(found.emb, self._places(name, len(found.emb), found.ids))

    def _places(self, name: str, count: int, ids: np.ndarray | None) -> np.ndarray:
        by_id = ids is not None and self.ids is not None
        if fault := row_fault(count, "rows", "the old file", self.old_rows, by_id):
            raise CompatError(f"--{name}", rule=fault)
        if ids is None or self.ids is None:
            return self.rows
        return places(f"--{name}", ids, self.ids)


def matched(
    old: SpecLike,
    new: SpecLike,
    labels: SpecLike | None = None,
    ids: SpecLike | None = None,
    new_ids: SpecLike | None = None,
) -> MatchedVectors:
    """Read two files of vectors and bring them together.

    Where both sides have ids (files that hold some, or ``ids`` and ``new_ids``) rows are matched by id, in the old
    file's order (:func:`taken_rows`); items on one side only are dropped and counted. Otherwise row i is one item,
    which is said where one file has ids.

    Args:
        old, new, labels, ids, new_ids: ``FILE`` or ``FILE:NAME``. Labels and ids belong to the old file's rows; labels
            from a table with an ``id`` column are brought to them by id.

    Raises:
        CompatError: for files that cannot be read, ids of another number than rows, an id that occurs twice, or no id
            in common.
    """
    one, other = read_vectors(old), read_vectors(new)
    old_ids = read_column(ids, ID_COLUMN).astype(str) if ids else one.ids
    their_ids = read_column(new_ids, ID_COLUMN).astype(str) if new_ids else other.ids
    given = read_labels(labels) if labels else (one.labels if one.labels is not None else other.labels)
    beside = read_ids(labels) if labels else None
    if given is not None and beside is not None and old_ids is not None:
        given = given[places("--labels", beside, old_ids)]
    from_new = not labels and one.labels is None
    if new_ids and old_ids is None:
        raise CompatError("--new-ids", rule="ids of both sides are needed to match rows", fix="add --ids")
    labelled, its_rows = ("new", len(other.emb)) if from_new else ("old", len(one.emb))
    if given is not None and (fault := row_fault(len(given), "labels", labelled, its_rows)):
        raise CompatError("--labels", rule=fault)

    def contradictions(rows: Any = slice(None), theirs: Any = slice(None)) -> tuple[Finding, ...]:
        if labels or one.labels is None or other.labels is None:
            return ()
        return _contradicting(one.labels[rows], other.labels[theirs])

    all_rows = np.arange(len(one.emb))
    findings = (*_dimensions("old", one), *_dimensions("new", other))
    if beside is not None and old_ids is None:
        sentence = (
            "the labels have ids, old has none: labels were taken by position; give the ids of old (--ids), and labels "
            "are matched by them"
        )
        findings += (Finding(INFO, "labels by position", sentence),)
    if old_ids is None or their_ids is None:
        findings += _by_position(one.ids is not None and not ids, their_ids is not None) + contradictions()
        return MatchedVectors(one.emb, other.emb, given, old_ids, all_rows, len(all_rows), findings)
    for name, found, emb in (("old", old_ids, one.emb), ("new", their_ids, other.emb)):
        if fault := row_fault(len(found), "ids", name, len(emb)):
            raise CompatError(f"ids of {name}", rule=fault)
        if twice := _repeated(found):
            raise CompatError(f"ids of {name}", value=twice, rule="occurs more than once")
    if np.array_equal(old_ids, their_ids):
        findings += contradictions()
        return MatchedVectors(one.emb, other.emb, given, old_ids, all_rows, len(all_rows), findings)
    theirs = _rows_of(old_ids, their_ids)
    rows = np.flatnonzero(theirs >= 0)
    if not len(rows):
        raise CompatError("ids", value=f"{old_ids[0]} and {their_ids[0]}", rule="old and new have no id in common")
    theirs = theirs[rows]
    findings += contradictions(rows, theirs)
    taken = None if given is None else given[theirs if from_new else rows]
    dropped = (len(one.emb) - len(rows), len(other.emb) - len(rows))
    sentence = f"matched {len(rows):,} items by id; dropped {dropped[0]:,} of old and {dropped[1]:,} of new"
    return MatchedVectors(
        taken_rows(one.emb, rows), taken_rows(other.emb, theirs), taken, old_ids[rows], rows, len(one.emb),
        (Finding(INFO, "id overlap", sentence), *findings),
    )  # fmt: skip


def _dimensions(name: str, file: VectorFile) -> tuple[Finding, ...]:
    """Which columns of a table its vectors are, and a doubt about them where there is one."""
    if file.dimensions is None:
        return ()
    found = (Finding(INFO, f"columns ({name})", f"{name}: {file.dimensions.sentence()}"),)
    doubt = file.dimensions.doubt()
    return (*found, Finding(WARN, f"whole numbers ({name})", f"{name}: {doubt}")) if doubt else found


def _by_position(old: bool, new: bool) -> tuple[Finding, ...]:
    """A warning where only one of the two files has ids."""
    if not old and not new:
        return ()
    has, lacks = ("old", "new") if old else ("new", "old")
    sentence = (
        f"{has} has ids, {lacks} has none: rows were paired by position; give the ids of {lacks} too, and rows are "
        "matched by them"
    )
    return (Finding(WARN, "ids on one side", sentence),)


def places(name: str, ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where each of ``wanted (N,)`` stands among ``ids (M,)``. Raises CompatError for one that is missing or twice."""
    ids, wanted = ids.astype(str), wanted.astype(str)
    if twice := _repeated(ids):
        raise CompatError(name, value=twice, rule="this id occurs more than once")
    found = _rows_of(wanted, ids)
    missing = wanted[found < 0]
    if len(missing):
        what = f"no value for {len(missing):,} of {len(wanted):,} items, such as {missing[0]}"
        fix = "for an item without a label write a row with an empty one" if name == "--labels" else ""
        its = f"its ids are {ids[0]} and so on" if len(ids) else "it has no ids"
        raise CompatError(name, rule=f"holds {what}; {its}", fix=fix)
    return found


def _repeated(ids: np.ndarray) -> str:
    """The first text, in their order, that ``ids (N,)`` hold twice; empty where each is there once."""
    ordered = np.sort(ids)
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    return str(ordered[twice[0]]) if len(twice) else ""


def _rows_of(wanted: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """``(N,)`` the row among ``ids (M,)``, each there once, of each of ``wanted (N,)``; -1 where it is not there."""
    if not len(ids):
        return np.full(len(wanted), -1)
    order = np.argsort(ids)
    rows = order[np.searchsorted(ids, wanted, sorter=order).clip(max=len(ids) - 1)]
    return np.where(ids[rows] == wanted, rows, -1)


def _contradicting(old: np.ndarray, new: np.ndarray) -> tuple[Finding, ...]:
    """A warning where two columns of labels, of the same rows, do not say the same."""
    if len(old) != len(new):  # which is refused by those who look at the vectors
        return ()
    unlike = np.flatnonzero(old.astype(str) != new.astype(str))
    if not len(unlike):
        return ()
    sentence = (
        f"the labels of old and new differ in {len(unlike):,} of {len(old):,} rows, so these may not be the same "
        "items; those of old are used"
    )
    return (Finding(WARN, "labels of old and new", sentence, tuple(unlike.tolist())),)


def taken_rows(emb: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Some rows of vectors: in memory, or in a file without a name where they are many and lie in a file themselves.

    The file lies where temporary files do (``TMPDIR``), and is gone when nothing reads it any more.

    Args:
        emb: ``(N, D)``.
        rows: ``(M,)``.

    Returns:
        ``(M, D)``; ``emb`` itself where the rows are all of its, in order.

    Raises:
        CompatError: where there is no room for the file.
    """
    if len(rows) == len(emb) and np.array_equal(rows, np.arange(len(emb))):
        return emb
    size = len(rows) * emb[:1].nbytes
    if not isinstance(emb, np.memmap) or size <= IN_MEMORY:
        return emb[rows]
    taken = scratch("ids", (len(rows), emb.shape[1]), emb.dtype, "matched rows")
    for begin in range(0, len(rows), AT_ONCE):
        taken[begin : begin + AT_ONCE] = emb[rows[begin : begin + AT_ONCE]]
    return taken
