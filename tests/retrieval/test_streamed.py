"""A gallery left in its file scores as one in memory, without being loaded."""

import numpy as np
import pytest
import torch

from compat_core.errors import CompatError
from compat_core.metrics import evaluate_retrieval
from compat_core.retrieval import streamed
from compat_core.retrieval.scores import DISTANCES


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    """Arrays written to a file and mapped; every mapped array counts as large, and several chunks are read."""
    monkeypatch.setattr(streamed, "STREAM_FROM_BYTES", 0)
    monkeypatch.setattr(streamed, "CHUNK_ROWS", 128)

    def write(array):
        path = tmp_path / "gallery.npy"
        np.save(path, array)
        return np.load(path, mmap_mode="r")

    return write


def world(num=700, dim=24, dtype=np.float32, mean=0.0):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 9, num)
    emb = (rng.normal(size=(9, dim))[labels] + 2 * rng.normal(size=(num, dim)) + mean).astype(dtype)
    emb[5], emb[400], emb[401] = 0, emb[3], emb[3]  # a zero vector and ties across chunks
    return emb, labels


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize(("dtype", "mean"), [(np.float32, 0.0), (np.float16, 0.0), (np.float32, 30.0)])
def test_the_same_metrics_as_in_memory(mapped, distance, dtype, mean):
    emb, labels = world(dtype=dtype, mean=mean)
    query, ids = emb[:50], np.arange(len(emb))
    gallery = mapped(emb)
    assert streamed.is_streamed(gallery, torch.device("cpu")) and not streamed.is_streamed(emb, torch.device("cpu"))
    one, other = (
        evaluate_retrieval(query, labels[:50], stored, labels, ids[:50], ids, distance, device="cpu", block_rows=17)
        for stored in (emb, gallery)
    )
    assert np.allclose(one.per_query.average_precision, other.per_query.average_precision, atol=1e-6)
    assert one.cmc == other.cmc and one.num_zero_vectors == other.num_zero_vectors
    assert one.num_gallery == other.num_gallery == 700


def test_what_was_written_to_a_copy_on_write_map_stays(mapped):
    emb, labels = world()
    gallery = np.load(mapped(emb).filename, mmap_mode="c")
    gallery[:100] = emb[100:200]
    evaluate_retrieval(emb[:9], labels[:9], gallery, labels, device="cpu")
    np.testing.assert_array_equal(gallery[:100], emb[100:200])


def test_ties_across_chunks_rank_in_gallery_order(mapped):
    emb, _ = world()
    source = streamed.StreamedSource(torch.from_numpy(emb[:4]), mapped(emb), "cosine")
    scores = source.block(torch.arange(4))
    assert torch.equal(scores[:, 3], scores[:, 400]) and torch.equal(scores[:, 400], scores[:, 401])
    assert (scores[:, 700:] == -torch.inf).all() and scores.shape == (4, 704)


@pytest.mark.parametrize(
    ("change", "distance", "words"),
    [
        (lambda emb: emb.__setitem__((300, 2), np.nan), "cosine", "row 300"),
        (lambda emb: emb.__setitem__((300, 2), 1e30), "l2", "float32"),
        (lambda emb: None, "manhattan", "manhattan"),
    ],
)
def test_errors(mapped, change, distance, words):
    emb, labels = world()
    query = emb[:10].copy()
    change(emb)
    with pytest.raises(CompatError, match=words):
        evaluate_retrieval(query, labels[:10], mapped(emb), labels, distance=distance, device="cpu")


def test_dimensions_must_agree(mapped):
    emb, labels = world()
    with pytest.raises(CompatError, match="dimensions"):
        evaluate_retrieval(emb[:10, :8], labels[:10], mapped(emb), labels, device="cpu")
