import numpy as np
import pytest

from compat_core.adapters import ADAPTERS, Pairs
from tests.adapters.views import mapped, orthogonal, two_views

ENTRY = ADAPTERS.get("residual-mlp")


def test_overfits_a_tiny_set():
    pairs = two_views(count=40)
    config = ENTRY.config(steps=800, batch_size=40, lr=1e-2, weight_decay=0.0, held_out=0.0)
    error = np.abs(mapped(ENTRY.fit(pairs, config), pairs.source) - pairs.target)
    ridge = np.abs(mapped(ADAPTERS.get("ridge").fit(pairs), pairs.source) - pairs.target)
    assert error.max() < 0.02 < ridge.max()


@pytest.mark.parametrize(("skip", "base"), [("ridge", "ridge"), ("procrustes", "procrustes-centred")])
def test_without_training_it_is_its_skip(skip, base):
    """lr 0: the network still says zero. Spaces of equal scale, so that Procrustes' rotation is the same in both."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 9)) + 1
    pairs = Pairs(x, (x @ orthogonal(9)) + 0.01 * rng.normal(size=(200, 9)))
    fitted = ENTRY.fit(pairs, ENTRY.config(skip=skip, steps=1, lr=0.0, held_out=0.0))
    expected = mapped(ADAPTERS.get(base).fit(pairs), x)
    np.testing.assert_allclose(mapped(fitted, x), expected, atol=2e-3 if skip == "procrustes" else 1e-5)


def test_identity_skip_changes_nothing_between_equal_spaces():
    x = np.random.default_rng(0).normal(size=(100, 9))
    fitted = ENTRY.fit(Pairs(x, x), ENTRY.config(skip="identity", steps=50))
    assert np.abs(mapped(fitted, x) - x).max() < 1e-4  # the start is the best state, and is kept


def test_learns_what_a_straight_map_misses_and_does_not_lose_where_there_is_nothing():
    rng = np.random.default_rng(0)
    x, unseen = rng.normal(size=(2000, 4)), rng.normal(size=(500, 4))
    weight = rng.normal(size=(4, 6))

    def bent(rows):
        return np.abs(rows @ weight)

    pairs = Pairs(x, bent(x))
    config = ENTRY.config(steps=400, lr=5e-3)
    straight, curved = (
        ((mapped(fitted, unseen) - bent(unseen)) ** 2).mean()
        for fitted in (ADAPTERS.get("ridge").fit(pairs), ENTRY.fit(pairs, config))
    )
    assert curved < 0.2 * straight

    noise = Pairs(x[:100], rng.normal(size=(100, 6)))  # nothing to learn: the held-out pairs say stop at once
    target = rng.normal(size=(500, 6))
    straight, curved = (
        ((mapped(fitted, unseen) - target) ** 2).mean()
        for fitted in (ADAPTERS.get("ridge").fit(noise), ENTRY.fit(noise, config))
    )
    assert curved < 1.1 * straight
