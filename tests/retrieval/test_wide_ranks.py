"""Ranks from two walks through a gallery's file are those counted in memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from compat_core.metrics import evaluate_retrieval
from compat_core.retrieval import compiled, rank_kernel, ranking, streamed, wide_ranks
from compat_core.retrieval.scores import DISTANCES, prepare

pytestmark = pytest.mark.skipif(not compiled.available(), reason="numba is not installed")


def galleries():
    rng = np.random.default_rng(0)
    grid = rng.integers(-2, 3, (900, 5)).astype(np.float32)  # many equal scores, and rows of zeros
    yield "ties", grid, rng.integers(0, 9, 900)
    yield "one class", grid, np.zeros(900, int)
    yield "class sizes from 1 to hundreds", grid, np.minimum(rng.geometric(0.2, 900), 12)
    yield "all vectors the same", np.ones((300, 4), np.float32), np.arange(300) % 3
    yield "float16", rng.normal(size=(700, 24)).astype(np.float16), rng.integers(0, 30, 700)
    yield "far from the origin", (rng.normal(size=(700, 24)) + 30).astype(np.float32), rng.integers(0, 30, 700)
    yield "fewer rows than a chunk", grid[:40], rng.integers(0, 3, 40)


@pytest.fixture
def in_file(tmp_path, monkeypatch):
    monkeypatch.setattr(streamed, "STREAM_FROM_BYTES", 0)
    monkeypatch.setattr(streamed, "CHUNK_ROWS", 128)
    monkeypatch.setattr(streamed, "KEPT_BYTES", 128 * 24 * 2)

    def write(array):
        np.save(tmp_path / "gallery.npy", array)
        return np.load(tmp_path / "gallery.npy", mmap_mode="r")

    return write


@pytest.mark.parametrize("group_bytes", [2**28, 40_000], ids=["one group", "several groups"])
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize(("name", "emb", "labels"), list(galleries()), ids=[name for name, *_ in galleries()])
def test_ranks_are_those_counted_in_memory(in_file, monkeypatch, name, emb, labels, distance, group_bytes):
    monkeypatch.setattr(wide_ranks, "GROUP_BYTES", group_bytes)
    rows = np.arange(0, len(emb), 3)
    query, ids = torch.from_numpy(emb[rows].astype(np.float32)), np.arange(len(emb))
    relevance = ranking.relate(labels[rows], labels, (rows, ids))
    monkeypatch.setattr(rank_kernel, "WORTH_COMPILING", np.inf)
    memory = prepare(query, torch.from_numpy(emb.astype(np.float32)), distance, torch.device("cpu"))
    wanted = ranking.relevant_ranks(memory, relevance)
    monkeypatch.setattr(rank_kernel, "WORTH_COMPILING", 0)
    found = ranking.relevant_ranks(streamed.StreamedSource(query, in_file(emb), distance), relevance)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


def test_metrics_are_those_of_a_gallery_in_memory(in_file, monkeypatch):
    monkeypatch.setattr(rank_kernel, "WORTH_COMPILING", 0)
    rng = np.random.default_rng(1)
    emb, labels, ids = rng.normal(size=(2_000, 16)).astype(np.float32), rng.integers(0, 40, 2_000), np.arange(2_000)
    labels[:3] = 99, 98, 97  # queries without a relevant item
    one, other = (
        evaluate_retrieval(emb[:300], labels[:300], gallery, labels, ids[:300], ids, device="cpu", curves=True)
        for gallery in (emb, in_file(emb))
    )
    np.testing.assert_array_equal(one.per_query.average_precision, other.per_query.average_precision)
    np.testing.assert_array_equal(one.precision_at_recall, other.precision_at_recall)
    assert (one.cmc, one.num_skipped) == (other.cmc, other.num_skipped) and one.num_skipped == 3


def test_the_file_is_walked_twice_however_many_queries(in_file, monkeypatch):
    monkeypatch.setattr(rank_kernel, "WORTH_COMPILING", 0)
    chunks = []
    ready = streamed.StreamedSource._ready
    monkeypatch.setattr(
        streamed.StreamedSource, "_ready", lambda self, part: (chunks.append(len(part)), ready(self, part))[1]
    )
    rng = np.random.default_rng(2)
    emb, labels = rng.normal(size=(1_280, 8)).astype(np.float32), rng.integers(0, 40, 1_280)
    for queries in (10, 1_280):
        chunks.clear()
        evaluate_retrieval(emb[:queries], labels[:queries], in_file(emb), labels, device="cpu")
        assert len(chunks) == 2 * 10  # and a first time to check it, before anything is made ready


def test_a_group_grows_with_memory_and_shrinks_with_relevant_items():
    assert wide_ranks.group_size(10, 2) == wide_ranks.MOST_QUERIES
    assert 1 <= wide_ranks.group_size(20_000, 2) < wide_ranks.group_size(8_000, 2) < wide_ranks.MOST_QUERIES
    assert wide_ranks.group_size(10**9, 64) == 1


@pytest.mark.parametrize("excluded", [False, True], ids=["relevant", "excluded"])
def test_one_large_class_makes_no_small_groups_of_the_others(in_file, monkeypatch, excluded):
    monkeypatch.setattr(rank_kernel, "WORTH_COMPILING", 0)
    monkeypatch.setattr(wide_ranks, "GROUP_BYTES", 2**20)
    rng = np.random.default_rng(3)
    emb, labels, ids = rng.normal(size=(3_000, 8)).astype(np.float32), np.arange(3_000) // 2, np.arange(3_000)
    labels[:1_500], ids[1:1_499] = 0, 0 if excluded else ids[1:1_499]
    rows = np.append(np.arange(1_500, 1_700), 0)
    groups, ranks_of = [], wide_ranks.ranks_of
    monkeypatch.setattr(
        wide_ranks, "ranks_of", lambda source, group: (groups.append(group.own.shape), ranks_of(source, group))[1]
    )
    source = streamed.StreamedSource(torch.from_numpy(emb[rows]), in_file(emb), "cosine")
    relevance = ranking.relate(labels[rows], labels, (ids[rows], ids))
    found = [block.ranks.shape for block in ranking.iter_rank_blocks(source, relevance)]
    assert found == [(200, 1), (1, 1 if excluded else 1_499)]
    assert groups == [(200, 2), (1, 1_500)]
