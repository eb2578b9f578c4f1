"""Are two model versions compatible, what does the upgrade gain, and what does compatibility cost?

Notation: M(query model / gallery model). *old* is M(old/old), *cross* is M(new/old) or M(new/migrated), *paragon* is
M(new/new) of a new model trained without any constraint, its gallery fully backfilled. All are evaluations of the same
queries. Reference: BCT (Shen et al., 2020), arXiv:2003.11942, Eq. 2 (compatible) and Eq. 9 (update gain).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from compat_core.errors import CompatError
from compat_core.metrics.bootstrap import (
    LEVEL,
    RESAMPLES,
    Interval,
    bootstrap_difference,
    bootstrap_ratio,
    paired,
)
from compat_core.metrics.catalogue import resolve
from compat_core.metrics.scores import RetrievalScores

Outcome = Literal["compatible", "not compatible", "undecided"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether cross beats old on one metric, and how sure that is.

    Attributes:
        metric: the metric's name; a verdict holds for that metric and operating point only.
        outcome: ``compatible`` when the whole interval of cross − old lies above 0, ``not compatible`` when none of
            it does (equality is not enough), else ``undecided``.
        difference: cross − old, fractions.
    """

    metric: str
    outcome: Outcome
    difference: Interval


@dataclass(frozen=True, slots=True, eq=False)
class Flips:
    """Queries whose answer changed between right and wrong.

    Attributes:
        negative, positive: shares of valid queries, in [0, 1].
        negative_mask: (Nq,) bool, right under old and wrong now.
        positive_mask: (Nq,) bool, wrong under old and right now.
    """

    negative: float
    positive: float
    negative_mask: np.ndarray
    positive_mask: np.ndarray


def gain(
    cross: RetrievalScores,
    old: RetrievalScores,
    metric: str = "mAP",
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval:
    """cross − old in the metric's own units, with its paired bootstrap interval.

    Raises:
        CompatError: for an unknown metric, or evaluations of different queries.
    """
    after, before = _columns(metric, cross, old)
    return bootstrap_difference(after, before, resamples, seed, level)


def verdict(
    cross: RetrievalScores,
    old: RetrievalScores,
    metric: str = "mAP",
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Verdict:
    """Compatible iff M(cross) > M(old/old), strictly, said with the confidence the queries allow.

    Args:
        cross: M(new/old) or M(new/migrated).
        old: M(old/old), on the same queries.
        metric: name or synonym.
        resamples, seed, level: of the paired bootstrap.

    Raises:
        CompatError: for an unknown metric, or evaluations of different queries.

    Reference: BCT, arXiv:2003.11942, Eq. 2.

    Departs from the paper: the paper compares two point estimates; here chance is allowed for, and the answer can be
    ``undecided``.
    """
    difference = gain(cross, old, metric, resamples=resamples, seed=seed, level=level)
    return Verdict(resolve(metric).name, outcome_of(difference), difference)


def outcome_of(difference: Interval) -> Outcome:
    """What an interval of cross − old says: above 0 compatible, not above 0 not compatible, across 0 undecided."""
    if difference.low > 0:
        return "compatible"
    return "not compatible" if difference.high <= 0 else "undecided"


def recovered_gain(
    cross: RetrievalScores,
    old: RetrievalScores,
    paragon: RetrievalScores,
    metric: str = "mAP",
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval | None:
    """(cross − old) / (paragon − old): the share of the full upgrade's gain, negative where cross is below old.

    Returns:
        None when the paragon is not better than old; without bounds (NaN) when its gain may be zero.

    Raises:
        CompatError: for an unknown metric, or evaluations of different queries.
    """
    crossed, before, best = paired(metric, *_columns(metric, cross, old, paragon))
    return bootstrap_ratio(crossed - before, best - before, resamples, seed, level)


def update_gain(
    cross: RetrievalScores,
    old: RetrievalScores,
    paragon: RetrievalScores,
    metric: str = "mAP",
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval | None:
    """The recovered gain, given only where the two models are compatible: M(cross) > M(old/old), as measured.

    Returns:
        None when not compatible (a dash in tables), or when the paragon is not better than old.

    Raises:
        CompatError: for an unknown metric, or evaluations of different queries.

    Reference: BCT, arXiv:2003.11942, Eq. 9.
    """
    crossed, before = paired(metric, *_columns(metric, cross, old))
    if not (crossed - before).mean() > 0:
        return None
    return recovered_gain(cross, old, paragon, metric, resamples=resamples, seed=seed, level=level)


def cost_to_new(
    paragon: RetrievalScores,
    new: RetrievalScores,
    metric: str = "mAP",
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> Interval:
    """paragon − M(new/new) of the method: what being compatible costs the new model itself.

    Positive for BCT and its kind, zero by construction where the new model is trained freely (FCT, adapters).

    Raises:
        CompatError: for an unknown metric, or evaluations of different queries.
    """
    return gain(paragon, new, metric, resamples=resamples, seed=seed, level=level)


def flips(old: RetrievalScores, new: RetrievalScores, k: int = 1) -> Flips:
    """Queries that had a relevant item among the nearest ``k`` under old and have none now, and the reverse.

    Raises:
        CompatError: for evaluations of different queries.

    Reference: negative flips, Yan et al., Positive-Congruent Training, 2021, arXiv:2011.09161.
    """
    _check_same_queries("flips", old, new)
    valid = old.per_query.valid
    before, now = old.per_query.hit_within(k) == 1, new.per_query.hit_within(k) == 1
    negative, positive = valid & before & ~now, valid & ~before & now
    return Flips(float(negative[valid].mean()), float(positive[valid].mean()), negative, positive)


def _columns(metric: str, *evaluations: RetrievalScores) -> list[np.ndarray]:
    """The metric per query of each evaluation."""
    entry = resolve(metric)
    _check_same_queries(entry.name, *evaluations)
    return [entry.per_query(scores) for scores in evaluations]


def _check_same_queries(what: str, *evaluations: RetrievalScores) -> None:
    lengths = {len(scores.per_query.valid) for scores in evaluations}
    if len(lengths) > 1 or any((s.per_query.valid != evaluations[0].per_query.valid).any() for s in evaluations):
        sizes = [f"{s.num_queries} of {len(s.per_query.valid)}" for s in evaluations]
        raise CompatError(
            f"{what} of two evaluations",
            rule=f"{' and '.join(sizes)} queries are valid; both must answer the same queries",
            fix="evaluate both with the same query and gallery labels",
        )
