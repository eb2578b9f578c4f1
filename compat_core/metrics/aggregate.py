"""One number over several test sets: how good the new model stays, how compatible it is, and both at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compat_core.errors import CompatError


@dataclass(frozen=True, slots=True)
class UpgradeScores:
    """Each in (0, 1), higher is better; 0.5 is the paragon's own level for ``p_up``, and the old one's for ``p_comp``.

    Attributes:
        p_up: mean over test sets of σ((self − self*) / self*).
        p_comp: mean over test sets of σ((cross − old) / (self* − old)).
        p_1: mean over test sets of the harmonic mean of the two.
    """

    p_up: float
    p_comp: float
    p_1: float


def upgrade_scores(
    new_new: Sequence[float], cross: Sequence[float], old_old: Sequence[float], paragon: Sequence[float]
) -> UpgradeScores:
    """P_up, P_comp and P_1 of one method over S test sets, σ(x) = 1 / (1 + exp(−x)).

    Args:
        new_new: (S,) M(new/new) of the method, "self"; fractions in [0, 1], as all of these.
        cross: (S,) M(new/old), or M(new/migrated).
        old_old: (S,) M(old/old).
        paragon: (S,) M(new/new) of the unconstrained new model, "self*"; above ``old_old`` on every set.

    Raises:
        CompatError: for columns of different length, none, values that are not finite fractions, or a test set where
            the paragon is not better than old: there is no gain to compare with.

    Reference: AdvBCT (Pan et al., 2023), arXiv:2305.02610.

    Departs from the paper: P_1 is reconstructed from its tables, which it matches to ±0.01 points.
    """
    sets = {"new_new": new_new, "cross": cross, "old_old": old_old, "paragon": paragon}
    own, crossed, before, best = (_column(name, values, len(new_new)) for name, values in sets.items())
    worse = np.flatnonzero(best <= before)
    if len(worse):
        first = int(worse[0])
        raise CompatError(
            f"paragon on test set {first}",
            value=float(best[first]),
            rule=f"must be above old/old ({before[first]:g}); a share of no gain does not exist",
            fix="leave that test set out",
        )
    up = _logistic((own - best) / best)
    comp = _logistic((crossed - before) / (best - before))
    return UpgradeScores(float(up.mean()), float(comp.mean()), float((2 * up * comp / (up + comp)).mean()))


def _column(name: str, values: Any, length: int) -> np.ndarray:
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1 or not len(column) or len(column) != length:
        raise CompatError(name, value=column.shape, rule=f"must hold one number per test set, {length} like new_new")
    if not ((column >= 0) & (column <= 1)).all():  # NaN too
        raise CompatError(name, value=column.tolist(), rule="must be fractions in [0, 1]", fix="divide percent by 100")
    return column


def _logistic(x: np.ndarray) -> np.ndarray:
    # By tanh, which does not overflow where the paragon's gain is tiny and the argument huge.
    return 0.5 * (1 + np.tanh(x / 2))
