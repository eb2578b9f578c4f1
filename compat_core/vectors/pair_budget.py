"""How many pairs an adapter needs: recovered gain against the number of pairs, and whether more would still help."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compat_core.adapters import Adapter, Pairs
from compat_core.errors import CompatError
from compat_core.metrics import Interval, bootstrap_means, interval
from compat_core.vectors.judge import Judged, judge
from compat_core.vectors.options import gallery_option
from compat_core.vectors.relevance import Relevance
from compat_core.vectors.space import Judging

SMALLEST = 32
REPEATS = 3
NEAR = 0.005  # of the metric: this close to the level that a fitted curve runs into counts as there
RATES = np.linspace(0.1, 2.0, 39)


@dataclass(frozen=True, slots=True)
class BudgetPoint:
    """An adapter fitted on ``pairs`` pairs: gain over the status quo, mean over random choices of the pairs.

    ``ci_low`` and ``ci_high`` are over queries, ``least`` and ``most`` over the choices of pairs; ``recovered`` is the
    share of the possible gain, None where the full backfill gains nothing.
    """

    pairs: int
    gain: float
    ci_low: float
    ci_high: float
    least: float
    most: float
    recovered: float | None


@dataclass(frozen=True, slots=True)
class PairBudget:
    """The curve of one adapter.

    Attributes:
        adapter: its name.
        metric: mAP or CMC@1.
        points: by rising number of pairs.
        last_doubling: change in the metric by the last doubling of the pairs, with its interval; None for one point.
        more_helps: whether that interval lies above zero.
        wanted: number of pairs at which a power law through the points comes within half a point of its level; an
            extrapolation, None where the points do not allow one.
    """

    adapter: str
    metric: str
    points: tuple[BudgetPoint, ...]
    last_doubling: dict[str, float | None] | None
    more_helps: bool
    wanted: int | None


def budget_sizes(most: int, fewest: int) -> list[int]:
    """Numbers of pairs: doubling up to all of them."""
    sizes = [most]
    while sizes[-1] // 2 >= max(SMALLEST, fewest):
        sizes.append(sizes[-1] // 2)
    return sizes[::-1]


def pair_budget(
    adapter: Adapter,
    fit: Pairs,
    judging: Judging,
    relevance: Relevance,
    references: tuple[Judged, Judged],
    metric: str,
    resamples: int,
    seed: int,
    steps: int = 0,
) -> PairBudget:
    """Fit the adapter on growing random parts of the pairs and judge each on the held-out items.

    A part that the adapter refuses, such as one of a single class, has no point.

    Args:
        adapter: old → new; a trained one is fitted once per size, a closed form several times.
        fit: all pairs.
        judging, relevance: the held-out items and their truth.
        references: status quo and full backfill, judged on the same.
        metric: mAP or CMC@1.
        resamples, seed: of the bootstrap, and of the choices of pairs.
        steps: most optimiser steps of a trained adapter; 0 for its own.
    """
    valid = ~np.isnan(references[0].average_precision)
    base, top = (one.of(metric)[valid] for one in references)
    repeats = REPEATS if adapter.closed_form else 1
    points, columns = [], []
    for size in budget_sizes(len(fit), adapter.min_pairs):
        drawn = []
        for repeat in range(1 if size == len(fit) else repeats):
            order = np.random.default_rng([seed, size, repeat]).permutation(len(fit))[:size]
            try:
                fitted = adapter.fit(fit.take(np.sort(order)), adapter.defaults(steps), seed)
            except CompatError:
                continue
            found = judge(gallery_option(judging, adapter, fitted).scorer, relevance, len(judging.old))
            drawn.append(found.of(metric)[valid])
        if not drawn:
            continue
        column = np.mean(drawn, axis=0)
        columns.append(column)
        gains = [float((one - base).mean()) for one in drawn]
        bounds = _mean_interval(column - base, resamples, seed)
        possible = float((top - base).mean())
        recovered = bounds.estimate / possible if possible > 0 else None
        points.append(BudgetPoint(size, bounds.estimate, bounds.low, bounds.high, min(gains), max(gains), recovered))
    doubling = None
    if len(columns) > 1:
        step = columns[-1] - columns[-2]
        doubling = _mean_interval(step, resamples, seed).row()
    helps = doubling is not None and (doubling["ci_low"] or 0.0) > 0
    wanted = pairs_wanted(np.array([point.pairs for point in points]), np.array([column.mean() for column in columns]))
    return PairBudget(adapter.name, metric, tuple(points), doubling, helps, wanted)


def _mean_interval(values: np.ndarray, resamples: int, seed: int) -> Interval:
    return interval(float(values.mean()), bootstrap_means(values[:, None], resamples, seed)[:, 0])


def pairs_wanted(sizes: np.ndarray, values: np.ndarray) -> int | None:
    """Pairs at which ``level − scale · pairs^(−rate)``, fitted to the points, comes within half a point of its level.

    Args:
        sizes: ``(P,)`` numbers of pairs; values: ``(P,)`` the metric, in [0, 1].

    Returns:
        None for fewer than four points, or where the metric does not rise with the pairs.
    """
    if len(sizes) < 4:
        return None
    best: tuple[float, float, float] | None = None
    for rate in RATES:
        design = np.stack([np.ones(len(sizes)), -(sizes.astype(np.float64) ** -rate)], axis=1)
        (level, scale), *_ = np.linalg.lstsq(design, values, rcond=None)
        error = float(((design @ [level, scale] - values) ** 2).sum())
        if scale > 0 and level <= 1 and (best is None or error < best[0]):
            best = (error, rate, scale)
    if best is None:
        return None
    return int(np.ceil((best[2] / NEAR) ** (1 / best[1])))
