"""The share for a part of the gain: the interval against resampling query by query with loops."""

import numpy as np
import pytest

from compat_core.errors import CompatError
from compat_core.metrics.backfill import BackfillCurve
from compat_core.metrics.backfill_share import shares_for_gains


def rising(num_queries, noise, seed=0):
    shares = np.linspace(0, 1, 11)
    rng = np.random.default_rng(seed)
    return BackfillCurve("mAP", shares, 0.3 + 0.4 * shares[:, None] ** 0.5 + noise * rng.normal(size=(11, num_queries)))


@pytest.mark.parametrize("target", [0.9, 0.95, 0.99, 1.0])
def test_against_loops(target):
    curve = rising(40, 0.05)
    (found,) = shares_for_gains(curve, [target], resamples=300, seed=7)
    assert found.share == curve.share_for(target)
    rng = np.random.default_rng(7)  # the draws of bootstrap_means
    drawn = rng.integers(0, 40, size=(300, 40), dtype=np.int32)
    shares = []
    for rows in drawn:
        part = BackfillCurve("mAP", curve.shares, curve.per_query[:, rows])
        answer = 0
        values = part.values
        for point in range(10):
            if values[point] < values[0] + target * (values[-1] - values[0]) - 1e-13:
                answer = point + 1
        shares.append(curve.shares[answer])
    shares.sort()
    assert (found.low, found.high) == (shares[7], shares[292])  # smallest with at least 2.5 % and 97.5 % up to it
    assert found.low <= found.high and found.without_gain == 0


def test_one_query_repeated_has_no_spread():
    curve = BackfillCurve("mAP", np.array([0.0, 0.5, 1.0]), np.tile([[0.2], [0.55], [0.6]], (1, 30)))
    (found,) = shares_for_gains(curve, [0.8], resamples=100)
    assert (found.share, found.low, found.high) == (0.5, 0.5, 0.5)


def test_no_gain_has_no_share():
    flat = BackfillCurve("mAP", np.array([0.0, 1.0]), np.full((2, 20), 0.5))
    (found,) = shares_for_gains(flat, [0.95], resamples=50)
    assert (found.share, found.low, found.high, found.without_gain) == (None, None, None, 1.0)


def test_a_doubtful_gain_has_a_share_and_no_interval():
    # Of ten queries five gain 0.3 and five lose 0.1: only drawing eight losers or more, 56 in 1024, shows no gain.
    values = np.repeat([[0.4, 0.5], [0.7, 0.4]], 5, axis=1)
    curve = BackfillCurve("mAP", np.array([0.0, 1.0]), values)
    (found,) = shares_for_gains(curve, [0.9], resamples=4000)
    assert found.share == 1.0 and found.low is None and found.high is None
    assert found.without_gain == pytest.approx(56 / 1024, abs=0.015)


@pytest.mark.parametrize(
    "change", [{"targets": [0]}, {"targets": [0.9, 1.1]}, {"targets": [float("nan")]}, {"level": 1.0}]
)
def test_errors(change):
    with pytest.raises(CompatError):
        shares_for_gains(rising(5, 0.0), **{"targets": [0.9]} | change)
