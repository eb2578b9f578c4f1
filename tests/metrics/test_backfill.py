"""Backfill curves point by point against a gallery put together by hand."""

import numpy as np
import pytest

from compat_core.errors import CompatError
from compat_core.metrics import backfill, evaluate_retrieval
from compat_core.metrics.backfill import (
    BackfillCurve,
    backfill_curves,
    backfill_curves_of_orders,
    backfill_points,
)
from compat_core.metrics.backfill_share import shares_for_gains
from compat_core.retrieval import compiled


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 6
    new = np.eye(6)[labels] + 0.3 * rng.normal(size=(60, 6))
    old = np.eye(6)[labels] + 1.5 * rng.normal(size=(60, 6))
    return old.astype(np.float32), new.astype(np.float32), labels


def test_points_are_fastfills():
    assert backfill_points(21).tolist() == list(range(22))
    assert backfill_points(100)[[0, 1, -2, -1]].tolist() == [0, 4, 95, 100]
    assert len(backfill_points(7)) == 22


def test_every_point_equals_a_gallery_put_together_by_hand(world):
    old, new, labels = world
    order = np.random.default_rng(1).permutation(60)
    ids = np.arange(60)
    curves = backfill_curves(new, labels, old, new, labels, order, ids, ids, steps=4, device="cpu")
    for place, count in enumerate([0, 12, 24, 36, 48, 60]):
        gallery = np.array([new[row] if row in order[:count] else old[row] for row in range(60)])
        scores = evaluate_retrieval(new, labels, gallery, labels, ids, ids, device="cpu")
        assert curves["mAP"].values[place] == pytest.approx(scores.mean_ap, abs=1e-12)
        assert curves["CMC@1"].values[place] == pytest.approx(scores.cmc[1], abs=1e-12)


@pytest.mark.skipif(not compiled.available(), reason="numba is not installed")
@pytest.mark.parametrize("distance", ["cosine", "l2", "dot"])
@pytest.mark.parametrize("kind", ["spread", "ties", "one class", "disjoint", "equal galleries"])
def test_followed_curves_equal_evaluating_every_step(kind, distance, world, monkeypatch):
    old, new, labels = world
    query, query_labels, ids = new, labels, (np.arange(60), np.arange(60))
    if kind == "ties":
        old, new, query = np.round(old), np.round(new), np.round(new)
    elif kind == "one class":
        labels = query_labels = np.minimum(labels, 1)
    elif kind == "disjoint":
        query, query_labels, ids = new[:20] + 0.1, labels[:20], (None, None)
    elif kind == "equal galleries":
        old = new
    orders = [np.random.default_rng(seed).permutation(60) for seed in range(3)]

    def curves():
        return backfill_curves_of_orders(
            query, query_labels, old, new, labels, orders, *ids, distance=distance, device="cpu",
            metrics=("mAP", "CMC@1", "CMC@5"),
        )  # fmt: skip

    monkeypatch.setattr(backfill, "WORTH_COMPILING", np.inf)
    expected = curves()
    monkeypatch.setattr(backfill, "WORTH_COMPILING", 0)
    for found, wanted in zip(curves(), expected, strict=True):
        for name in wanted:
            np.testing.assert_allclose(found[name].per_query, wanted[name].per_query, atol=1e-9, rtol=0)
            np.testing.assert_array_equal(found[name].shares, wanted[name].shares)


@pytest.mark.skipif(not compiled.available(), reason="numba is not installed")
def test_more_steps_than_16_bits_count(world, monkeypatch):
    old, new, labels = world
    order = np.random.default_rng(1).permutation(60)
    monkeypatch.setattr(backfill, "WORTH_COMPILING", 0)
    few, many = (
        backfill_curves(new[:3], labels[:3], old, new, labels, order, steps=steps, device="cpu")["mAP"].per_query
        for steps in (59, 66_000)
    )
    np.testing.assert_array_equal(many, few[backfill_points(60, 66_000)])


def test_areas_by_hand():
    curve = backfill.BackfillCurve("mAP", np.array([0.0, 0.5, 1.0]), np.array([[0.2, 0.4], [0.6, 0.6], [0.8, 1.0]]))
    assert curve.values.tolist() == pytest.approx([0.3, 0.6, 0.9])
    assert curve.auc == pytest.approx(0.6)
    assert curve.trapezoid == pytest.approx(0.6)
    assert curve.auc_per_query.mean() == pytest.approx(curve.auc)


@pytest.mark.parametrize("queries", [100, 300])
def test_a_part_that_is_met_exactly_is_kept_whatever_is_rounded(queries):
    for first in range(queries):
        for gained in range(20, queries - first + 1, 20):
            hits = np.zeros((3, queries))
            for point, count in enumerate((first, first + gained * 19 // 20, first + gained)):
                hits[point, :count] = 1
            curve = BackfillCurve("CMC@1", np.array([0.0, 0.5, 1.0]), hits)
            assert curve.share_for(0.95) == 0.5
    few = BackfillCurve("CMC@1", np.array([0.0, 0.5, 1.0]), hits)
    assert shares_for_gains(few, [0.95], resamples=50)[0].share == 0.5


def test_share_for_a_part_of_the_gain():
    shares = np.linspace(0, 1, 5)
    curve = backfill.BackfillCurve("mAP", shares, np.array([[0.0], [0.5], [0.96], [0.9], [1.0]]))
    assert curve.share_for(0.4) == 0.25
    assert curve.share_for(0.95) == 1.0, "a later fall below the target counts"
    assert curve.share_for(0.9) == 0.5
    flat = BackfillCurve("mAP", shares, np.ones((5, 1)))
    assert flat.share_for(0.9) is None


def test_errors(world):
    old, new, labels = world
    with pytest.raises(CompatError, match="every gallery row"):
        backfill_curves(new, labels, old, new, labels, np.zeros(60, dtype=int))


def test_the_whole_gain_is_reached_by_the_last_point_however_it_is_rounded():
    curve = backfill.BackfillCurve("mAP", np.array([0.0, 1.0]), np.array([[0.02], [0.06]]))
    assert curve.share_for(1.0) == 1.0
