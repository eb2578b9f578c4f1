import numpy as np
import pytest
import torch

from compat_core.metrics import evaluate_retrieval
from compat_core.vectors.judge import judge
from compat_core.vectors.relevance import from_judgements, from_labels
from compat_core.vectors.space import Judging


def by_hand(scores, relevant, itself):
    """Average precision and first hit of one query, by sorting."""
    order = [item for item in sorted(range(len(scores)), key=lambda i: (-scores[i], i)) if item != itself]
    hits = [place for place, item in enumerate(order, 1) if item in relevant]
    return np.mean([number / place for number, place in enumerate(hits, 1)]), hits[0] == 1, order[0]


@pytest.mark.parametrize("ties", [False, True])
def test_judged_agrees_with_sorting_by_hand(ties):
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((9, 30)).astype(np.float32)
    scores = np.round(scores) if ties else scores
    names = np.array([f"i{item}" for item in range(30)])
    judged = {f"q{q}": {f"i{item}": 1.0 for item in rng.choice(30, q, replace=False)} for q in range(9)}
    itself = np.array([-1, 3, 4, -1, 6, 7, 8, 9, 10])
    relevance = from_judgements(judged, np.array([f"q{q}" for q in range(9)]), names, itself)
    found = judge(lambda rows: torch.tensor(scores[rows]), relevance, 30)
    for query in range(9):
        relevant = set(relevance.items[relevance.start[query] : relevance.start[query + 1]].tolist())
        if not relevant:
            assert np.isnan(found.average_precision[query]) and found.first_item[query] == -1
            continue
        precision, first, item = by_hand(scores[query], relevant, itself[query])
        assert found.average_precision[query] == pytest.approx(precision)
        assert (found.top_1[query], found.first_item[query]) == (first, item)


@pytest.mark.parametrize("distance", ["cosine", "l2", "dot"])
def test_judged_in_one_space_equals_the_retrieval_metrics(distance):
    rng = np.random.default_rng(1)
    emb, labels, ids = rng.standard_normal((150, 6)).astype(np.float32), rng.integers(0, 9, 150), np.arange(150)
    judging = Judging(torch.tensor(emb), torch.tensor(emb), ids, distance)
    found = judge(judging.space(judging.old, judging.new), from_labels(labels, labels, ids), 150)
    scores = evaluate_retrieval(emb, labels, emb, labels, ids, ids, distance=distance, device="cpu")
    assert np.nanmean(found.average_precision) == pytest.approx(scores.mean_ap, abs=1e-9)
    assert np.nanmean(found.top_1) == pytest.approx(scores.cmc[1])


@pytest.mark.parametrize("distance", ["cosine", "l2", "dot"])
def test_public_scores_rank_like_the_inner_ones(distance):
    rng = np.random.default_rng(2)
    rows = torch.tensor(rng.standard_normal((20, 5)), dtype=torch.float32)
    space = Judging(rows, rows, np.arange(20), distance).space(rows, rows)
    inner, public = space(np.arange(20)), space.public(np.arange(20))
    assert torch.equal(inner.argsort(dim=1), public.argsort(dim=1))
    if distance == "l2":
        assert public[3, 7].item() == pytest.approx(-(rows[3] - rows[7]).norm().item(), abs=1e-5)
