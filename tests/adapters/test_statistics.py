import numpy as np
import pytest
import torch

from compat_core.adapters import PairStatistics, collect, merged
from compat_core.adapters.statistics import fold_of
from compat_core.errors import CompatError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(500, 6)) + 2, RNG.normal(size=(500, 4)) - 1


def slices(rows, x=X, y=Y):
    return ((x[start : start + rows], y[start : start + rows]) for start in range(0, len(x), rows))


def check(statistics, x=X, y=Y, rtol=1e-11):
    assert statistics.count == len(x)
    np.testing.assert_allclose(statistics.source_mean, x.mean(0), rtol=rtol)
    np.testing.assert_allclose(statistics.target_mean, y.mean(0), rtol=rtol)
    xc, yc = x - x.mean(0), y - y.mean(0)
    for moment, expected in ((statistics.source_moment, xc.T @ xc), (statistics.cross_moment, xc.T @ yc),
                             (statistics.target_moment, yc.T @ yc)):  # fmt: skip
        np.testing.assert_allclose(moment, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


@pytest.mark.parametrize("rows", [1, 7, 64, 500, 10_000])
def test_streamed_equals_all_at_once(rows):
    (statistics,) = collect(slices(rows))
    check(statistics)
    np.testing.assert_allclose(statistics.raw_cross_moment(), X.T @ Y, rtol=1e-11)
    np.testing.assert_allclose(statistics.raw_source_moment(), X.T @ X, rtol=1e-11)


def test_merge_equals_all_at_once_and_leaves_the_other_alone():
    first, second = PairStatistics(6, 4).update(X[:123], Y[:123]), PairStatistics(6, 4).update(X[123:], Y[123:])
    before = second.cross_moment.clone()
    check(first.merge(second).merge(PairStatistics(6, 4)))
    assert torch.equal(second.cross_moment, before) and second.count == 377


def test_folds_are_disjoint_together_everything_and_independent_of_the_batches():
    parts = collect(slices(33), folds=5)
    check(merged(parts))
    fold = fold_of(np.arange(500), 5)
    for index, (part, again) in enumerate(zip(parts, collect(slices(250), folds=5), strict=True)):
        check(part, X[fold == index], Y[fold == index])
        assert part.count == again.count
        np.testing.assert_allclose(part.cross_moment, again.cross_moment, rtol=1e-11, atol=1e-9)
    assert np.bincount(fold).min() > 70
    # neighbours scatter: in a file sorted by class every fold sees every class
    assert len(set(fold_of(np.arange(20), 5))) == 5


def test_the_fewest_pairs_that_are_split_fill_two_folds():
    assert len(set(fold_of(np.arange(10), 5).tolist())) >= 2


def test_normalised_rows():
    (statistics,) = collect(slices(64), normalise=True)
    unit = X / np.linalg.norm(X, axis=1, keepdims=True)
    check(statistics, unit, Y / np.linalg.norm(Y, axis=1, keepdims=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int32, ">f8"])
def test_sums_run_in_float64_whatever_comes_in(dtype):
    x, y = (10 * X).astype(dtype), (10 * Y).astype(dtype)
    (statistics,) = collect(slices(50, x, y))
    check(statistics, x.astype(np.float64), y.astype(np.float64))
    (from_torch,) = collect((torch.tensor(a.astype(np.float32)), b.astype(np.float32)) for a, b in slices(50, x, y))
    assert from_torch.count == 500


def test_far_from_the_origin_no_digits_are_lost():
    """Raw sums of squares would keep about 16 − 2·7 = 2 digits of this covariance."""
    x, y = X + 1e7, Y - 1e7
    check(collect(slices(100, x, y))[0], x, y, rtol=1e-7)


def test_squared_error():
    (statistics,) = collect(slices(100))
    weight, centre, offset = RNG.normal(size=(4, 6)), RNG.normal(size=6), RNG.normal(size=4)
    expected = (((X - centre) @ weight.T + offset - Y) ** 2).sum()
    found = statistics.squared_error(*(torch.tensor(value) for value in (weight, centre, offset)))
    assert float(found) == pytest.approx(expected, rel=1e-10)


def test_bad_input():
    with pytest.raises(CompatError, match="batch of pairs"):
        PairStatistics(6, 4).update(X, Y[:, :3])
    with pytest.raises(CompatError, match="batch of pairs"):
        collect([(X, Y), (X, Y[:-1])], folds=3)
    with pytest.raises(CompatError, match="batch of pairs"):
        collect([(X, Y), (X[:, :5], Y)])
    with pytest.raises(CompatError, match="statistics to merge"):
        PairStatistics(6, 4).merge(PairStatistics(6, 3))
    with pytest.raises(CompatError, match="at least one batch"):
        collect([])


def test_gpu_sums_equal_cpu_sums(gpu):
    (statistics,) = collect(slices(100), device=gpu)
    assert statistics.cross_moment.is_cuda
    check(merged([PairStatistics(6, 4), statistics]))
