"""An ordering's backfill curve: the mean over its repetitions, their band, and the shares for most of the gain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compat_core.metrics.backfill import BackfillCurve
from compat_core.metrics.backfill_share import ShareForGain, shares_for_gains
from compat_core.metrics.bootstrap import RESAMPLES

RANDOM_SEEDS = (0, 1, 2)  # repetitions of a random ordering
GAINS = (0.9, 0.95, 0.99)  # parts of the full backfill's gain that a share is given for


@dataclass(frozen=True, slots=True, eq=False)
class OrderCurve:
    """What is said of one ordering and metric, in a run and in a decision alike.

    Attributes:
        mean: over the repetitions, query by query.
        low, high: ``(P,)`` the lowest and highest repetition at each share; no interval over queries.
        repeats: how many there are; 1 for every ordering but a random one.
        needed: for each of ``GAINS`` the smallest share, with its interval over queries.
    """

    mean: BackfillCurve
    low: np.ndarray
    high: np.ndarray
    repeats: int
    needed: tuple[ShareForGain, ...]

    @classmethod
    def of(cls, curves: Sequence[BackfillCurve], resamples: int = RESAMPLES) -> OrderCurve:
        """From an ordering's repetitions: curves of one metric, over the same shares and queries.

        Args:
            curves: at least one.
            resamples: of the bootstrap behind the shares' intervals.
        """
        first = curves[0]
        mean = BackfillCurve(first.metric, first.shares, np.mean([curve.per_query for curve in curves], axis=0))
        band = np.array([curve.values for curve in curves])
        needed = shares_for_gains(mean, GAINS, resamples=resamples)
        return cls(mean, band.min(axis=0), band.max(axis=0), len(curves), tuple(needed))
