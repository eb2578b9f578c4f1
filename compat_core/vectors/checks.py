"""A look at the vectors before anything runs: what would make every later number wrong, or less than it seems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from compat_core.adapters.labels import labelled
from compat_core.vectors.foreign import BLOCK_ROWS, blocks, foreign_rows

SEE_CHECK = "see: check"  # where a command line refuses; the app has no such command
STOP, WARN, INFO = "stop", "warn", "info"
NAMED = 5  # rows named in a sentence
UNIT = 1e-3  # a norm this close to 1 counts as normalised
LEAKED = 0.9999  # cosine from which two vectors count as the same item
COMPARED = 2_000
FAR_LONGER = 1e4  # times the median length: no model's doing


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        severity: ``stop`` (refuse), ``warn`` or ``info``.
        what: a short name, such as ``zero rows``.
        sentence: for people.
        rows: numbers of the rows concerned, all of them.
    """

    severity: str
    what: str
    sentence: str
    rows: tuple[int, ...] = ()


def row_fault(count: int, what: str, other: str, rows: int, by_id: bool = False) -> str:
    """What is wrong with the length of a file beside another one, for people; empty where nothing is.

    Args:
        count: of the file, and ``what`` it holds, such as ``labels``.
        other: what to call the file beside it, which holds ``rows`` rows.
        by_id: both have ids, and rows are matched by them: any length will do.
    """
    if by_id or count == rows:
        return ""
    return f"holds {counted(count, what)}, {other} {counted(rows, 'rows')}: row i of both must be one item"


def counted(count: int, what: str) -> str:
    """A number of things, such as ``1 row`` and ``2 rows``; ``what`` is their plural, in s."""
    return f"{count:,} {what.removesuffix('s') if count == 1 else what}"


