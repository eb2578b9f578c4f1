"""Is row i of both files one item? Two models agree more on the same items than on shuffled ones.

Two statistics of a sample of rows are compared with what they are after the rows of one file were shuffled, the null:
how well a linear fit predicts held-out rows, and how many nearest neighbours both files have in common. However
different two models are, of the same items one of them lies above its null; only where neither does, the rows are
called foreign to each other. Rows that are off by a few places are told by a fit that does better on a neighbour.
"""

from __future__ import annotations

import numpy as np

from compat_core.vectors.checks import WARN, Finding

MISALIGNED = "rows of other items"
SAMPLED, FEWEST = 2_000, 200  # rows looked at, and below which nothing is said
SHUFFLES = 19
FAR = 4.0  # standard deviations above the null from which a statistic speaks for the rows
SHIFTS = (1, -1, 2, -2, 3, -3)
SHIFTED = 6.0  # standard errors by which a shifted fit has to be better: six of them are tried
NEIGHBOURS = 10
MOST_DIMENSIONS = 256  # above, both files are projected at random, which keeps what is asked here
RIDGE = 0.1  # of the mean variance


def misaligned_rows(old: np.ndarray, new: np.ndarray, seed: int = 0) -> list[Finding]:
    """A warning where the rows of both files do not seem to be the same items, or to be off by a few places.

    Args:
        old: ``(N, D_old)``; new: ``(N, D_new)``, finite; memory-mapped arrays are fine, a sample of rows is read.
        seed: of the sample and the shuffles.
    """
    inner = len(old) - 2 * max(SHIFTS)
    if inner < FEWEST:
        return []
    rng = np.random.default_rng(seed)
    rows = max(SHIFTS) + np.sort(rng.permutation(inner)[:SAMPLED])
    source = _centred(old[rows], rng)
    fit = _LinearFit(source, rng.permutation(len(rows)) < len(rows) // 2)
    state = np.random.default_rng(seed).integers(2**32)  # every shift is projected alike

    def targets(shift: int) -> np.ndarray:
        return _centred(new[rows + shift], np.random.default_rng(state))

    target = targets(0)
    agreed = fit.agreement(target)
    for shift in SHIFTS:
        better = fit.agreement(targets(shift)) - agreed
        if better.mean() > SHIFTED * better.std() / np.sqrt(len(better)) + 1e-9:
            sentence = (
                f"the rows do not seem to be the same items: row i of old fits row i {shift:+d} of new better than row "
                f"i ({len(rows):,} rows were looked at); bring both files into the same order, or match them by id "
                "(--ids, --new-ids)"
            )
            return [Finding(WARN, MISALIGNED, sentence.replace(" -", " −"))]
    orders = [rng.permutation(len(rows)) for _ in range(SHUFFLES)]
    if _stands_out(float(agreed.mean()), [float(fit.agreement(target[order]).mean()) for order in orders]):
        return []
    near, theirs = _nearest(source), np.zeros((len(rows), len(rows)), dtype=bool)
    np.put_along_axis(theirs, _nearest(target), True, axis=1)
    in_common = float(np.take_along_axis(theirs, near, axis=1).mean())
    if _stands_out(in_common, [float(theirs[order[:, None], order[near]].mean()) for order in orders]):
        return []
    sentence = (
        f"the rows do not seem to be the same items: in a sample of {len(rows):,} rows a linear fit explains nothing "
        "of rows held out and neighbours agree by chance only, both as after shuffling one file; bring both files into "
        "the same order, or match them by id (--ids, --new-ids)"
    )
    return [Finding(WARN, MISALIGNED, sentence)]


class _LinearFit:
    """Ridge regression from ``source (M, D)``, fitted on one part of the rows and asked about the other.

    Args:
        source: centred vectors.
        fitted: ``(M,)`` bool, the part that is fitted on.
    """

    def __init__(self, source: np.ndarray, fitted: np.ndarray) -> None:
        self.fitted = fitted
        rows = source[fitted]
        gram = rows.T @ rows  # (D, D)
        strength = RIDGE * float(np.trace(gram)) / len(gram) + 1e-12
        self.hat = source[~fitted] @ np.linalg.solve(gram + strength * np.eye(len(gram)), rows.T)  # (held out, fitted)

    def agreement(self, target: np.ndarray) -> np.ndarray:
        """Cosine between prediction and truth of every row held out ``(H,)``; 0 on average where nothing is told."""
        told, truth = self.hat @ target[self.fitted], target[~self.fitted]
        length = np.linalg.norm(told, axis=1) * np.linalg.norm(truth, axis=1)
        cosine: np.ndarray = (told * truth).sum(axis=1) / np.maximum(length, 1e-12)
        return cosine


def _centred(emb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Every dimension with mean 0 and variance 1, of all of them or of random projections. Shape: ``(M, D)``."""
    rows = np.array(emb, dtype=np.float64)
    if rows.shape[1] > MOST_DIMENSIONS:
        rows = rows @ rng.standard_normal((rows.shape[1], MOST_DIMENSIONS)) / np.sqrt(rows.shape[1])
    rows -= rows.mean(axis=0)
    return np.asarray(rows / np.maximum(rows.std(axis=0), 1e-12))


def _nearest(rows: np.ndarray) -> np.ndarray:
    """The NEIGHBOURS nearest rows of each by cosine ``(M, NEIGHBOURS)``; no row is its own."""
    unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    scores = unit @ unit.T
    np.fill_diagonal(scores, -np.inf)
    return np.argpartition(-scores, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]


def _stands_out(value: float, null: list[float]) -> bool:
    return value > float(np.mean(null)) + FAR * float(np.std(null, ddof=1)) + 1e-9
