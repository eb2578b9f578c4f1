import numpy as np
import pytest
import scipy.linalg

from compat_core.adapters import ADAPTERS, Pairs
from tests.adapters.views import cosines, mapped, orthogonal, two_views

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("name", ["procrustes", "procrustes-centred"])
@pytest.mark.parametrize("reflect", [False, True])
@pytest.mark.parametrize("normalise", [False, True])
def test_rotated_copies_are_recovered_exactly(name, reflect, normalise):
    dim = 64
    turn = orthogonal(dim)
    if (np.linalg.det(turn) < 0) != reflect:
        turn[:, 0] *= -1
    x, unseen = RNG.normal(size=(500, dim)), RNG.normal(size=(200, dim))
    entry = ADAPTERS.get(name)
    fitted = entry.fit(Pairs(x.astype(np.float32), (x @ turn).astype(np.float32)), entry.config(normalise=normalise))
    weight = fitted.matrix().double().numpy()
    np.testing.assert_allclose(weight.T @ weight, np.eye(dim), atol=1e-6)
    np.testing.assert_allclose(weight.T, turn, atol=1e-5)
    out = mapped(fitted, unseen)
    assert cosines(out, unseen @ turn).min() > 1 - 1e-6
    length = np.linalg.norm(unseen, axis=1, keepdims=True) if normalise else 1
    assert np.abs(out - unseen @ turn / length).max() <= 1e-5


def test_only_centred_undoes_a_shift():
    turn = orthogonal(8)
    x = RNG.normal(size=(300, 8)) + 4
    y = (x - 4) @ turn - 7
    centred, plain = (mapped(ADAPTERS.get(name).fit(Pairs(x, y)), x) for name in ("procrustes-centred", "procrustes"))
    assert np.abs(centred - y).max() <= 1e-5
    assert np.abs(plain - y).max() > 0.1


def test_equals_scipy():
    pairs = two_views(source_dim=9, target_dim=9)
    x, y = pairs.source.astype(np.float64), pairs.target.astype(np.float64)
    expected, _ = scipy.linalg.orthogonal_procrustes(x, y)
    np.testing.assert_allclose(ADAPTERS.get("procrustes").fit(pairs).matrix().T, expected, atol=1e-6)
    expected, _ = scipy.linalg.orthogonal_procrustes(x - x.mean(0), y - y.mean(0))
    np.testing.assert_allclose(ADAPTERS.get("procrustes-centred").fit(pairs).matrix().T, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["procrustes", "procrustes-centred"])
def test_no_other_orthogonal_matrix_does_better(name):
    pairs = two_views(source_dim=9, target_dim=9)
    fitted = ADAPTERS.get(name).fit(pairs)
    x = pairs.source - fitted.centre.numpy()
    y = pairs.target - fitted.offset.numpy()
    weight = fitted.matrix().double().numpy()
    best = ((x @ weight.T - y) ** 2).sum()
    for seed in range(20):
        skew = np.random.default_rng(seed).normal(size=(9, 9)) * 0.1
        other = scipy.linalg.expm(skew - skew.T) @ weight
        assert ((x @ other.T - y) ** 2).sum() > best


def test_into_more_dimensions_it_embeds_without_distortion():
    x = RNG.normal(size=(200, 6))
    frame = orthogonal(10)[:6]  # orthonormal rows
    fitted = ADAPTERS.get("procrustes").fit(Pairs(x, x @ frame))
    weight = fitted.matrix().double().numpy()
    np.testing.assert_allclose(weight.T @ weight, np.eye(6), atol=1e-6)
    assert np.abs(mapped(fitted, x) - x @ frame).max() <= 1e-5


def test_into_fewer_dimensions_it_projects_and_agrees_most_with_the_targets():
    x = RNG.normal(size=(200, 10))
    frame = orthogonal(10)[:, :6]  # orthonormal columns
    y = x @ frame + 0.1 * RNG.normal(size=(200, 6))
    weight = ADAPTERS.get("procrustes").fit(Pairs(x, y)).matrix().double().numpy()
    np.testing.assert_allclose(weight @ weight.T, np.eye(6), atol=1e-6)
    agreement = np.trace(weight @ x.T @ y)
    for seed in range(20):
        other = orthogonal(10, seed)[:6]
        assert np.trace(other @ x.T @ y) < agreement
    np.testing.assert_allclose(weight.T, frame, atol=0.15)
