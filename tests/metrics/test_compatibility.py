import json

import numpy as np
import pytest

from compat_core.errors import CompatError
from compat_core.metrics import (
    cost_to_new,
    evaluate_retrieval,
    evaluation_summary,
    flips,
    gain,
    per_class,
    recovered_gain,
    update_gain,
    verdict,
)


def evaluation(noise, seed=0, num=240, classes=8):
    """Embeddings that are class centres plus noise: less noise is a better model."""
    rng = np.random.default_rng(seed)
    labels = np.arange(num) % classes
    centres = np.random.default_rng(99).normal(size=(classes, 16))
    vectors = centres[labels] + noise * rng.normal(size=(num, 16))
    return evaluate_retrieval(vectors, labels, vectors, labels, np.arange(num), np.arange(num), device="cpu")


OLD, CROSS, PARAGON = evaluation(2.0), evaluation(1.3), evaluation(0.7)


@pytest.mark.parametrize("metric", ["CMC@1", "mAP", "top-1"])
def test_verdicts(metric):
    better = verdict(CROSS, OLD, metric, resamples=2_000)
    assert better.outcome == "compatible" and better.difference.low > 0
    worse = verdict(OLD, CROSS, metric, resamples=2_000)
    assert worse.outcome == "not compatible" and worse.difference.high < 0
    assert better.metric in ("CMC@1", "mAP")


def test_equal_is_not_compatible():
    """BCT's criterion is strict."""
    assert verdict(OLD, OLD, resamples=200).outcome == "not compatible"


def test_a_hair_better_is_undecided():
    found = verdict(evaluation(1.98), OLD, "CMC@1", resamples=2_000)
    assert found.outcome == "undecided"
    assert found.difference.low <= 0 < found.difference.high


def test_gains_follow_their_definitions():
    share = (CROSS.mean_ap - OLD.mean_ap) / (PARAGON.mean_ap - OLD.mean_ap)
    recovered, update = (f(CROSS, OLD, PARAGON, "mAP", resamples=1_000) for f in (recovered_gain, update_gain))
    assert recovered is not None and recovered == update
    assert recovered.estimate == pytest.approx(share) and recovered.low < share < recovered.high
    assert gain(CROSS, OLD, "mAP", resamples=500).estimate == pytest.approx(CROSS.mean_ap - OLD.mean_ap)
    cost = cost_to_new(PARAGON, CROSS, "CMC@1", resamples=500)
    assert cost.estimate == pytest.approx(PARAGON.cmc[1] - CROSS.cmc[1])


def test_update_gain_is_a_dash_when_not_compatible_but_the_recovered_gain_is_negative():
    assert update_gain(evaluation(4.0), OLD, PARAGON, resamples=200) is None
    assert update_gain(OLD, OLD, PARAGON, resamples=200) is None
    recovered = recovered_gain(evaluation(4.0), OLD, PARAGON, resamples=200)
    assert recovered is not None and recovered.estimate < 0


def test_a_new_model_no_better_than_the_old_has_no_gain_to_recover():
    assert recovered_gain(CROSS, OLD, evaluation(3.0), resamples=200) is None


def test_flips_are_counted_on_the_same_queries():
    found = flips(OLD, CROSS)
    before, now = OLD.per_query.first_hit_rank == 1, CROSS.per_query.first_hit_rank == 1
    assert found.negative == pytest.approx(np.mean(before & ~now))
    assert found.positive == pytest.approx(np.mean(~before & now))
    assert (found.negative_mask == (before & ~now)).all() and not (found.negative_mask & found.positive_mask).any()
    assert found.positive - found.negative == pytest.approx(CROSS.cmc[1] - OLD.cmc[1])


def test_flips_ignore_skipped_queries():
    gallery = np.eye(3)
    old = evaluate_retrieval(gallery, [0, 1, 9], gallery, [0, 1, 2], device="cpu")
    new = evaluate_retrieval(gallery[[1, 1, 1]], [0, 1, 9], gallery, [0, 1, 2], device="cpu")
    found = flips(old, new)
    assert found.negative == 0.5 and found.positive == 0.0
    assert found.negative_mask.tolist() == [True, False, False]


def test_different_queries_are_refused():
    with pytest.raises(CompatError, match="same queries"):
        verdict(evaluation(1.0, num=80), OLD)
    with pytest.raises(CompatError, match="same queries"):
        flips(evaluation(1.0, num=80), OLD)


def test_per_class_means():
    query = np.eye(3)
    scores = evaluate_retrieval(query[[0, 0, 1, 2]], [0, 1, 1, 9], query, [0, 1, 2], device="cpu")
    rows = per_class(scores, [0, 1, 1, 9])
    assert rows[0] == {"class": "0", "num_queries": 1, "CMC@1": 1.0, "mAP": 1.0}
    assert rows[1]["CMC@1"] == 0.5 and rows[1]["num_queries"] == 2
    assert rows[2] == {"class": "9", "num_queries": 0, "CMC@1": None, "mAP": None}
    weighted = sum(row["mAP"] * row["num_queries"] for row in rows[:2]) / scores.num_queries
    assert weighted == pytest.approx(scores.mean_ap)
    assert per_class(scores, [0, 1, 1, 9], [f"name{i}" for i in range(10)])[2]["class"] == "name9"
    with pytest.raises(CompatError, match="class_names"):
        per_class(scores, [0, 1, 1, 9], ["a", "b"])
    with pytest.raises(CompatError, match="the evaluation"):
        per_class(scores, [0, 1])


@pytest.mark.parametrize("ci", [True, False])
def test_summary_is_json(ci):
    summary = evaluation_summary(CROSS, ci, resamples=500)
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["mAP"]["value"] == pytest.approx(CROSS.mean_ap)
    assert summary["CMC@1"]["value"] == pytest.approx(CROSS.cmc[1])
    assert summary["num_queries"] == 240 and summary["distance"] == "cosine"
    assert set(summary["chance"]) >= {"CMC@1", "mAP"}
    if ci:
        assert summary["mAP"]["ci_low"] < summary["mAP"]["value"] < summary["mAP"]["ci_high"]
    else:
        assert summary["mAP"]["ci_low"] is None
