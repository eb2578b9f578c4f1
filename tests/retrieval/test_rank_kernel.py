"""The compiled ranks against sorting and against the torch path: the same integers, ties included."""

import numpy as np
import pytest
import torch

from compat_core.metrics import evaluate_retrieval
from compat_core.retrieval import compiled, rank_kernel, ranking

pytestmark = pytest.mark.skipif(not compiled.available(), reason="numba is not installed")


def by_sorting(scores, columns):
    order = np.argsort(-scores, axis=1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(1, scores.shape[1] + 1)[None].repeat(len(scores), 0), axis=1)
    return np.take_along_axis(place, columns, axis=1)


def distinct_columns(rng, rows, width, count):
    return np.argsort(rng.random((rows, width)), axis=1)[:, :count]


WORLDS = {
    "spread": lambda rng: rng.standard_normal((7, 501)),
    "negative": lambda rng: -1e4 - rng.random((7, 501)),
    "many ties": lambda rng: rng.integers(-3, 4, (7, 501)).astype(float),
    "all equal": lambda rng: np.zeros((7, 501)),
    "signed zeros": lambda rng: np.where(rng.random((7, 501)) < 0.5, 0.0, -0.0),
    "an outlier": lambda rng: np.where(rng.random((7, 501)) < 0.01, 1e30, rng.random((7, 501)) * 1e-3),
    "left out": lambda rng: np.where(rng.random((7, 501)) < 0.2, -np.inf, rng.standard_normal((7, 501))),
    "one rounding apart": lambda rng: 1 + np.spacing(np.float32(1)) * rng.integers(0, 3, (7, 501)),
    "tiny": lambda rng: rng.standard_normal((7, 501)) * 1e-40,
}


@pytest.mark.parametrize("buckets_from", [0, 1_000], ids=["buckets", "comparing"])
@pytest.mark.parametrize("count", [1, 2, 4, 39, 501])
@pytest.mark.parametrize("world", WORLDS)
def test_ranks_are_those_of_a_stable_sort(monkeypatch, world, count, buckets_from):
    monkeypatch.setattr(rank_kernel, "BUCKETS_FROM", buckets_from)
    rng = np.random.default_rng(count)
    scores = WORLDS[world](rng).astype(np.float32)
    columns = distinct_columns(rng, *scores.shape, count)
    expected = by_sorting(scores, columns)
    own = np.isfinite(np.take_along_axis(scores, columns, axis=1)) & (rng.random(columns.shape) < 0.9)
    found = rank_kernel.sorted_ranks(scores, columns, own)
    for row in range(len(scores)):
        wanted = np.sort(expected[row][own[row]])
        np.testing.assert_array_equal(found[row], np.pad(wanted, (0, count - len(wanted))))
    asked = own.any(axis=1)  # the torch path expects at least one item per row
    parts = (torch.tensor(part[asked]) for part in (scores, columns, own))
    np.testing.assert_array_equal(expected[own], ranking.ranks_among(*parts).numpy()[own[asked]])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_change_nothing(threads):
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((10, 300)).astype(np.float32)
    columns = distinct_columns(rng, 10, 300, 20)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        found = rank_kernel.sorted_ranks(scores, columns, np.ones_like(columns, dtype=bool))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(found, np.sort(by_sorting(scores, columns)))


@pytest.mark.parametrize("kind", ["self", "disjoint", "unequal", "one class", "float16", "ties", "small gallery"])
def test_metrics_do_not_depend_on_what_counts(kind, monkeypatch):
    rng = np.random.default_rng(1)
    emb, labels = rng.standard_normal((240, 8)).astype(np.float32), rng.integers(0, 12, 240)
    ids: np.ndarray | None = np.arange(240)
    query, query_labels = emb, labels
    if kind == "unequal":
        labels = query_labels = np.minimum(rng.geometric(0.3, 240), 9)
    elif kind == "one class":
        labels = query_labels = (np.arange(240) == 0).astype(int)
    elif kind == "float16":
        query = emb = emb.astype(np.float16)
    elif kind == "ties":
        query = emb = np.round(emb)
    if kind in ("disjoint", "small gallery"):
        ids = None
        query, query_labels = emb[:60], labels[:60]
        emb, labels = (emb[60:], labels[60:]) if kind == "disjoint" else (emb[60:63], labels[60:63])
        query_labels = np.concatenate([query_labels[1:], labels[:1]])  # at least one query has an answer

    def scores():
        return evaluate_retrieval(query, query_labels, emb, labels, ids, ids, device="cpu", curves=True)

    monkeypatch.setattr(rank_kernel, "WORTH_COMPILING", np.inf)
    plain = scores()
    monkeypatch.setattr(rank_kernel, "WORTH_COMPILING", 0)
    counted = scores()
    np.testing.assert_array_equal(plain.per_query.first_hit_rank, counted.per_query.first_hit_rank)
    np.testing.assert_array_equal(plain.per_query.average_precision, counted.per_query.average_precision)
    assert plain.mean_ap_at_r == counted.mean_ap_at_r and plain.cmc == counted.cmc


def test_without_numba_the_torch_path_does_the_work(monkeypatch):
    monkeypatch.setattr(rank_kernel, "WORTH_COMPILING", 0)
    monkeypatch.setattr(compiled, "available", lambda: False)
    monkeypatch.setattr(rank_kernel, "sorted_ranks", None)
    assert evaluate_retrieval(np.eye(4), [0, 0, 1, 1], np.eye(4), [0, 0, 1, 1], device="cpu").num_queries == 4
