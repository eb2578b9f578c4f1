"""Indexes against the plain search; approximate ones by their measured recall."""

import numpy as np
import pytest

from compat_core.errors import CompatError
from compat_core.retrieval import row_products
from compat_core.retrieval.index import KINDS, SUMMARIES, ExactIndex, IndexConfig, build_index, recall
from compat_core.retrieval.search import top_k

faiss = pytest.importorskip("faiss", reason="faiss is not installed")


def world(rows=3_000, dim=16):
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((30, dim))
    emb = centres[np.arange(rows) % 30] + 0.5 * rng.standard_normal((rows, dim)) + 3.0
    return emb.astype(np.float32), emb[:40].astype(np.float32) + 0.1


@pytest.mark.parametrize("distance", ["cosine", "l2", "dot"])
def test_exact_index_equals_the_plain_search(distance):
    gallery, query = world()
    found, expected = ExactIndex(gallery, distance).search(query, 9), top_k(query, gallery, 9, distance, device="cpu")
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)


@pytest.mark.parametrize("distance", ["cosine", "l2", "dot"])
@pytest.mark.parametrize("k", [1, 9, 500])
def test_one_query_at_a_time_finds_the_same_ties_included(distance, k):
    rng = np.random.default_rng(0)
    gallery = rng.standard_normal((60, 37)).astype(np.float32)[rng.integers(0, 60, 500)]  # every row about eight times
    query = gallery[:5] + 0.01
    index = ExactIndex(gallery, distance)
    whole = top_k(query, gallery, k, distance, device="cpu")
    for row in range(5):
        found = index.search(query[row][None], k)
        np.testing.assert_array_equal(found.indices[0], whole.indices[row])
        np.testing.assert_allclose(found.scores[0], whole.scores[row], atol=1e-4)


@pytest.mark.parametrize("way", ["torch", "compiled", "numpy"])
def test_products_of_rows_are_the_products(way, monkeypatch):
    monkeypatch.setattr(row_products, "WORTH_COMPILING", 2**62 if way == "torch" else 0)
    if way == "numpy":
        monkeypatch.setattr(row_products.compiled, "available", lambda: False)
    rng = np.random.default_rng(0)
    rows, vector = rng.standard_normal((501, 37)).astype(np.float32), rng.standard_normal(37).astype(np.float32)
    found = row_products.products(rows, vector)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, rows.astype(np.float64) @ vector.astype(np.float64), atol=1e-5)


@pytest.mark.parametrize("distance", ["cosine", "l2", "dot"])
def test_replaced_rows_are_found_as_if_they_had_always_been_there(distance):
    gallery, query = world()
    index, rows = ExactIndex(gallery, distance), np.array([5, 1, 2_000])
    changed = gallery.copy()
    changed[rows] = query[:3] * 1.01
    index.replace(rows, changed[rows])
    expected = top_k(query, changed, 9, distance, device="cpu")
    np.testing.assert_array_equal(index.search(query, 9).indices, expected.indices)


@pytest.mark.parametrize("distance", ["cosine", "l2", "dot"])
@pytest.mark.parametrize("kind", ["hnsw", "ivf-pq"])
def test_approximate_indexes_find_most_and_score_alike(kind, distance):
    gallery, query = world(rows=11_000)
    exact = build_index("exact", gallery, distance).search(query, 10)
    found = build_index(kind, gallery, distance, IndexConfig(probes=64, ef_search=200)).search(query, 10)
    share = recall(found.indices, exact.indices)
    assert share > (0.95 if kind == "hnsw" else 0.5)
    if kind == "hnsw":
        same = found.indices == exact.indices
        np.testing.assert_allclose(found.scores[same], exact.scores[same], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_gives_the_same_index(kind):
    gallery, query = world()
    first, second = (build_index(kind, gallery, seed=3).search(query, 5) for _ in range(2))
    np.testing.assert_array_equal(first.indices, second.indices)
    assert kind in SUMMARIES


def test_recall_by_hand():
    exact = np.array([[1, 2, 3], [4, 5, -1]])
    assert recall(np.array([[3, 9, 1], [5, 4, 8]]), exact) == pytest.approx(4 / 5)
    assert recall(exact, exact) == 1.0


def test_what_cannot_be_built_is_said():
    gallery, query = world(rows=100)
    with pytest.raises(CompatError, match="did you mean 'hnsw'"):
        build_index("hnws", gallery)
    with pytest.raises(CompatError, match="100 rows"):
        build_index("ivf-pq", gallery)
    with pytest.raises(CompatError, match="dimension"):
        build_index("exact", gallery).search(query[:, :5], 3)
    assert build_index("hnsw", gallery).search(query, 500).indices.shape == (40, 100)
