"""Rows that are not the same items are noticed; models that have little in common raise no alarm."""

import json

import numpy as np
import pytest

from compat_core.cli import main
from compat_core.vectors.alignment import misaligned_rows
from compat_core.vectors.outcome import with_costs
from tests.vectors.worlds import better_new, clustered, rotated


def network(rng, rows, dim):
    """An untrained network's outputs."""
    for width in (64, dim):
        rows = np.maximum(rows @ rng.standard_normal((rows.shape[1], width)) + rng.standard_normal(width), 0)
        rows = rows / rows.std()
    return rows.astype(np.float32)


def pair(seed, count=1_000):
    """Two untrained networks that see the same items, of 30 classes."""
    rng = np.random.default_rng(seed)
    _, items = clustered(rng, count=count, classes=30, dim=20, noise=1.0)
    order = rng.permutation(count)
    return network(rng, items[order], 16), network(rng, items[order], 300)


@pytest.mark.parametrize("seed", range(5))
def test_models_that_have_little_in_common_raise_no_alarm(seed):
    assert misaligned_rows(*pair(seed)) == []
    for given in (better_new(seed), better_new(seed, noise=2.0), rotated(seed)):
        assert misaligned_rows(given.old, given.new) == []


def test_one_shared_direction_is_enough():
    rng = np.random.default_rng(0)
    old, new = rng.standard_normal((1_000, 16)), rng.standard_normal((1_000, 16))
    new[:, 3] = old[:, 5]
    assert misaligned_rows(old, new) == []


def test_what_is_told_by_neighbours_only_is_told():
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 1_000)
    curve = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    turned = np.stack([np.cos(7 * angle), np.sin(7 * angle)], axis=1)  # no linear trace of it
    assert misaligned_rows(curve, np.column_stack([turned, 2 * curve[:, ::-1] ** 2])) == []


@pytest.mark.parametrize("seed", range(5))
def test_shuffled_rows_are_noticed(seed):
    old, new = pair(seed)
    (found,) = misaligned_rows(old, np.random.default_rng(seed).permutation(new))
    assert found.severity == "warn" and "do not seem to be the same items" in found.sentence
    assert misaligned_rows(old[:150], new[150:300]) == [], "too few to tell"


@pytest.mark.parametrize("shift", [1, -1, 3])
@pytest.mark.parametrize("by_class", [True, False])
def test_rows_off_by_a_few_are_noticed_with_the_number(shift, by_class):
    rng = np.random.default_rng(0)
    labels, items = clustered(rng, count=1_000, classes=10, noise=1.0)
    order = np.argsort(labels, kind="stable") if by_class else np.arange(1_000)
    old, new = network(rng, items[order], 16), network(rng, items[order], 24)
    (found,) = misaligned_rows(old, np.roll(new, shift, axis=0))
    assert f"row i {shift:+d} of new".replace(" -", " −") in found.sentence
    assert misaligned_rows(old, new) == []


def test_check_and_decide_say_so(tmp_path, capsys):
    given = better_new()
    rng = np.random.default_rng(0)
    files = {"old": given.old, "new": rng.permutation(given.new), "labels": given.labels}
    for name, array in files.items():
        np.save(tmp_path / f"{name}.npy", array)
    arguments = [word for name in files for word in (f"--{name}", str(tmp_path / f"{name}.npy"))]
    assert main(["check", *arguments]) == 0
    assert "do not seem to be the same items" in capsys.readouterr().out
    quick = ["--adapters", "ridge", "--judged", "200", "--queries", "80", "--out", str(tmp_path / "out")]
    assert main(["decide", *arguments, *quick]) == 0
    said = capsys.readouterr().out
    assert "Warning: the rows do not seem to be" in said and "Recommended: change nothing" not in said
    decided = json.loads((tmp_path / "out" / "decision.json").read_text())["decision"]
    assert decided["reason"].startswith("Look at this first: the rows do not seem to be the same items")
    from compat_core.vectors.bill import CostConfig

    assert with_costs(decided, CostConfig(**decided["config"]["costs"]))["reason"] == decided["reason"]
