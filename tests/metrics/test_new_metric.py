"""A metric of one's own: worked out from ranks, registered once, and there wherever metrics are."""

import numpy as np
import pytest
import torch

from compat_core.errors import CompatError
from compat_core.metrics import METRICS, Metric, check_metrics, evaluate_retrieval, evaluation_summary

SUMMED = 1 / np.log2(np.arange(2, 12))


def ndcg_at_10(block):
    gains = torch.where((block.ranks > 0) & (block.ranks <= 10), 1 / torch.log2(block.ranks.clamp_min(1) + 1.0), 0.0)
    best = torch.as_tensor(SUMMED, device=block.ranks.device).cumsum(0)
    return gains.sum(1) / best[block.counts.clamp_max(10) - 1]


def metric(**changes):
    made = {
        "name": "nDCG@10", "title": "Normalised discounted cumulative gain at 10", "low": 0.0, "high": 1.0,
        "direction": 1, "formula": "DCG@10 / ideal DCG@10", "help": "Relevant items count less the later they come.",
        "synonyms": ("ndcg",), "version": 1, "reference": "Järvelin and Kekäläinen 2002",
        "from_ranks": ndcg_at_10,
    }  # fmt: skip
    return Metric(**(made | changes))


@pytest.fixture
def register():
    before = dict(METRICS._entries)
    yield METRICS.add
    METRICS._entries.clear()
    METRICS._entries.update(before)


def world(queries=40):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, queries)
    return rng.normal(size=(queries, 4)), labels, rng.normal(size=(60, 4)), rng.integers(0, 4, 60)


def by_hand(query, labels, gallery, gallery_labels):
    unit = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    values = []
    for row, label in zip(query, labels, strict=True):
        relevant = gallery_labels[np.argsort(-(unit @ row))] == label
        ideal = SUMMED[: min(10, relevant.sum())].sum()
        values.append((relevant[:10] * SUMMED).sum() / ideal if relevant.any() else np.nan)
    return np.array(values)


def test_a_metric_from_ranks_is_evaluated_summarised_and_known(register):
    entry = register(metric(chance=lambda relevant, candidates: relevant / candidates))
    scores = evaluate_retrieval(*world(), device="cpu")
    assert entry.per_query(scores) == pytest.approx(by_hand(*world()), nan_ok=True)
    assert scores.columns()["nDCG@10"] == pytest.approx(entry.per_query(scores), nan_ok=True)
    summary = evaluation_summary(scores, resamples=100)
    assert summary["nDCG@10"]["value"] == pytest.approx(np.nanmean(by_hand(*world())))
    valid = scores.per_query.valid
    assert scores.chance["nDCG@10"] == pytest.approx((scores.per_query.num_relevant[valid] / 60).mean())
    check_metrics()


def test_chance_that_nobody_worked_out_is_left_out(register):
    register(metric())
    assert "nDCG@10" not in evaluate_retrieval(*world(), device="cpu").chance


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"from_ranks": lambda block: block.ranks}, r"metric nDCG@10: got \(\d+, \d+\); must give a tensor"),
        ({"from_ranks": lambda block: 1.0}, "got 'float'; must give a tensor"),
        ({"from_ranks": lambda block: ndcg_at_10(block) + 1}, r"metric nDCG@10: got .*must lie in 0 … 1"),
        ({"from_ranks": lambda block: ndcg_at_10(block) * torch.nan}, "NaN for skipped queries, and for no others"),
        ({"from_ranks": None, "from_scores": lambda scores: np.zeros(3)}, r"must give \(7,\) floats"),
    ],
)
def test_a_broken_metric_is_named_before_anything_is_trained(register, changes, message):
    register(metric(**changes))
    with pytest.raises(CompatError, match=message):
        check_metrics()


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"direction": -1}, "higher must be better"), ({"from_ranks": None}, "one of from_scores and from_ranks")],
)
def test_what_no_verdict_could_rest_on_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        metric(**changes)
