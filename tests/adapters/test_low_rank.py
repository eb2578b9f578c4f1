import numpy as np
import pytest

from compat_core.adapters import ADAPTERS, Pairs
from tests.adapters.views import mapped, two_views

ENTRY = ADAPTERS.get("low-rank")


@pytest.mark.parametrize("rank", [1, 3, 8])
@pytest.mark.parametrize("strength", [0.0, 0.1])
def test_equals_reduced_rank_regression_by_another_route(rank, strength):
    """Least squares on data stacked with the penalty's rows, then the SVD of what it predicts, cut at the rank."""
    pairs = two_views()
    x, y = (side - side.mean(0) for side in (pairs.source.astype(float), pairs.target.astype(float)))
    alpha = strength * (x**2).sum(0).mean()
    stacked_x = np.vstack([x, np.sqrt(alpha) * np.eye(12)])
    stacked_y = np.vstack([y, np.zeros((12, 9))])
    full = np.linalg.lstsq(stacked_x, stacked_y, rcond=None)[0]
    right = np.linalg.svd(stacked_x @ full, full_matrices=False)[2][:rank]
    expected = full @ right.T @ right
    fitted = ENTRY.fit(pairs, ENTRY.config(rank=rank, strength=strength))
    np.testing.assert_allclose(fitted.matrix().T, expected, atol=2e-6)
    np.testing.assert_allclose(mapped(fitted, pairs.source), x @ expected + pairs.target.mean(0), atol=1e-5)


def test_no_other_matrix_of_that_rank_does_better():
    pairs = two_views()
    fitted = ENTRY.fit(pairs, ENTRY.config(rank=2, strength=0.0))
    x, y = pairs.source - pairs.source.mean(0), pairs.target - pairs.target.mean(0)
    best = ((x @ fitted.matrix().T.numpy() - y) ** 2).sum()
    rng = np.random.default_rng(0)
    for _ in range(20):
        up = fitted.up.numpy() + 0.1 * rng.normal(size=(9, 2))
        down = fitted.down.numpy() + 0.1 * rng.normal(size=(2, 12))
        assert ((x @ down.T @ up.T - y) ** 2).sum() > best


def test_full_rank_is_ridge_and_the_rank_is_cut_to_the_smaller_dimension():
    pairs = two_views()
    fitted = ENTRY.fit(pairs, ENTRY.config(rank=500))
    assert fitted.down.shape == (9, 12) and fitted.up.shape == (9, 9)
    ridge = ADAPTERS.get("ridge").fit(pairs)
    np.testing.assert_allclose(fitted.matrix(), ridge.matrix(), atol=1e-5)


def test_a_relation_of_low_rank_is_recovered():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 20))
    y = x @ rng.normal(size=(20, 3)) @ rng.normal(size=(3, 15)) - 4
    fitted = ENTRY.fit(Pairs(x, y), ENTRY.config(rank=3))
    assert np.abs(mapped(fitted, x) - y).max() < 1e-3
    assert fitted.down.numel() + fitted.up.numel() == 3 * (20 + 15)
