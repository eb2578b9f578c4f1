import numpy as np
import pytest
import torch

from compat_core.device import pick_device
from compat_core.errors import CompatError
from compat_core.retrieval import DISTANCES, relevant_ranks, similarity, top_k
from compat_core.retrieval.ranking import relate
from compat_core.retrieval.scores import prepare

RNG_SHAPES = [(9, 30, 4), (5, 200, 37), (3, 2, 1)]


def naive_scores(query, gallery, distance):
    query, gallery = query.astype(np.float64), gallery.astype(np.float64)
    if distance == "l2":
        return -np.linalg.norm(query[:, None] - gallery[None], axis=2)
    if distance == "cosine":
        query = query / np.linalg.norm(query, axis=1, keepdims=True)
        gallery = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    return query @ gallery.T


def data(shape, seed=0):
    rng = np.random.default_rng(seed)
    num_query, num_gallery, dim = shape
    return rng.normal(size=(num_query, dim)).astype(np.float32), rng.normal(size=(num_gallery, dim)).astype(np.float32)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("shape", RNG_SHAPES)
def test_similarity(distance, shape):
    query, gallery = data(shape)
    found = similarity(query, gallery, distance)
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found.numpy(), naive_scores(query, gallery, distance), atol=2e-5)


def test_similarity_near_zero_distance_far_out():
    gallery = np.full((3, 8), 5000.0) + np.eye(3, 8)
    np.testing.assert_allclose(np.diag(similarity(gallery, gallery, "l2")), 0, atol=1e-3)
    assert similarity(gallery, gallery, "l2")[0, 1] == pytest.approx(-np.sqrt(2), abs=1e-3)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("shape", RNG_SHAPES)
@pytest.mark.parametrize("block", [1, 4, None])
def test_top_k(distance, shape, block):
    query, gallery = data(shape)
    found = top_k(query, gallery, 7, distance, block=block, device="cpu")
    scores = naive_scores(query, gallery, distance)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :7]
    np.testing.assert_array_equal(found.indices, expected)
    np.testing.assert_allclose(found.scores, np.take_along_axis(scores, expected, axis=1), atol=2e-5)
    assert found.indices.dtype == np.int64 and found.scores.dtype == np.float32


@pytest.mark.parametrize("k", [1, 5, 11, 40])
def test_ties_come_in_gallery_order(k):
    rng = np.random.default_rng(1)
    query, gallery = rng.integers(-1, 2, size=(20, 3)), rng.integers(-1, 2, size=(40, 3))
    expected = np.argsort(-(query @ gallery.T), axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(top_k(query, gallery, k, "dot", device="cpu").indices, expected)


def test_own_item_is_left_out_and_missing_places_say_so():
    query, _ = data((4, 1, 3))
    names = ["a", "b", "c", "d"]
    found = top_k(query, query, 10, "l2", names, names, device="cpu")
    assert found.indices.shape == (4, 4)
    assert not (found.indices == np.arange(4)[:, None]).any()
    assert (found.indices[:, 3] == -1).all() and np.isneginf(found.scores[:, 3]).all()


@pytest.mark.parametrize("k", [0, -1, 1.5, True, "3"])
def test_bad_k(k):
    query, gallery = data((2, 3, 2))
    with pytest.raises(CompatError, match="k: got"):
        top_k(query, gallery, k)


def test_different_dimensions():
    with pytest.raises(CompatError, match="dimensions"):
        top_k(np.ones((2, 3)), np.ones((2, 4)), 1)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("block_rows", [1, 7, None])
def test_relevant_ranks_against_sorting(distance, block_rows):
    query, gallery = data((25, 400, 6), seed=3)
    gallery[200:] = gallery[:200]  # every score is a tie
    rng = np.random.default_rng(4)
    query_labels, gallery_labels = rng.integers(0, 5, 25), rng.integers(0, 4, 400)
    ids = (np.arange(25), np.arange(400))
    source = prepare(torch.from_numpy(query), torch.from_numpy(gallery), distance, pick_device("cpu").device)
    found = relevant_ranks(source, relate(query_labels, gallery_labels, ids), block_rows)
    scores = source.block(torch.arange(25)).numpy()[:, :400]
    assert (scores[:, 200:] == scores[:, :200]).all()
    for row in range(25):
        order = [j for j in np.argsort(-scores[row], kind="stable") if j != row]
        expected = [place for place, j in enumerate(order, start=1) if gallery_labels[j] == query_labels[row]]
        assert found[row].tolist() == expected


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("dim", [8, 37, 64, 512])
@pytest.mark.parametrize("num_query", [1, 2, 7, 13])
def test_equal_vectors_score_equal_bit_for_bit_in_any_block(distance, dim, num_query):
    """A plain matrix product rounds its last rows and columns differently, which would break ties at random."""
    for num_gallery in (2, 33, 257, 4099):
        query, gallery = data((num_query, num_gallery, dim))
        order = np.random.default_rng(5).permutation(num_gallery)
        half = num_gallery // 2
        gallery[order[:half]] = gallery[order[half : 2 * half]]
        source = prepare(torch.from_numpy(query), torch.from_numpy(gallery), distance, torch.device("cpu"))
        together = source.block(torch.arange(num_query))
        assert torch.equal(together[:, order[:half]], together[:, order[half : 2 * half]])
        alone = torch.cat([source.block(torch.tensor([row])) for row in range(num_query)])
        assert torch.equal(alone, together)


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_gpu_finds_the_same(distance, gpu):
    query, gallery = data((9, 30, 4))
    ids = np.arange(9), np.arange(30)
    here, there = (top_k(query, gallery, 5, distance, *ids, device=device) for device in ("cpu", gpu))
    np.testing.assert_array_equal(there.indices, here.indices)
    np.testing.assert_allclose(there.scores, here.scores, atol=1e-5)


def test_byte_strings_are_read_as_utf8():
    from compat_core.retrieval.inputs import check_keys

    encoded = np.array(["ä".encode(), b"b"])
    assert check_keys("labels", encoded, 2, "query_emb").tolist() == ["ä", "b"]
    with pytest.raises(CompatError, match=r"labels.*no UTF-8"):
        check_keys("labels", np.array([b"\xff\xfe"]), 1, "query_emb")
