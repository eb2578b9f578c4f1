import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from compat_core.adapters import ADAPTERS, Pairs, collect, merged
from compat_core.adapters.ridge import STRENGTHS, absolute_penalty, choose_strength
from compat_core.adapters.statistics import PairStatistics, fold_of
from compat_core.errors import CompatError
from tests.adapters.views import mapped, two_views

ENTRY = ADAPTERS.get("ridge")


def alpha_of(source, strength):
    return strength * ((source - source.mean(0)) ** 2).sum(0).mean()


@pytest.mark.parametrize("strength", [1e-6, 1e-2, 1.0, 30.0])
@pytest.mark.parametrize(("source_dim", "target_dim"), [(12, 9), (9, 12)])
def test_equals_sklearn(strength, source_dim, target_dim):
    pairs = two_views(source_dim=source_dim, target_dim=target_dim)
    x, y = pairs.source.astype(np.float64), pairs.target.astype(np.float64)
    oracle = Ridge(alpha=alpha_of(x, strength)).fit(x, y)
    fitted = ENTRY.fit(pairs, ENTRY.config(strength=strength))
    np.testing.assert_allclose(fitted.matrix(), oracle.coef_, atol=1e-6)
    np.testing.assert_allclose(fitted.bias(), oracle.intercept_, atol=1e-6)
    np.testing.assert_allclose(mapped(fitted, x), oracle.predict(x), atol=2e-6)


def test_without_strength_it_is_least_squares_also_with_fewer_pairs_than_dimensions():
    pairs = two_views(count=14, source_dim=20, target_dim=5)
    x, y = pairs.source.astype(np.float64), pairs.target.astype(np.float64)
    fitted = ENTRY.fit(pairs, ENTRY.config(strength=0.0))
    shortest = np.linalg.lstsq(x - x.mean(0), y - y.mean(0), rcond=None)[0]
    np.testing.assert_allclose(fitted.matrix().T, shortest, atol=1e-4)
    assert np.abs(mapped(fitted, x) - y).max() < 1e-4


@pytest.mark.parametrize(("count", "noise"), [(40, 0.5), (300, 0.02)])
def test_strength_is_the_best_of_naive_cross_validation(count, noise):
    pairs = two_views(count, noise=noise)
    x, y = pairs.source.astype(np.float64), pairs.target.astype(np.float64)
    fold = fold_of(np.arange(count), 5)
    errors = []
    for strength in STRENGTHS:
        error = 0.0
        for left_out in range(5):
            kept = fold != left_out
            model = Ridge(alpha=alpha_of(x[kept], strength)).fit(x[kept], y[kept])
            error += ((model.predict(x[~kept]) - y[~kept]) ** 2).sum()
        errors.append(error)
    chosen = choose_strength(collect(pairs.batches(), folds=5))
    assert chosen == STRENGTHS[int(np.argmin(errors))]
    assert STRENGTHS[0] < chosen < STRENGTHS[-1]  # so that the comparison says something
    explicit = ENTRY.fit(pairs, ENTRY.config(strength=chosen))
    assert torch.equal(ENTRY.fit(pairs).matrix(), explicit.matrix())


def test_noise_asks_for_more_strength():
    chosen = [choose_strength(collect(two_views(60, noise=noise).batches(), folds=5)) for noise in (0.02, 2.0)]
    assert chosen[0] < chosen[1]


def test_on_independent_vectors_it_says_the_mean():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(100, 30)), rng.normal(size=(100, 30)) + 3
    fitted = ENTRY.fit(Pairs(x, y))
    np.testing.assert_allclose(mapped(fitted, rng.normal(size=(5, 30))), np.tile(y.mean(0), (5, 1)), atol=0.1)


def test_penalty_is_relative_to_the_vectors_scale():
    pairs = two_views()
    small = merged(collect(pairs.batches()))
    large = merged(collect(Pairs(1000 * pairs.source, pairs.target).batches()))
    assert absolute_penalty(large, 0.1) == pytest.approx(1e6 * absolute_penalty(small, 0.1), rel=1e-4)


def test_a_linear_relation_is_recovered():
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(400, 16)), rng.normal(size=(16, 24))
    fitted = ENTRY.fit(Pairs(x, x @ weight + 5))
    assert np.abs(mapped(fitted, x) - (x @ weight + 5)).max() < 1e-4


@pytest.mark.parametrize("name", ["ridge", "low-rank", "cca"])
def test_rows_that_are_all_the_same_tell_nothing_of_their_targets(name):
    """Their moment is rounding error: taken for a direction, it is stretched until it explains the targets' noise."""
    entry = ADAPTERS.get(name)
    target = np.random.default_rng(0).normal(size=(40, 6))
    for value in (1.5, 0.1, 1e4 / 3):
        fitted = entry.fit(Pairs(np.full((40, 6), value), target), entry.config(normalise=True))
        assert not fitted.matrix().any()
        expected = (target / np.linalg.norm(target, axis=1, keepdims=True)).mean(0)
        np.testing.assert_allclose(mapped(fitted, np.full((3, 6), value)), np.tile(expected, (3, 1)), atol=1e-6)


@pytest.mark.parametrize("name", ["ridge", "low-rank", "cca"])
def test_a_small_spread_around_a_long_mean_is_no_rounding_error(name):
    entry, rng = ADAPTERS.get(name), np.random.default_rng(0)
    x = rng.normal(size=(200, 5))
    y = x @ rng.normal(size=(5, 4))
    fitted = entry.fit(Pairs(1e6 + 1e-3 * x, y))
    assert np.abs(1e-3 * (x - x.mean(0)) @ fitted.matrix().numpy().T + y.mean(0) - y).max() < 1e-2


@pytest.mark.parametrize("name", ["ridge", "low-rank", "cca"])
def test_pairs_that_are_all_in_one_part_leave_nothing_to_choose_a_strength_by(name):
    entry, pairs = ADAPTERS.get(name), two_views(40)
    (whole,) = collect(pairs.batches())
    empty = [PairStatistics(pairs.source_dim, pairs.target_dim) for _ in range(entry.folds - 1)]
    with pytest.raises(CompatError, match="at least two must hold pairs"):
        entry.from_statistics((whole, *empty))
    fitted = entry.from_statistics((whole, *empty), entry.config(strength=0.1))
    expected = entry.fit(pairs, entry.config(strength=0.1)).matrix()
    np.testing.assert_allclose(fitted.matrix(), expected, atol=1e-6)
