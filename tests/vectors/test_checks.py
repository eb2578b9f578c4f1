"""The look before anything runs: what it must see, and where it must stay silent."""

import numpy as np
import pytest

from compat_core.adapters.labels import named_apart
from compat_core.vectors.checks import check_vectors, leakage, row_fault
from tests.vectors.worlds import better_new, clustered, rotation


def named(findings):
    return {finding.what: finding for finding in findings}


@pytest.fixture
def pair():
    given = better_new()
    return given.old.copy(), given.new.copy(), given.labels


def test_clean_vectors_give_only_facts(pair):
    found = check_vectors(*pair)
    assert {finding.severity for finding in found} == {"info"}
    assert "500 × 8 float32" in named(found)["shape and norms (old)"].sentence


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ["random", "rotated", "unit"])
def test_spaces_that_cannot_be_told_apart_raise_no_alarm(kind, seed):
    rng = np.random.default_rng(seed)
    old, new = (rng.standard_normal((2_000, 16)) for _ in range(2))
    if kind == "rotated":
        old = new @ rotation(rng, 16)
    elif kind == "unit":
        old, new = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (old, new))
    assert not [finding for finding in check_vectors(old, new) if "other model" in finding.what]


@pytest.mark.parametrize("share", [0.002, 0.05, 0.2])
def test_rows_of_the_other_model_are_named(share):
    rng = np.random.default_rng(0)
    _, new = clustered(rng, count=3_000, classes=30, dim=24)
    old = np.maximum(new @ rng.standard_normal((24, 24)), 0).astype(np.float32) + 0.01
    mixed = old.copy()
    rows = np.sort(rng.permutation(3_000)[: int(share * 3_000)])
    mixed[rows] = new[rows] + 0.05 * rng.standard_normal((len(rows), 24))
    assert "rows of the other model (old)" not in named(check_vectors(old, new))
    found = set(named(check_vectors(mixed, new))["rows of the other model (old)"].rows)
    assert len(found & set(rows)) > 0.9 * len(rows)
    assert len(found - set(rows)) <= 0.002 * 3_000


def test_nan_zero_duplicate_and_identical_rows(pair):
    old, new, labels = pair
    old[3] = 0
    old[9] = old[4]
    new[11] = old[11]
    found = named(check_vectors(old, new, labels))
    assert found["zero rows (old)"].rows == (3,)
    assert found["duplicate rows (old)"].rows == (9,)
    assert found["identical rows"].rows == (11,) and found["identical rows"].severity == "warn"
    new[7, 2] = np.nan
    stop = check_vectors(old, new, labels)[0]
    assert (stop.severity, stop.rows) == ("stop", (7,))


def test_what_stops(pair):
    old, new, labels = pair
    assert check_vectors(old, new[:-1])[0].severity == "stop"
    assert check_vectors(old, old, labels)[0].what == "identical rows"
    assert named(check_vectors(old, new, labels[:-1]))["number of labels"].severity == "stop"
    assert named(check_vectors(old, new, np.arange(500)))["labels"].severity == "stop"
    ids = np.arange(500).astype(str)
    ids[5] = "4"
    assert "4" in named(check_vectors(old, new, labels, ids))["duplicate ids"].sentence


def test_label_coverage(pair):
    old, new, labels = pair
    labels[0] = 99
    found = named(check_vectors(old, new, labels))["label coverage"]
    assert found.rows == (0,) and found.severity == "info"


def test_items_without_a_label_are_counted_and_are_no_class(pair):
    old, new, labels = pair
    known = np.arange(500) % 5 > 0
    found = named(check_vectors(old, new, named_apart(known, labels[known])))
    assert found["unlabelled items"].severity == "warn" and found["unlabelled items"].rows == tuple(range(0, 500, 5))
    assert found["unlabelled items"].sentence.startswith("100 of 500 items have no label")
    assert "12 labels over 400 items" in found["labels"].sentence and "label coverage" not in found
    alone = named_apart(known, np.arange(400))
    assert named(check_vectors(old, new, alone))["labels"].severity == "stop"


def test_one_label_for_all_stops_and_minus_one_is_pointed_at(pair):
    old, new, labels = pair
    found = named(check_vectors(old, new, np.zeros(500, dtype=int)))["labels"]
    assert found.severity == "stop" and "every item has the label 0" in found.sentence
    one_class = named_apart(np.arange(500) < 60, np.zeros(60, dtype=int))
    assert named(check_vectors(old, new, one_class))["labels"].severity == "info", "the others are distractors"
    minus = np.where(np.arange(500) < 30, -1, labels)
    found = named(check_vectors(old, new, minus))["label -1"]
    assert found.severity == "warn" and found.rows == tuple(range(30)) and "30 of 500" in found.sentence
    assert "label -1" in named(check_vectors(old, new, minus.astype(str)))
    assert "label -1" not in named(check_vectors(old, new, labels - 2)), "a scale with -2 on it"


def test_one_is_singular(pair):
    old, new, labels = pair
    old[9] = old[4]
    assert "1 row (0.2 %) repeats" in named(check_vectors(old, new, labels))["duplicate rows (old)"].sentence
    assert named(check_vectors(old, new, labels[:1]))["number of labels"].sentence == "1 label for 500 vectors"
    ids = np.array(["4" if row == 5 else str(row) for row in range(500)])
    assert named(check_vectors(old, new, ids=ids))["duplicate ids"].sentence.startswith("1 id occurs")
    assert row_fault(1, "rows", "old", 2) == "holds 1 row, old 2 rows: row i of both must be one item"


def test_leakage_counts_near_identical_vectors(pair):
    old, *_ = pair
    assert leakage(old[:250], old[250:]) == []
    judged = old[250:].copy()
    judged[:25] = old[:25] * 1.5  # the same direction is the same item under cosine
    (found,) = leakage(old[:250], judged)
    assert found.rows == tuple(range(25)) and "10.0 %" in found.sentence


def test_a_row_far_longer_than_the_others_is_warned_of():
    old, new = (np.random.default_rng(seed).standard_normal((50, 4)).astype(np.float32) for seed in (0, 1))
    old[3] *= 1e6
    long = [finding for finding in check_vectors(old, new) if finding.what.startswith("long rows")]
    assert [(finding.severity, finding.what, finding.rows) for finding in long] == [("warn", "long rows (old)", (3,))]
    old[3] *= 1e-4  # lengths differ as they may
    assert not [finding for finding in check_vectors(old, new) if finding.what.startswith("long rows")]
