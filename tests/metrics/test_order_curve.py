"""An ordering's curve over its repetitions, against the same numbers by hand."""

import numpy as np

from compat_core.metrics.backfill import BackfillCurve
from compat_core.metrics.order_curve import GAINS, OrderCurve

SHARES = np.array([0.0, 0.5, 1.0])


def test_the_mean_is_by_query_and_the_band_by_repetition():
    one = BackfillCurve("mAP", SHARES, np.array([[0.0, 0.2], [0.2, 0.4], [0.8, 1.0]]))
    other = BackfillCurve("mAP", SHARES, np.array([[0.0, 0.2], [0.6, 1.0], [0.8, 1.0]]))
    drawn = OrderCurve.of([one, other], resamples=100)
    np.testing.assert_allclose(drawn.mean.per_query, [[0.0, 0.2], [0.4, 0.7], [0.8, 1.0]])
    np.testing.assert_allclose(drawn.low, [0.1, 0.3, 0.9])
    np.testing.assert_allclose(drawn.high, [0.1, 0.8, 0.9])
    assert drawn.repeats == 2
    assert [(share.target, share.share) for share in drawn.needed] == [(gain, 1.0) for gain in GAINS]


def test_a_single_curve_is_its_own_band():
    curve = BackfillCurve("CMC@1", SHARES, np.array([[0.0, 0.0], [1.0, 1.0], [1.0, 1.0]]))
    drawn = OrderCurve.of([curve], resamples=100)
    for values in (drawn.low, drawn.high, drawn.mean.values):
        np.testing.assert_array_equal(values, curve.values)
    assert [share.share for share in drawn.needed] == [0.5] * len(GAINS)
