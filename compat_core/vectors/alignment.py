"""Is row i of both files one item? Two models agree more on the same items than on shuffled ones.

Two statistics of a sample of rows are compared with what they are after the rows of one file were shuffled, the null:
how well a linear fit predicts held-out rows, and how many nearest neighbours both files have in common. However
different two models are, of the same items one of them lies above its null; only where neither does, the rows are
called foreign to each other. Rows that are off by a few places are told by a fit that does better on a neighbour.
A row that is missing in the middle of one file, or a shard in another place, leaves a part of the rows right and the
rest wrong: the same is asked of consecutive parts, by the fit that the right ones have taught. Of rows that lie
scattered, half of the wrong ones are predicted worse than the median of shuffled rows, and hardly any of the right.
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
PARTS = 16  # of consecutive rows, each asked on its own
SURE = 10.0  # standard deviations above the null at which the other parts have to lie before one is said to differ
SCATTERED, MOST_SCATTERED = 0.04, 0.65  # share of wrong rows that is said; of 252 pairs of real embeddings none had any
FEWEST_SCATTERED = 8  # rows predicted worse than shuffled ones are
LOPSIDED = 1.5  # times as many rows a little above the shuffled ones' agreement as below it: they are hard, not wrong
APART = 2.5  # standard deviations of the right rows' agreement by which they have to lie above the shuffled ones
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
        if _better(fit.agreement(targets(shift)), agreed):
            return [_foreign("the rows do", f"{_off_by(shift)} ({len(rows):,} rows were looked at)")]
    orders = [rng.permutation(len(rows)) for _ in range(SHUFFLES)]
    near, theirs = _nearest(source), np.zeros((len(rows), len(rows)), dtype=bool)
    np.put_along_axis(theirs, _nearest(target), True, axis=1)
    in_common = np.take_along_axis(theirs, near, axis=1).mean(axis=1)  # (rows,) share of each row's neighbours
    if _stands_out(float(agreed.mean()), [float(fit.agreement(target[order]).mean()) for order in orders]):
        return _foreign_parts(rows, fit, target, [targets(shift) for shift in SHIFTS], in_common, orders)
    if _stands_out(float(in_common.mean()), [float(theirs[order[:, None], order[near]].mean()) for order in orders]):
        return []
    why = (
        f"in a sample of {len(rows):,} rows a linear fit explains nothing of rows held out and neighbours agree by "
        "chance only, both as after shuffling one file"
    )
    return [_foreign("the rows do", why)]


def _foreign_parts(
    rows: np.ndarray,
    fit: _LinearFit,
    target: np.ndarray,
    shifted: list[np.ndarray],
    in_common: np.ndarray,
    orders: list[np.ndarray],
) -> list[Finding]:
    """A warning where consecutive parts of rows that agree as a whole fit other rows better, or as by chance only.

    Args:
        rows: ``(M,)`` where the sample lies in the files, ascending.
        fit: of all of them, so that the right ones teach it, however few are wrong.
        target: ``(M, D)`` of new; shifted: the same a few rows on, one of each of SHIFTS.
        in_common: ``(M,)`` share of each row's neighbours that are its neighbours in the other file, too.
        orders: shuffles of the sample.
    """
    held = np.flatnonzero(~fit.fitted)
    agreed = fit.agreement(target)
    moved = [fit.agreement(target, truth) for truth in shifted]
    by_chance = np.concatenate([fit.agreement(target, target[order]) for order in orders])
    parts = np.array_split(np.arange(len(held)), PARTS)
    noise = float(by_chance.std()) / np.sqrt(min(map(len, parts)))
    others = float(np.median([agreed[part].mean() for part in parts])) - float(by_chance.mean())
    wrong, shift = [], 0
    for part in parts:
        better = [step for step, cosine in zip(SHIFTS, moved, strict=True) if _better(cosine[part], agreed[part])]
        lost = others > SURE * noise and agreed[part].mean() < by_chance.mean() + noise
        own = in_common[held[part[0]] : held[part[-1]] + 1]
        if better or (lost and own.mean() < in_common.mean() / 2):
            wrong.append(part)
            shift = better[0] if better else shift
    if not wrong:
        return _scattered(agreed, by_chance)
    first, last = rows[held[wrong[0][0]]], rows[held[wrong[-1][-1]]]
    where = f"from about row {first:,} on" if wrong[-1] is parts[-1] else f"from about row {first:,} to {last:,}"
    why = _off_by(shift) if shift else "there, the two models agree as on shuffled rows only"
    count = f"{len(wrong)} of {PARTS} consecutive parts of the files"
    return [_foreign(f"in {count}, {where}, the rows do", f"{why}; elsewhere they do")]


def _scattered(agreed: np.ndarray, by_chance: np.ndarray) -> list[Finding]:
    """A warning where some rows agree as shuffled ones do, and the others far better.

    Rows that are merely hard to predict become fewer and fewer towards the shuffled ones' agreement and below it; wrong
    ones lie around it, as many above as below.

    Args:
        agreed: ``(H,)`` cosine between prediction and truth of rows held out.
        by_chance: the same of shuffled rows, any number.
    """
    lowest, middle, highest = np.quantile(by_chance, [0.1, 0.5, 0.9])
    below = int((agreed < middle).sum())
    share = 2 * below / len(agreed)
    if below < FEWEST_SCATTERED or not SCATTERED <= share <= MOST_SCATTERED:
        return []
    around = [int(((agreed >= low) & (agreed < high)).sum()) for low, high in ((lowest, middle), (middle, highest))]
    # The upper half of the right rows holds no wrong ones: its spread says how far the right ones reach down.
    typical, high = np.quantile(agreed, [1 - (1 - share) / 2, 1 - (1 - share) * 0.16])
    if around[1] > LOPSIDED * around[0] or typical - middle < APART * (high - typical):
        return []
    why = "scattered over the files, these agree as shuffled rows do, and the others far better"
    return [_foreign(f"about {100 * share:.0f} % of the rows do", why)]


def _better(cosine: np.ndarray, than: np.ndarray) -> bool:
    more = cosine - than
    return bool(more.mean() > SHIFTED * more.std() / np.sqrt(len(more)) + 1e-9)


def _off_by(shift: int) -> str:
    sign = "+" if shift > 0 else "−"
    return f"row i of old fits row i {sign}{abs(shift)} of new better than row i"


def _foreign(which: str, why: str) -> Finding:
    fix = "bring both files into the same order, or match them by id (--ids, --new-ids)"
    return Finding(WARN, MISALIGNED, f"{which} not seem to be the same items: {why}; {fix}")


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

    def agreement(self, target: np.ndarray, true: np.ndarray | None = None) -> np.ndarray:
        """Cosine between prediction and truth of every row held out ``(H,)``; 0 on average where nothing is told.

        Args:
            target: ``(M, D)`` what the fit learns.
            true: ``(M, D)`` what it is asked about; None: the same.
        """
        told, truth = self.hat @ target[self.fitted], (target if true is None else true)[~self.fitted]
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
