import numpy as np
import pytest

from compat_core.errors import CompatError
from compat_core.metrics import bootstrap as bootstrap_module
from compat_core.metrics import bootstrap_difference, bootstrap_mean, bootstrap_means, bootstrap_ratio


def naive(values, resamples, seed):
    rng = np.random.default_rng(seed)
    return np.array([np.mean([values[i] for i in rng.integers(0, len(values), len(values))]) for _ in range(resamples)])


def test_agrees_with_a_naive_loop():
    values = np.random.default_rng(0).exponential(size=80)
    found = bootstrap_mean(values, resamples=20_000)
    expected = np.quantile(naive(values, 4_000, seed=7), [0.025, 0.975])
    assert found.estimate == pytest.approx(values.mean())
    np.testing.assert_allclose([found.low, found.high], expected, atol=0.02)


def test_resampled_means_have_the_textbook_spread():
    values = np.random.default_rng(1).normal(size=(300, 2))
    means = bootstrap_means(values, 8_000)
    np.testing.assert_allclose(means.mean(axis=0), values.mean(axis=0), atol=0.003)
    np.testing.assert_allclose(means.std(axis=0), values.std(axis=0) / np.sqrt(300), rtol=0.03)


def test_columns_share_their_draws():
    values = np.random.default_rng(2).normal(size=50)
    means = bootstrap_means(np.stack([values, values + 1, -values], axis=1), 200)
    np.testing.assert_allclose(means[:, 1] - means[:, 0], 1.0)
    np.testing.assert_allclose(means[:, 2], -means[:, 0])


def test_pairing_narrows_the_difference():
    rng = np.random.default_rng(3)
    hard = rng.normal(size=400)
    a, b = hard + 0.1 + 0.01 * rng.normal(size=400), hard
    found = bootstrap_difference(a, b, resamples=2_000)
    assert found.low > 0.09 and found.high < 0.11
    assert bootstrap_mean(a, 2_000).high - bootstrap_mean(a, 2_000).low > 0.1


def test_seeded_and_independent_of_the_block_size(monkeypatch):
    values = np.random.default_rng(4).normal(size=(37, 1))
    one, two, other = bootstrap_means(values, 500), bootstrap_means(values, 500), bootstrap_means(values, 500, seed=1)
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()
    monkeypatch.setattr(bootstrap_module, "BLOCK_ENTRIES", 74)
    assert bootstrap_means(values, 500).shape == (500, 1)


def test_coverage_is_about_nominal():
    rng = np.random.default_rng(5)
    covered = 0
    for trial in range(200):
        found = bootstrap_mean(rng.binomial(1, 0.3, size=150).astype(float), resamples=600, seed=trial)
        covered += found.low <= 0.3 <= found.high
    assert 0.89 <= covered / 200 <= 0.99


def test_skipped_queries_are_left_out():
    values = np.array([0.2, np.nan, 0.4, 0.9])
    assert bootstrap_mean(values, 100).estimate == pytest.approx(0.5)
    assert bootstrap_difference(values, values / 2, 100).estimate == pytest.approx(0.25)


def test_ratio():
    rng = np.random.default_rng(6)
    full = 0.4 + 0.1 * rng.normal(size=500)
    found = bootstrap_ratio(0.5 * full + 0.02 * rng.normal(size=500), full, resamples=2_000)
    assert found is not None and found.low < 0.5 < found.high and found.high - found.low < 0.05


def test_ratio_without_a_gain_or_with_a_doubtful_one():
    rng = np.random.default_rng(7)
    assert bootstrap_ratio(np.ones(10), -np.ones(10), 100) is None
    assert bootstrap_ratio(np.ones(10), np.zeros(10), 100) is None
    doubtful = rng.normal(size=40)
    doubtful += 0.01 - doubtful.mean()
    found = bootstrap_ratio(np.ones(40), doubtful, 500)
    assert found is not None and np.isnan(found.low)
    assert found.row() == {"value": pytest.approx(100.0), "ci_low": None, "ci_high": None}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap_mean(np.array([np.nan])), "all skipped"),
        (lambda: bootstrap_difference(np.ones(3), np.ones(4)), "one number per query"),
        (lambda: bootstrap_difference(np.array([1.0, np.nan]), np.array([np.nan, 1.0])), "different skipped"),
        (lambda: bootstrap_mean(np.ones(3), resamples=0), "resamples"),
        (lambda: bootstrap_mean(np.ones(3), level=1.0), "level"),
        (lambda: bootstrap_means(np.ones(3)), "shape"),
        (lambda: bootstrap_means(np.array([[np.inf]])), "infinite"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(CompatError, match=message):
        call()


def test_resamples_without_a_gain_count_as_an_unbounded_ratio():
    from compat_core.metrics.bootstrap import ratio_interval

    bottom = np.r_[-1.0, np.linspace(0.5, 1.0, 99)]  # one of a hundred below zero: outside the interval of 95 %
    kept = ratio_interval(0.5, np.full(100, 0.5), 0.75, bottom)
    assert kept.low == pytest.approx(0.5, abs=0.02) and kept.high == pytest.approx(1.0, abs=0.03)


def test_a_resample_that_counts_nothing_leaves_a_ratio_without_bounds():
    """The gain itself then has none either (``Means`` over queries of which some count no trial)."""
    from compat_core.metrics.bootstrap import ratio_interval

    bottom = np.full(1_000, 0.5)
    bottom[0] = np.nan
    found = ratio_interval(0.25, np.where(np.isnan(bottom), np.nan, 0.25), 0.5, bottom)
    assert found.estimate == 0.5 and np.isnan([found.low, found.high]).all()


def test_draws_are_kept_for_what_a_run_asks_in_turn_and_the_longest_unasked_goes(monkeypatch):
    drawn = []
    draws = bootstrap_module._draws
    monkeypatch.setattr(bootstrap_module, "_KEPT", bootstrap_module._KeptDraws())
    monkeypatch.setattr(bootstrap_module, "_draws", lambda *key: drawn.append(key[0]) or draws(*key))

    def newly_drawn(*sizes):
        drawn.clear()
        for size in sizes:
            bootstrap_means(np.arange(size, dtype=np.float64)[:, None], 50)
        return drawn

    in_turn = (100, 60, 40, 30, 20)  # all queries, two subgroups, the backfill's queries, …
    assert newly_drawn(*in_turn, *in_turn) == list(in_turn)
    monkeypatch.setattr(bootstrap_module, "KEPT_BYTES", 10_000)  # a byte for each query of each of 50 resamples
    monkeypatch.setattr(bootstrap_module, "_KEPT", bootstrap_module._KeptDraws())
    assert newly_drawn(100, 60, 100, 50, 100) == [100, 60, 50]
    assert newly_drawn(50, 60) == [60]
    assert newly_drawn(110, 110) == [110, 110]  # too many to be kept beside others
