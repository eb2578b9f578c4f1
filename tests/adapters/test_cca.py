import numpy as np
import pytest
import scipy.linalg
from sklearn.cross_decomposition import CCA

from compat_core.adapters import ADAPTERS, Pairs, collect, merged
from compat_core.adapters.cca import STRENGTHS, canonical, choose_strength, transfer
from compat_core.adapters.statistics import fold_of
from tests.adapters.views import mapped, two_views

ENTRY = ADAPTERS.get("cca")


def statistics(pairs):
    return merged(collect(pairs.batches()))


@pytest.mark.parametrize(("source_dim", "target_dim"), [(12, 9), (9, 12)])
def test_correlations_equal_a_naive_route(source_dim, target_dim):
    """Canonical correlations are the cosines of the principal angles between the two column spaces."""
    pairs = two_views(source_dim=source_dim, target_dim=target_dim)
    x, y = (side - side.mean(0) for side in (pairs.source.astype(float), pairs.target.astype(float)))
    expected = np.cos(scipy.linalg.subspace_angles(x, y))[::-1]
    found = canonical(statistics(pairs))
    np.testing.assert_allclose(found.correlations, expected, atol=1e-9)
    np.testing.assert_array_equal(found.correlations, np.sort(found.correlations)[::-1])


def test_correlations_equal_sklearn():
    pairs = two_views(source_dim=5, target_dim=4)
    oracle = CCA(n_components=4, max_iter=20_000, tol=1e-12)
    left, right = oracle.fit_transform(pairs.source.astype(float), pairs.target.astype(float))
    expected = [np.corrcoef(left[:, k], right[:, k])[0, 1] for k in range(4)]
    np.testing.assert_allclose(canonical(statistics(pairs)).correlations, expected, atol=1e-6)


def test_variates_are_white_and_correlate_as_said():
    pairs = two_views()
    found = canonical(statistics(pairs))
    left = (pairs.source - pairs.source.mean(0)).astype(float) @ found.source_directions.numpy()
    right = (pairs.target - pairs.target.mean(0)).astype(float) @ found.target_directions.numpy()
    np.testing.assert_allclose(left.T @ left / len(pairs), np.eye(9), atol=1e-5)
    np.testing.assert_allclose(right.T @ right / len(pairs), np.eye(9), atol=1e-5)
    np.testing.assert_allclose(left.T @ right / len(pairs), np.diag(found.correlations), atol=1e-5)
    restored = right @ found.target_loadings.numpy().T + pairs.target.mean(0)
    np.testing.assert_allclose(restored, pairs.target, atol=1e-4)


def test_all_components_without_regularisation_are_least_squares():
    pairs = two_views()
    ridge = ADAPTERS.get("ridge")
    plain = mapped(ridge.fit(pairs, ridge.config(strength=0.0)), pairs.source)
    np.testing.assert_allclose(mapped(ENTRY.fit(pairs, ENTRY.config(strength=0.0)), pairs.source), plain, atol=1e-5)


def test_unweighted_components_keep_the_targets_covariance():
    pairs = two_views(source_dim=12, target_dim=9)
    out = mapped(ENTRY.fit(pairs, ENTRY.config(strength=0.0, weighting="none")), pairs.source)
    np.testing.assert_allclose(np.cov(out.T), np.cov(pairs.target.T), atol=1e-4)


def test_components_limit_the_rank():
    pairs = two_views()
    weight = ENTRY.fit(pairs, ENTRY.config(components=3)).matrix().numpy()
    assert np.linalg.matrix_rank(weight, tol=1e-5) == 3
    everything = ENTRY.fit(pairs, ENTRY.config(components=500)).matrix()
    np.testing.assert_array_equal(everything, ENTRY.fit(pairs).matrix())


def test_rotated_copies_come_back():
    x = np.random.default_rng(0).normal(size=(500, 10))
    turned = x @ np.linalg.qr(np.random.default_rng(1).normal(size=(10, 10)))[0] + 2
    fitted = ENTRY.fit(Pairs(x, turned), ENTRY.config(strength=0.0))
    assert np.abs(mapped(fitted, x) - turned).max() < 1e-5


def test_strength_is_the_best_of_naive_cross_validation():
    pairs = two_views(40, noise=0.5)
    parts, config, fold = collect(pairs.batches(), folds=5), ENTRY.config(), fold_of(np.arange(40), 5)
    errors = []
    for strength in STRENGTHS:
        error = 0.0
        for left_out in range(5):
            kept = pairs.take(np.flatnonzero(fold != left_out))
            x, y = pairs.source[fold == left_out].astype(float), pairs.target[fold == left_out]
            weight = transfer(statistics(kept), config, strength).numpy()
            x_mean, y_mean = kept.source.mean(0, dtype=float), kept.target.mean(0, dtype=float)
            error += (((x - x_mean) @ weight.T + y_mean - y) ** 2).sum()
        errors.append(error)
    chosen = choose_strength(parts, config)
    assert chosen == STRENGTHS[int(np.argmin(errors))]
    assert STRENGTHS[0] < chosen < STRENGTHS[-1]
