"""Rows that are not the same items are noticed; models that have little in common raise no alarm."""

import json

import numpy as np
import pytest

from compat_core.cli import main
from compat_core.vectors.alignment import PARTS, misaligned_rows
from compat_core.vectors.given import Given
from compat_core.vectors.outcome import with_costs
from tests.vectors.worlds import better_new, clustered, rotated, rotation


def many() -> Given:
    """Items that differ within their class, in no order."""
    rng = np.random.default_rng(0)
    labels, new = clustered(rng, count=5_000, classes=50, noise=1.0)
    order, blur = rng.permutation(5_000), 0.5 * rng.standard_normal(new.shape).astype(np.float32)
    return Given((new @ rotation(rng) + blur)[order], new[order], labels[order])


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


@pytest.mark.parametrize("gap", [2_500, 3_800])
@pytest.mark.parametrize("by_class", [True, False])
def test_a_row_that_is_missing_in_the_middle_is_noticed_with_its_place(gap, by_class):
    given = many()
    order = np.argsort(given.labels, kind="stable") if by_class else np.arange(5_000)
    old, new = given.old[order], given.new[order]
    assert misaligned_rows(old, new) == []
    (found,) = misaligned_rows(old, np.concatenate([new[:gap], new[gap + 1 :], new[:1]]))
    assert "row i of old fits row i −1 of new better" in found.sentence and "elsewhere they do" in found.sentence
    place = int(found.sentence.partition("from about row ")[2].split(" ")[0].replace(",", ""))
    assert gap <= place < gap + 2 * 5_000 / PARTS


def test_shards_in_another_order_are_noticed_and_a_part_that_is_hard_to_map_is_not():
    given = many()
    new = given.new.copy()
    new[1_000:2_000], new[3_000:4_000] = given.new[3_000:4_000], given.new[1_000:2_000]
    (found,) = misaligned_rows(given.old, new)
    assert "agree as on shuffled rows only" in found.sentence
    rng = np.random.default_rng(0)
    noisy = given.new + rng.standard_normal(given.new.shape) * given.new.std() * np.linspace(0, 4, 5_000)[:, None]
    assert misaligned_rows(given.old, noisy) == []


def test_check_and_decide_say_so(tmp_path, capsys):
    given = better_new()
    rng = np.random.default_rng(0)
    files = {"old": given.old, "new": rng.permutation(given.new), "labels": given.labels}
    for name, array in files.items():
        np.save(tmp_path / f"{name}.npy", array)
    arguments = [word for name in files for word in (f"--{name}", str(tmp_path / f"{name}.npy"))]
    assert main(["check", *arguments]) == 3
    assert "do not seem to be the same items" in capsys.readouterr().out
    pair = [word for name in ("old", "new") for word in (f"--{name}", str(tmp_path / f"{name}.npy"))]
    assert main(["fit-map", *pair, "--adapter", "ridge", "--out", str(tmp_path / "map")]) == 0
    assert "warn: the rows do not seem to be the same items" in capsys.readouterr().err
    quick = ["--adapters", "ridge", "--judged", "200", "--queries", "80", "--out", str(tmp_path / "out")]
    assert main(["decide", *arguments, *quick]) == 0
    said = capsys.readouterr().out
    assert "Warning: the rows do not seem to be" in said and "Recommended: change nothing" not in said
    decided = json.loads((tmp_path / "out" / "decision.json").read_text())["decision"]
    assert decided["reason"].startswith("Look at this first: the rows do not seem to be the same items")
    from compat_core.vectors.bill import CostConfig

    assert with_costs(decided, CostConfig(**decided["config"]["costs"]))["reason"] == decided["reason"]


def scattered(new, share, seed):
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(new))[: int(share * len(new))]
    mixed = new.copy()
    mixed[rows] = new[rng.permutation(rows)]
    return mixed


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_wrong_rows_that_lie_scattered_are_noticed_with_their_share(share, seed):
    given = many()
    (found,) = misaligned_rows(given.old, scattered(given.new, share, seed), seed)
    assert "scattered over the files" in found.sentence
    said = int(found.sentence.removeprefix("about ").partition(" ")[0]) / 100
    assert said == pytest.approx(share, abs=0.1)


@pytest.mark.parametrize("seed", range(10))
def test_rows_that_are_hard_to_predict_are_not_wrong(seed):
    """A fifth of the items is blurred as much again as items differ: agreement falls, and to nothing of none."""
    rng = np.random.default_rng(seed)
    _, new = clustered(rng, count=2_000, classes=30, noise=1.0)
    blur = np.where(rng.random(2_000) < 0.2, 1.0, 0.2)[:, None] * new.std()
    assert misaligned_rows(new @ rotation(rng) + blur * rng.standard_normal(new.shape), new, seed) == []
