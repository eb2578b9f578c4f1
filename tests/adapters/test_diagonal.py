import numpy as np
import pytest

from compat_core.adapters import ADAPTERS, Pairs
from compat_core.adapters.diagonal import BASES
from tests.adapters.views import mapped, orthogonal, two_views

ENTRY = ADAPTERS.get("diagonal")


def test_bases_are_all_other_closed_forms():
    assert set(BASES) == {entry.name for entry in ADAPTERS if entry.closed_form} - {"diagonal"}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize(("source_dim", "target_dim"), [(12, 9), (9, 12)])
def test_factors_are_least_squares_on_what_the_base_gives(base, normalise, source_dim, target_dim):
    pairs = two_views(source_dim=source_dim, target_dim=target_dim)
    under = ADAPTERS.get(base)
    first = mapped(under.fit(pairs, under.config(normalise=normalise)), pairs.source).astype(float)
    y = pairs.target.astype(float)
    if normalise:
        y /= np.linalg.norm(y, axis=1, keepdims=True)
    expected = np.empty_like(y)
    for column in range(target_dim):
        m = first[:, column]
        if base == "procrustes":
            expected[:, column] = m * (m @ y[:, column] / (m @ m))
        elif m.std() < 1e-6:  # a padded component
            expected[:, column] = y[:, column].mean()
        else:
            slope, intercept = np.polyfit(m, y[:, column], 1)
            expected[:, column] = slope * m + intercept
    out = mapped(ENTRY.fit(pairs, ENTRY.config(base=base, normalise=normalise)), pairs.source)
    np.testing.assert_allclose(out, expected, atol=2e-5)


@pytest.mark.parametrize("base", ["procrustes", "procrustes-centred"])
def test_rescaled_axes_are_undone(base):
    rng = np.random.default_rng(0)
    x, turn, factors = rng.normal(size=(5000, 6)), orthogonal(6), np.array([0.2, 0.5, 1, 2, 4, 8])
    pairs = Pairs(x, x @ turn * factors)
    under, over = (mapped(entry.fit(pairs, config), x) - pairs.target for entry, config in
                   ((ADAPTERS.get(base), None), (ENTRY, ENTRY.config(base=base))))  # fmt: skip
    assert (over**2).mean() < 0.02 * (under**2).mean()


@pytest.mark.parametrize("base", BASES)
def test_it_never_fits_worse_than_its_base(base):
    pairs = two_views()
    under = ((mapped(ADAPTERS.get(base).fit(pairs), pairs.source) - pairs.target) ** 2).sum()
    over = ((mapped(ENTRY.fit(pairs, ENTRY.config(base=base)), pairs.source) - pairs.target) ** 2).sum()
    assert over <= under * (1 + 1e-6)
