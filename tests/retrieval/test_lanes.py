"""Work side by side: in order, on one thread each, and nothing left behind."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from compat_core.metrics import evaluate_retrieval, verify
from compat_core.retrieval import ranking
from compat_core.retrieval.lanes import in_lanes
from compat_core.retrieval.scores import full_precision, prepare


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_results_come_in_the_order_of_the_pieces(three_threads):
    last_first = threading.Event()

    def work(piece, room):
        if piece == 0:
            assert last_first.wait(10)
        last_first.set()
        return piece * piece

    assert list(in_lanes(work, range(20), lambda: None)) == [piece * piece for piece in range(20)]


def test_a_lane_computes_on_one_thread_and_others_keep_theirs(three_threads):
    inside = set(in_lanes(lambda piece, room: torch.get_num_threads(), range(12), lambda: None))
    with ThreadPoolExecutor(1) as later:
        assert (inside, torch.get_num_threads(), later.submit(torch.get_num_threads).result()) == ({1}, 3, 3)


def test_no_two_pieces_share_a_room_at_a_time(three_threads):
    busy, made = set(), []

    def room():
        made.append(object())
        return made[-1]

    def work(piece, mine):
        assert mine not in busy
        busy.add(mine)
        torch.rand(200, 200) @ torch.rand(200, 200)
        busy.remove(mine)

    list(in_lanes(work, range(60), room))
    assert 1 <= len(made) <= 3


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_a_lane_has_the_modes_of_who_asks(three_threads, mode):
    def modes(*_):
        return torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    with mode():
        assert set(in_lanes(modes, range(12), lambda: None)) == {modes()}


def test_pairs_are_verified_in_inference_mode(three_threads, monkeypatch):
    monkeypatch.setattr(ranking.rank_kernel, "WORTH_COMPILING", 0)
    rng = np.random.default_rng(0)
    labels, emb = rng.integers(0, 9, 300), rng.normal(size=(300, 6))
    wanted = verify(emb, labels, emb, labels, device="cpu")
    with torch.inference_mode():
        assert verify(emb, labels, emb, labels, device="cpu").eer == wanted.eer


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_is_raised_at_its_turn(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:

        def work(piece, room):
            if piece == 5:
                raise ValueError("five")
            return piece

        found = []
        with pytest.raises(ValueError, match="five"):
            for result in in_lanes(work, range(1000), lambda: None):
                found.append(result)
        assert found == [0, 1, 2, 3, 4]
    finally:
        torch.set_num_threads(before)


def test_metrics_do_not_depend_on_the_number_of_threads(monkeypatch):
    monkeypatch.setattr(ranking.rank_kernel, "WORTH_COMPILING", 0)
    rng = np.random.default_rng(0)
    labels, ids = rng.integers(0, 9, 700), np.arange(700)
    emb = rng.integers(-2, 3, (700, 6)) + 0.0  # on a grid: many ties
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            found.append(evaluate_retrieval(emb, labels, emb, labels, ids, ids, device="cpu", curves=True))
    finally:
        torch.set_num_threads(before)
    for other in found[1:]:
        np.testing.assert_array_equal(other.per_query.average_precision, found[0].per_query.average_precision)
        np.testing.assert_array_equal(other.precision_at_recall, found[0].precision_at_recall)


@pytest.mark.parametrize(
    ("queries", "width", "threads", "rows"),
    [
        (10_000, 10_048, 2, 500),
        (1_000, 10_048, 2, 500),
        (513, 10_048, 2, 257),
        (5_000, 2**20, 2, 32),
        (3, 64, 4, 1),
        (9_600, 50_048, 60, 160),
    ],
)
def test_lanes_share_the_queries_evenly_within_memory(queries, width, threads, rows):
    source = type("Source", (), {"width": width})()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert ranking._rows_per_lane(source, queries) == rows
    finally:
        torch.set_num_threads(before)


def test_precision_comes_back_when_the_last_thread_leaves():
    matmul = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    first_in, second_in, first_out = threading.Event(), threading.Event(), threading.Event()
    seen = []

    def first():
        with full_precision(torch.device("cpu")):
            first_in.set()
            second_in.wait(10)
        first_out.set()

    def second():
        first_in.wait(10)
        with full_precision(torch.device("cpu")):
            second_in.set()
            first_out.wait(10)
            seen.append(matmul.fp32_precision)

    try:
        with ThreadPoolExecutor(2) as pool:
            for done in (pool.submit(first), pool.submit(second)):
                done.result()
        assert (seen, matmul.fp32_precision) == (["ieee"], "bf16")
    finally:
        matmul.fp32_precision = before


def test_a_large_class_makes_no_small_blocks_of_the_others(monkeypatch):
    monkeypatch.setattr(ranking, "LANE_RELEVANT", 1_000)
    labels = np.array([0] * 600 + list(range(1, 40)))
    relevance = ranking.relate(labels[::-1], labels, None)
    source = prepare(torch.rand(639, 3), torch.rand(639, 3), "cosine", torch.device("cpu"))
    found = ranking.each_block(source, relevance, np.arange(42), lambda rows, room: rows.tolist(), True, 32)
    assert list(found) == [list(range(32)), list(range(32, 39)), [39], [40], [41]]
