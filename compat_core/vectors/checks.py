"""A look at the vectors before anything runs: what would make every later number wrong, or less than it seems."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from compat_core.retrieval.streamed import let_go

STOP, WARN, INFO = "stop", "warn", "info"
BLOCK_ROWS = 65_536
NAMED = 5  # rows named in a sentence
UNIT = 1e-3  # a norm this close to 1 counts as normalised
DOUBTFUL = 4.0  # robust standard deviations from the linear prediction before a row may be called foreign
FEW, MOST = 0.01, 0.75  # the lowest 1 % of the other file's ratios must lie above three quarters of this file's
SHRINKAGE = 1e-3  # of a covariance's mean variance, added to its diagonal
PER_DIMENSION = 5  # rows per dimension below which a space cannot be described
LEAKED = 0.9999  # cosine from which two vectors count as the same item
COMPARED = 2_000


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
    return f"holds {count:,} {what}, {other} {rows:,} rows: row i of both must be one item"


def check_vectors(
    old: np.ndarray, new: np.ndarray, labels: np.ndarray | None = None, ids: np.ndarray | None = None
) -> list[Finding]:
    """Everything that can be seen without fitting or searching; worst first. Reads the vectors in blocks.

    Args:
        old: ``(N, D_old)``; new: ``(N, D_new)``; memory-mapped arrays are fine.
        labels, ids: ``(N,)``, or None.
    """
    found = []
    if len(old) != len(new):
        fault = row_fault(len(old), "rows", "new", len(new))
        return [Finding(STOP, "number of rows", f"old {fault}; match them by id (--ids, --new-ids)")]
    for name, emb in (("old", old), ("new", new)):
        found += _one_side(name, emb)
    if any(finding.severity == STOP for finding in found):
        return worst_first(found)
    for name, column in (("labels", labels), ("ids", ids)):
        if column is not None and len(column) != len(old):
            found.append(Finding(STOP, f"number of {name}", f"{len(column):,} {name} for {len(old):,} vectors"))
    if ids is not None and len(ids) == len(old):
        found += _ids(ids)
    if labels is not None and len(labels) == len(old):
        found += _labels(labels)
    if old.shape[1] == new.shape[1]:
        found += _same_rows(old, new)
        found += [*_foreign("old", old, new), *_foreign("new", new, old)]
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
    for first, block in _blocks(emb):
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite in every later step
            finite = np.asarray(np.isfinite(block.astype(np.float32, copy=False)).all(axis=1))
        bad += (first + np.flatnonzero(~finite)).tolist()
        length = np.linalg.norm(np.where(finite[:, None], block, 0.0), axis=1)
        zero += (first + np.flatnonzero((length == 0) & finite)).tolist()
        norms.append(length)
        keys.append(np.where(finite[:, None], block, 0.0) @ random)
    if bad:
        sentence = f"{name}: {_named(bad)} not finite (NaN or infinite)"
        return [Finding(STOP, f"not finite ({name})", sentence, tuple(bad))]
    norm = np.concatenate(norms)
    found = []
    if zero:
        sentence = f"{name}: {_named(zero)} all zero: without a direction, they answer no query under cosine"
        found.append(Finding(WARN, f"zero rows ({name})", sentence, tuple(zero)))
    copies = _copies(emb, np.concatenate(keys))
    copies = copies[~np.isin(copies, zero)]
    if len(copies):
        share = 100 * len(copies) / len(emb)
        sentence = f"{name}: {len(copies):,} rows ({share:.1f} %) repeat an earlier one, such as {_listed(copies)}"
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
    sentence = f"{len(repeated):,} ids occur more than once, such as {', '.join(repeated[:NAMED])}"
    return [Finding(STOP, "duplicate ids", sentence, _rows(np.sort(first[counts > 1])))]


def _labels(labels: np.ndarray) -> list[Finding]:
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    alone = np.flatnonzero(counts[codes.reshape(-1)] == 1)
    sentence = f"{len(counts):,} labels over {len(labels):,} items, {counts.min():,} … {counts.max():,} items each"
    found = [Finding(INFO, "labels", sentence)]
    if len(alone) == len(labels):
        return [Finding(STOP, "labels", "every label occurs once: no query has a relevant item", _rows(alone))]
    if len(alone):
        sentence = f"{len(alone):,} items are alone in their label: as queries they are skipped"
        found.append(Finding(INFO, "label coverage", sentence, _rows(alone)))
    return found


def _same_rows(old: np.ndarray, new: np.ndarray) -> list[Finding]:
    """Rows that are bit for bit the same in both files."""
    same = [
        first + np.flatnonzero((block == np.asarray(new[first : first + len(block)])).all(axis=1) & block.any(axis=1))
        for first, block in _blocks(old)
    ]
    rows = np.concatenate(same)
    if not len(rows):
        return []
    share = len(rows) / len(old)
    severity = STOP if share == 1 else WARN
    sentence = f"{_named(rows)} the same in both files ({100 * share:.1f} %): one model's vectors were copied"
    return [Finding(severity, "identical rows", sentence, _rows(rows))]


def _foreign(name: str, emb: np.ndarray, other: np.ndarray) -> list[Finding]:
    """Rows of one file that the other file's space explains better, far out of line with the rows around them.

    Three things have to come together. The two files' spaces can be told apart: each is described by its mean and
    covariance, every row of both files by how much better the other space explains it (a log-likelihood ratio), and the
    ratios of the files lie apart. The row lies among the ratios of the other file. And it is far from what its own
    item's other vector predicts linearly. Where the models cannot be told apart, nothing is called foreign.
    """
    if len(emb) < PER_DIMENSION * emb.shape[1]:
        return []
    here, there = _describe(emb), _describe(other)
    ratios, theirs = (
        np.concatenate([_log_density(block, *there) - _log_density(block, *here) for _, block in _blocks(side)])
        for side in (emb, other)
    )
    among_them = float(np.quantile(theirs, FEW))
    if among_them <= np.quantile(ratios, MOST):
        return []
    surprise = _surprise(other, emb, ratios <= among_them)
    middle = float(np.median(surprise))
    spread = 1.4826 * float(np.median(np.abs(surprise - middle))) + 1e-12
    rows = np.flatnonzero((ratios > among_them) & (surprise > middle + DOUBTFUL * spread))
    if not len(rows):
        return []
    model = "new" if name == "old" else "old"
    sentence = f"{name}: {_named(rows)} like the {model} model's vectors, although the dimension matches: mixed spaces?"
    return [Finding(WARN, f"rows of the other model ({name})", sentence, _rows(rows))]


def _surprise(source: np.ndarray, target: np.ndarray, trusted: np.ndarray) -> np.ndarray:
    """Distance of every target row from its linear prediction, fitted on ``trusted (N,)`` rows. Shape: ``(N,)``."""
    dim = source.shape[1] + 1
    gram, cross = np.zeros((dim, dim)), np.zeros((dim, target.shape[1]))
    for first, block in _blocks(source):
        rows = np.column_stack([block, np.ones(len(block))]) * trusted[first : first + len(block), None]
        gram += rows.T @ rows
        cross += rows.T @ np.asarray(target[first : first + len(block)], dtype=np.float64)
    weights = np.linalg.solve(gram + SHRINKAGE * np.trace(gram) / dim * np.eye(dim), cross)
    residuals = [
        np.asarray(target[first : first + len(block)], dtype=np.float64)
        - np.column_stack([block, np.ones(len(block))]) @ weights
        for first, block in _blocks(source)
    ]
    residual = np.concatenate(residuals)
    scale = 1.4826 * np.median(np.abs(residual), axis=0) + 1e-12
    surprise: np.ndarray = np.sqrt(((residual / scale) ** 2).mean(axis=1))
    return surprise


def _describe(emb: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean ``(D,)``, inverse Cholesky factor of the covariance ``(D, D)``, and its log-determinant."""
    total = np.zeros(emb.shape[1])
    products = np.zeros((emb.shape[1], emb.shape[1]))
    for _, block in _blocks(emb):
        total += block.sum(axis=0)
        products += block.T @ block
    mean = total / len(emb)
    covariance = products / len(emb) - np.outer(mean, mean)
    covariance += np.eye(len(mean)) * max(SHRINKAGE * float(np.trace(covariance)) / len(mean), 1e-12)
    factor = np.linalg.cholesky(covariance)
    return mean, np.linalg.inv(factor), 2 * float(np.log(np.diag(factor)).sum())


def _log_density(rows: np.ndarray, mean: np.ndarray, whiten: np.ndarray, log_det: float) -> np.ndarray:
    """Gaussian log-density up to a constant. Shape: ``(B, D)`` → ``(B,)``."""
    white = (rows - mean) @ whiten.T
    density: np.ndarray = -0.5 * ((white**2).sum(axis=1) + log_det)
    return density


def _copies(emb: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Rows that equal an earlier one; two random projections find the candidates, the rows themselves decide."""
    order = np.lexsort((np.arange(len(keys)), keys[:, 1], keys[:, 0]))
    alike = np.flatnonzero((keys[order][1:] == keys[order][:-1]).all(axis=1))
    same = [(np.asarray(emb[order[place]]) == np.asarray(emb[order[place + 1]])).all() for place in alike]
    return np.sort(order[alike[np.array(same, dtype=bool)] + 1])


def _blocks(emb: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for first in range(0, len(emb), BLOCK_ROWS):
        yield first, np.array(emb[first : first + BLOCK_ROWS], dtype=np.float64)
        let_go(emb)


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
