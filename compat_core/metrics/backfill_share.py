"""How much of the gallery must be backfilled for most of what a full backfill adds, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compat_core.errors import CompatError
from compat_core.metrics.backfill import BackfillCurve, fall_short
from compat_core.metrics.bootstrap import LEVEL, RESAMPLES, bootstrap_means


@dataclass(frozen=True, slots=True)
class ShareForGain:
    """The result of :func:`shares_for_gains`.

    Attributes:
        target: part of the full backfill's gain, in (0, 1].
        share: smallest measured share from which on that part is kept; None when the full backfill gains nothing.
        low, high: percentile interval of the share, on the grid of measured shares; None without a gain, or when more
            resamples than the interval's tails may hold show none.
        without_gain: share of resamples in which the full backfill gains nothing, in [0, 1].
    """

    target: float
    share: float | None
    low: float | None
    high: float | None
    without_gain: float


def shares_for_gains(
    curve: BackfillCurve,
    targets: Sequence[float],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = LEVEL,
) -> list[ShareForGain]:
    """``curve.share_for(target)`` for each of ``targets``, with its bootstrap interval over queries.

    Queries are drawn with replacement, the same ones at every point of the curve and for every target. Only measured
    shares are answers: the interval is no finer than the curve's steps.

    Args:
        curve: of at least two points.
        targets: parts of the gain from the first to the last point, each in (0, 1].
        resamples, seed, level: of the bootstrap.

    Raises:
        CompatError: for a target or a level out of range.
    """
    for target in targets:
        if not 0 < target <= 1:
            raise CompatError("target", value=target, rule="must lie in (0, 1]", fix="for example 0.95")
    if not 0 < level < 1:
        raise CompatError("level", value=level, rule="must lie strictly between 0 and 1", fix="for example 0.95")
    means = bootstrap_means(curve.per_query.T, resamples, seed)  # (resamples, P)
    return [_share(curve, means, target, (1 - level) / 2) for target in targets]


def _share(curve: BackfillCurve, means: np.ndarray, target: float, tail: float) -> ShareForGain:
    gained = means[:, -1] > means[:, 0]
    short = fall_short(means[gained], target)
    # The point after the last that falls short. The last point itself never does, but for rounding.
    short[:, -1] = False
    last_short = np.where(short.any(axis=1), short.shape[1] - 1 - short[:, ::-1].argmax(axis=1), -1)
    shares = curve.shares[last_short + 1]
    without = float((~gained).mean())
    share = curve.share_for(target)
    if share is None or without > tail:
        return ShareForGain(target, share, None, None, without)
    low, high = np.quantile(shares, [tail, 1 - tail], method="inverted_cdf")
    return ShareForGain(target, share, float(low), float(high), without)
