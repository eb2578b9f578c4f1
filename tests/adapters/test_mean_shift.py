import numpy as np
import pytest

from compat_core.adapters import ADAPTERS, Pairs
from tests.adapters.views import mapped

X = np.random.default_rng(0).normal(size=(20, 4))
STEP = np.array([1, -2, 3, 100])


def test_a_shift_is_undone():
    fitted = ADAPTERS.get("mean-shift").fit(Pairs(X, X + STEP))
    np.testing.assert_allclose(mapped(fitted, X), X + STEP, atol=1e-5)


@pytest.mark.parametrize("width", [2, 6])
def test_other_dimensions_are_cut_or_padded(width):
    target = np.random.default_rng(1).normal(size=(20, width))
    out = mapped(ADAPTERS.get("mean-shift").fit(Pairs(X, target)), X)
    centred = np.pad(X - X.mean(0), ((0, 0), (0, 2)))[:, :width]
    np.testing.assert_allclose(out, centred + target.mean(0), atol=1e-6)


def test_one_pair_is_enough():
    out = mapped(ADAPTERS.get("mean-shift").fit(Pairs(X[:1], X[:1] + 5)), X)
    np.testing.assert_allclose(out, X + 5, atol=1e-6)
