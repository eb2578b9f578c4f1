"""Subgroup means and gaps against loops, and the gap's interval against a known spread."""

import numpy as np
import pytest

from compat_core.errors import CompatError
from compat_core.metrics.subgroups import subgroup_curves, subgroup_scores


def test_against_loops():
    rng = np.random.default_rng(0)
    values, groups = rng.random(50), rng.choice(["b", "a", "c"], 50)
    values[rng.random(50) < 0.2] = np.nan
    found = subgroup_scores(values, groups, resamples=200)
    means = {}
    for name in sorted(set(groups)):
        kept = [v for v, g in zip(values, groups, strict=True) if g == name and v == v]
        means[name] = sum(kept) / len(kept)
    assert {group.name: group.value.estimate for group in found.groups} == pytest.approx(means)
    assert found.best == max(means, key=means.get) and found.worst == min(means, key=means.get)
    assert found.gap.estimate == pytest.approx(max(means.values()) - min(means.values()))
    assert found.gap.low <= found.gap.estimate <= found.gap.high


def test_the_gaps_interval_has_the_spread_of_two_independent_means():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(1, 1, 400), rng.normal(0, 2, 400)])
    found = subgroup_scores(values, np.repeat([0, 1], 400), resamples=4000)
    expected = 2 * 1.96 * np.sqrt(values[:400].var() / 400 + values[400:].var() / 400)
    assert found.gap.high - found.gap.low == pytest.approx(expected, rel=0.06)


def test_equal_columns_are_resampled_independently():
    column = np.random.default_rng(2).random(100)
    found = subgroup_scores(np.tile(column, 2), np.repeat([0, 1], 100), resamples=500)
    assert found.gap.estimate == 0 or found.best != found.worst
    assert found.groups[0].value.low != found.groups[1].value.low


def test_skipped_groups_are_left_out():
    found = subgroup_scores([0.2, 0.4, np.nan, 0.6], [0, 1, 2, 1], resamples=50)
    assert [(group.name, group.num_queries) for group in found.groups] == [("0", 1), ("1", 2)]


def test_curves_against_loops():
    values, groups = np.random.default_rng(3).random((5, 12)), [0, 1, 2] * 4
    curves, gap = subgroup_curves(values, groups)
    for point in range(5):
        means = [np.mean([values[point, q] for q in range(12) if groups[q] == name]) for name in range(3)]
        assert [curves[str(name)][point] for name in range(3)] == pytest.approx(means)
        assert gap[point] == pytest.approx(max(means) - min(means))


@pytest.mark.parametrize("values, groups", [([0.1, 0.2], [0]), ([0.1, 0.2], [0, 0]), ([np.nan, 0.2], [0, 1])])
def test_errors(values, groups):
    with pytest.raises(CompatError, match="groups"):
        subgroup_scores(values, groups)
    if not np.isnan(values).any():
        with pytest.raises(CompatError, match="groups"):
            subgroup_curves(np.array([values]), groups)