def check_vectors(
    old: np.ndarray,
    new: np.ndarray,
    labels: np.ndarray | None = None,
    ids: np.ndarray | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> list[Finding]:
    """Everything that can be seen without fitting or searching; worst first. Reads the vectors in blocks.

    Args:
        old: ``(N, D_old)``; new: ``(N, D_new)``; memory-mapped arrays are fine.
        labels: ``(N,)``, or None; items without one as in :mod:`~compat_core.vectors.labels`.
        ids: ``(N,)``, or None.
        tell: hears what is being looked at.
    """
    found = []
    if len(old) != len(new):
        fault = row_fault(len(old), "rows", "new", len(new))
        return [Finding(STOP, "number of rows", f"old {fault}; match them by id (--ids, --new-ids)")]
    for name, emb in (("old", old), ("new", new)):
        tell(f"looking at {len(emb):,} {name} vectors")
        found += _one_side(name, emb)
    if any(finding.severity == STOP for finding in found):
        return worst_first(found)
    for name, column in (("labels", labels), ("ids", ids)):
        if column is not None and len(column) != len(old):
            sentence = f"{counted(len(column), name)} for {counted(len(old), 'vectors')}"
            found.append(Finding(STOP, f"number of {name}", sentence))
    if ids is not None and len(ids) == len(old):
        found += _ids(ids)
    if labels is not None and len(labels) == len(old):
        found += check_labels(labels)
    if old.shape[1] == new.shape[1]:
        tell("looking for rows of the other model")
        found += _same_rows(old, new)
        found += _foreign(old, new)
    return worst_first(found)


def leakage(fit: np.ndarray, judged: np.ndarray) -> list[Finding]:
    """Judged items that are (almost) the same vector as one that adapters are fitted on.

    Args:
        fit: ``(F, D)``; judged: ``(J, D)``, both of one model; judged beyond 2,000 are not looked at.
    """
    unit_fit, unit_judged = _unit(fit), _unit(judged[:COMPARED])
    nearest = np.full(len(unit_judged), -1.0)
    for begin in range(0, len(unit_fit), BLOCK_ROWS):
        nearest = np.maximum(nearest, (unit_judged @ unit_fit[begin : begin + BLOCK_ROWS].T).max(axis=1))
    rows = np.flatnonzero(nearest > LEAKED)
    if not len(rows):
        return []
    sentence = (
        f"{len(rows):,} of {len(unit_judged):,} judged items ({100 * len(rows) / len(unit_judged):.1f} %) have a "
        f"near-identical vector (cosine above {LEAKED}) among those that adapters are fitted on: gains may be "
        "flattered."
    )
    return [Finding(WARN, "leakage", sentence, _rows(rows))]


def _one_side(name: str, emb: np.ndarray) -> list[Finding]:
    bad, zero, norms, keys = [], [], [], []
    random = np.random.default_rng(0).standard_normal((emb.shape[1], 2))
    for first, block in blocks(emb):
        finite = finite_rows(block)
        bad += (first + np.flatnonzero(~finite)).tolist()
        length = np.linalg.norm(np.where(finite[:, None], block, 0.0), axis=1)
        zero += (first + np.flatnonzero((length == 0) & finite)).tolist()
        norms.append(length)
        keys.append(np.where(finite[:, None], block, 0.0) @ random)
    if bad:
        return [Finding(STOP, f"not finite ({name})", f"{name}: {not_finite(bad)}", tuple(bad))]
    norm = np.concatenate(norms)
    found = []
    if zero:
        sentence = f"{name}: {_named(zero)} all zero: without a direction, they answer no query under cosine"
        found.append(Finding(WARN, f"zero rows ({name})", sentence, tuple(zero)))
    usual = float(np.median(norm[norm > 0])) if norm.any() else 0.0
    far = np.flatnonzero(norm > FAR_LONGER * usual)
    if len(far):
        sentence = (
            f"{name}: {_named(far)} more than {FAR_LONGER:,.0f} times as long as the median row: broken? Such a row "
            "can bend every map that is fitted on it"
        )
        found.append(Finding(WARN, f"long rows ({name})", sentence, _rows(far)))
    copies = _copies(emb, np.concatenate(keys))
    copies = copies[~np.isin(copies, zero)]
    if len(copies):
        share = 100 * len(copies) / len(emb)
        repeat = "repeats" if len(copies) == 1 else "repeat"
        sentence = (
            f"{name}: {counted(len(copies), 'rows')} ({share:.1f} %) {repeat} an earlier one, such as {_listed(copies)}"
        )
        found.append(Finding(WARN, f"duplicate rows ({name})", sentence, _rows(copies)))
    normalised = bool(np.abs(norm[norm > 0] - 1).max(initial=0) < UNIT)
    sentence = (
        f"{name}: {len(emb):,} × {emb.shape[1]} {emb.dtype}, length {norm.mean():.4g} on average "
        f"({norm.min():.4g} … {norm.max():.4g}), {'normalised' if normalised else 'not normalised'}"
    )
    return [*found, Finding(INFO, f"shape and norms ({name})", sentence)]


def _ids(ids: np.ndarray) -> list[Finding]:
    names, first, counts = np.unique(ids.astype(str), return_index=True, return_counts=True)
    if (counts == 1).all():
        return []
    repeated = names[counts > 1]
    occur = "occurs" if len(repeated) == 1 else "occur"
    sentence = f"{counted(len(repeated), 'ids')} {occur} more than once, such as {', '.join(repeated[:NAMED])}"
    return [Finding(STOP, "duplicate ids", sentence, _rows(np.sort(first[counts > 1])))]


def finite_rows(emb: np.ndarray) -> np.ndarray:
    """Which rows of ``(N, D)`` hold neither NaN nor infinity, in float32. Shape: ``(N,)`` bool."""
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite in every later step
        return np.asarray(np.isfinite(emb.astype(np.float32, copy=False)).all(axis=1))


def not_finite(rows: np.ndarray | list[int]) -> str:
    """What is wrong with these rows, for people."""
    return f"{_named(rows)} not finite (NaN or infinite)"


def check_labels(labels: np.ndarray) -> list[Finding]:
    """Whether labels ``(N,)`` tell items apart, and which items have none."""
    known = np.flatnonzero(labelled(labels))
    names, codes, counts = np.unique(labels[known], return_inverse=True, return_counts=True)
    alone = known[counts[codes.reshape(-1)] == 1]
    if len(alone) == len(known):
        return [Finding(STOP, "labels", "every label occurs once: no query has a relevant item", _rows(alone))]
    if len(names) == 1 and len(known) == len(labels):
        sentence = (
            f"every item has the label {names[0]}: every item is relevant, and no option can be worse than another"
        )
        return [Finding(STOP, "labels", sentence)]
    sentence = (
        f"{counted(len(counts), 'labels')} over {counted(len(known), 'items')}, {counts.min():,} … {counts.max():,} "
        "items each"
    )
    found = [Finding(INFO, "labels", sentence)]
    if len(known) < len(labels):
        without = np.flatnonzero(~labelled(labels))
        sentence = (
            f"{len(without):,} of {len(labels):,} items have no label: they stay in the gallery, ask no query and are "
            "relevant to none; no backfill is ordered by class"
        )
        found.append(Finding(WARN, "unlabelled items", sentence, _rows(without)))
    if len(alone):
        are = (
            "item is alone in its label: as a query it is"
            if len(alone) == 1
            else "items are alone in their label: as queries they are"
        )
        found.append(Finding(INFO, "label coverage", f"{len(alone):,} {are} skipped", _rows(alone)))
    return found + _minus_one(labels, names, codes, known)


def _minus_one(labels: np.ndarray, names: np.ndarray, codes: np.ndarray, known: np.ndarray) -> list[Finding]:
    """A warning where −1 is the only negative label of several items: many write it for "none"."""
    negative = np.flatnonzero([str(name).startswith("-") for name in names])
    if len(negative) != 1 or str(names[negative[0]]) != "-1":
        return []
    rows = known[codes.reshape(-1) == negative[0]]
    if len(rows) < 2:
        return []
    sentence = (
        f"{len(rows):,} of {len(labels):,} items have the label -1, which is taken as a class like any other: leave "
        "the label of an item empty that has none"
    )
    return [Finding(WARN, "label -1", sentence, _rows(rows))]


def _same_rows(old: np.ndarray, new: np.ndarray) -> list[Finding]:
    """Rows that are bit for bit the same in both files."""
    same = [
        first + np.flatnonzero((block == np.asarray(new[first : first + len(block)])).all(axis=1) & block.any(axis=1))
        for first, block in blocks(old)
    ]
    rows = np.concatenate(same)
    if not len(rows):
        return []
    share = len(rows) / len(old)
    severity = STOP if share == 1 else WARN
    sentence = f"{_named(rows)} the same in both files ({100 * share:.1f} %): one model's vectors were copied"
    return [Finding(severity, "identical rows", sentence, _rows(rows))]


def _foreign(old: np.ndarray, new: np.ndarray) -> list[Finding]:
    """Rows of one file that look like the other model's, see :func:`~compat_core.vectors.foreign.foreign_rows`."""
    found = []
    for name, model, rows in zip(("old", "new"), ("new", "old"), foreign_rows(old, new), strict=True):
        if len(rows):
            like = f"like the {model} model's vectors, although the dimension matches: mixed spaces?"
            sentence = f"{name}: {_named(rows)} {like}"
            found.append(Finding(WARN, f"rows of the other model ({name})", sentence, _rows(rows)))
    return found


def _copies(emb: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Rows that equal an earlier one; two random projections find the candidates, the rows themselves decide."""
    order = np.lexsort((np.arange(len(keys)), keys[:, 1], keys[:, 0]))
    alike = np.flatnonzero((keys[order][1:] == keys[order][:-1]).all(axis=1))
    same = [(np.asarray(emb[order[place]]) == np.asarray(emb[order[place + 1]])).all() for place in alike]
    return np.sort(order[alike[np.array(same, dtype=bool)] + 1])


def _unit(emb: np.ndarray) -> np.ndarray:
    emb = np.asarray(emb, dtype=np.float32)
    return emb / np.maximum(np.linalg.norm(emb, axis=1, keepdims=True), 1e-12)


def _rows(rows: np.ndarray) -> tuple[int, ...]:
    return tuple(int(row) for row in rows)


def _listed(rows: np.ndarray | list[int]) -> str:
    return ", ".join(str(int(row)) for row in rows[:NAMED])


def _named(rows: np.ndarray | list[int]) -> str:
    shown = _listed(rows)
    more = f" and {len(rows) - NAMED:,} more" if len(rows) > NAMED else ""
    return f"row {shown} is" if len(rows) == 1 else f"rows {shown}{more} are"


def worst_first(found: list[Finding]) -> list[Finding]:
    """What refuses before what warns before what informs; otherwise as they were found."""
    return sorted(found, key=lambda finding: (STOP, WARN, INFO).index(finding.severity))
