import numpy as np
import pytest
import torch

from compat_core.errors import CompatError
from compat_core.vectors.relevance import from_judgements, from_labels, from_new_model


def lists(relevance):
    return [relevance.items[a:b].tolist() for a, b in zip(relevance.start[:-1], relevance.start[1:], strict=True)]


def test_labels_leave_out_the_query_itself():
    labels = np.array(["b", "a", "b", "c"])
    assert lists(from_labels(labels, labels, np.arange(4))) == [[2], [], [0], []]
    assert lists(from_labels(labels[:2], labels, np.array([-1, -1]))) == [[0, 2], [1]]


def test_judgements_count_above_zero_and_only_items_that_are_there():
    judged = {"q": {"x": 2.0, "y": 0.0, "gone": 1.0}, "r": {"q": 1.0, "x": 1.0}}
    found = from_judgements(judged, np.array(["q", "r"]), np.array(["x", "y", "q"]), np.array([2, -1]))
    assert lists(found) == [[0], [2, 0]]
    assert found.independent


def test_the_new_models_neighbours_are_a_stated_weaker_truth():
    new = torch.tensor(np.random.default_rng(0).standard_normal((30, 4)), dtype=torch.float32)
    found = from_new_model(new[:5], new, np.arange(5), "cosine", count=3)
    similarity = torch.nn.functional.normalize(new) @ torch.nn.functional.normalize(new).T
    similarity.fill_diagonal_(-9)
    for query, items in enumerate(lists(found)):
        assert set(items) == set(similarity[query].topk(3).indices.tolist())
    assert not found.independent and "weaker" in found.source


def test_nothing_relevant_is_refused():
    with pytest.raises(CompatError, match="no query has a relevant item"):
        from_labels(np.arange(3), np.arange(3), np.arange(3))
