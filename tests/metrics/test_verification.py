import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from compat_core.errors import CompatError
from compat_core.metrics import operating_points, roc_sweep, templates, verify
from compat_core.retrieval import DISTANCES
from tests.metrics.retrieval_oracle import score

FARS = (0.003, 0.01, 0.05, 0.1, 0.29, 0.5)


def case(seed, num_query=43, num_gallery=37, dim=5, classes=6, grid=False):
    """Vectors with some class structure; on a grid of small integers, dot and l2 scores are exact and full of ties."""
    rng = np.random.default_rng(seed)
    centres = 1.5 * rng.normal(size=(classes, dim))
    query_labels, gallery_labels = rng.integers(0, classes, num_query), rng.integers(0, classes, num_gallery)
    query = centres[query_labels] + rng.normal(size=(num_query, dim))
    gallery = centres[gallery_labels] + rng.normal(size=(num_gallery, dim))
    if grid:
        query, gallery = np.round(query), np.round(gallery)
    return query.astype(np.float32), query_labels, gallery.astype(np.float32), gallery_labels


def pair_scores(query, query_labels, gallery, gallery_labels, query_ids=None, gallery_ids=None, distance="cosine"):
    genuine, impostor = [], []
    for i in range(len(query)):
        for j in range(len(gallery)):
            if query_ids is None or query_ids[i] != gallery_ids[j]:
                kind = genuine if query_labels[i] == gallery_labels[j] else impostor
                kind.append(score(query[i], gallery[j], distance))
    return genuine, impostor


def oracle_eer(genuine, impostor):
    """Every threshold in turn, in exact fractions; then the straight line between the last two points."""
    points = [(Fraction(0), Fraction(1))]
    for threshold in sorted({*genuine, *impostor}, reverse=True):
        far = Fraction(sum(s >= threshold for s in impostor), len(impostor))
        frr = Fraction(sum(s < threshold for s in genuine), len(genuine))
        points.append((far, frr))
    for (x0, y0), (x1, y1) in pairwise(points):
        if x1 >= y1:
            share = (y0 - x0) / ((y0 - x0) + (x1 - y1))
            return float(x0 + share * (x1 - x0))
    raise AssertionError("the curve must end at (1, 0)")


def check(args, distance, **options):
    found = verify(*args, distance=distance, fars=FARS, device="cpu", **options)
    genuine, impostor = pair_scores(*args, distance=distance)
    assert (found.num_genuine, found.num_impostor) == (len(genuine), len(impostor))
    wins = sum((g > i) + 0.5 * (g == i) for g in genuine for i in impostor)
    assert found.auc == pytest.approx(wins / len(genuine) / len(impostor), abs=1e-12)
    assert found.eer == pytest.approx(oracle_eer(genuine, impostor), abs=1e-12)
    descending = sorted(impostor, reverse=True)
    for far in FARS:
        point, allowance = found.points[far], math.floor(Fraction(str(far)) * len(impostor))
        if allowance < 10:
            assert point.value is None and point.threshold is None and point.num_admitted is None
            assert f"at least {math.ceil(10 / Fraction(str(far))):,} impostor pairs" in point.refusal
            continue
        threshold = descending[allowance]
        assert point.refusal == ""
        assert point.value == sum(g > threshold for g in genuine) / len(genuine)
        assert point.num_admitted == sum(i > threshold for i in impostor) <= allowance
        public = -math.sqrt(-threshold) if distance == "l2" else threshold
        assert point.threshold == pytest.approx(public, abs=1e-5)
    for far, tar in zip(found.roc_far.tolist(), found.roc_tar.tolist(), strict=True):
        allowance = math.floor(Fraction(str(far)) * len(impostor))
        threshold = [*descending, -math.inf][allowance]
        assert allowance >= 10
        assert tar == sum(g > threshold for g in genuine) / len(genuine)
    assert found.roc_far[-1] == 1 and found.roc_tar[-1] == 1
    np.testing.assert_array_equal(found.det_frr, 1 - found.roc_tar)
    return found


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("seed", range(2))
def test_random(distance, seed):
    found = check(case(seed), distance)
    assert any(value is None for value in found.tar.values())
    assert any(value is not None for value in found.tar.values())


@pytest.mark.parametrize("distance", ["l2", "dot"])
@pytest.mark.parametrize("seed", range(3))
def test_ties(distance, seed):
    args = case(seed, dim=2, grid=True)
    found = check(args, distance)
    genuine, impostor = pair_scores(*args, distance=distance)
    assert len(set(genuine) & set(impostor)) > 5  # ties, in earnest
    labels = [1] * len(genuine) + [0] * len(impostor)
    assert found.auc == pytest.approx(roc_auc_score(labels, genuine + impostor), abs=1e-9)


def test_equal_ids_are_left_out_and_both_orders_counted():
    query, labels, _, _ = case(5)
    gallery = query + np.random.default_rng(1).normal(size=query.shape).astype(np.float32)  # another encoder
    ids = [f"item{i}" for i in range(len(query))]
    order = np.random.default_rng(0).permutation(len(query))
    found = check((query, labels, gallery[order], labels[order], ids, [ids[i] for i in order]), "cosine")
    assert found.num_excluded == len(query)
    assert found.num_genuine + found.num_impostor == len(query) * (len(query) - 1)
    assert found.both_orders
    part = verify(query, labels, gallery[:20], labels[:20], ids, ids[:20], device="cpu")
    assert not part.both_orders and part.num_excluded == 20
    assert not verify(query, labels, gallery, labels, device="cpu").both_orders


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("held", [1, 40])
def test_memory_limit_changes_nothing(monkeypatch, distance, held):
    monkeypatch.setattr(roc_sweep, "HELD_VALUES", held)
    check(case(3, dim=2, grid=distance != "cosine"), distance, block_rows=3)


def test_block_rows_change_nothing():
    args = case(4)
    whole = verify(*args, fars=FARS, device="cpu")
    for rows in (1, 7, 1000):
        part = verify(*args, fars=FARS, device="cpu", block_rows=rows)
        assert (part.points, part.auc, part.eer) == (whole.points, whole.auc, whole.eer)


def test_perfect_and_inverted():
    labels = np.repeat([0, 1], 60)
    emb = np.eye(2, dtype=np.float32)[labels]
    perfect = verify(emb, labels, emb, labels, fars=(0.01, 0.1), device="cpu")
    assert (perfect.auc, perfect.eer, perfect.tar) == (1.0, 0.0, {0.01: 1.0, 0.1: 1.0})
    assert perfect.points[0.01].threshold == 0 and perfect.points[0.01].num_admitted == 0
    inverted = verify(emb, labels, emb, 1 - labels, fars=(0.01,), device="cpu")
    assert (inverted.auc, inverted.eer, inverted.tar) == (0.0, 1.0, {0.01: 0.0})


def test_collapsed_embeddings_are_chance_and_never_accepted():
    emb, labels = np.ones((60, 3)), np.arange(60) % 3
    found = verify(emb, labels, emb, labels, fars=(0.1,), device="cpu")
    assert (found.auc, found.eer) == (0.5, 0.5)
    assert found.tar[0.1] == 0.0 and found.points[0.1].num_admitted == 0  # one tie of all: none passes


def test_random_embeddings_have_tar_equal_to_far():
    rng = np.random.default_rng(0)
    found = verify(
        rng.normal(size=(600, 64)), rng.integers(0, 5, 600), rng.normal(size=(600, 64)), rng.integers(0, 5, 600)
    )
    assert found.auc == pytest.approx(0.5, abs=0.01)
    assert found.eer == pytest.approx(0.5, abs=0.01)
    assert found.tar[0.1] == pytest.approx(0.1, abs=0.01)


def test_refusal_at_the_limit():
    labels = np.array([0] * 10 + [1] * 10)
    emb = np.random.default_rng(0).normal(size=(20, 4))
    found = verify(emb, labels, emb, labels, fars=(0.05, 0.0499, 1e-5), device="cpu")  # 200 impostor pairs
    assert found.tar[0.05] is not None
    assert found.points[0.0499].refusal == "TAR@FAR=0.0499 needs at least 201 impostor pairs; there are 200."
    assert found.points[1e-5].refusal == "TAR@FAR=1e-05 needs at least 1,000,000 impostor pairs; there are 200."


def test_rates_are_read_as_decimals():
    assert operating_points.allowed(0.29, 100) == 29  # 0.29 * 100 is 28.999999999999996 in floats
    assert operating_points.allowed(1e-5, 10**6) == 10


def test_texts_zero_vectors_and_python_floats():
    query, gallery = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)), np.random.rand(30, 4)
    query[3] = 0
    found = verify(query, list("abc" * 10), gallery, list("bca" * 10), fars=np.array([0.1]), device="cpu")
    assert found.num_zero_vectors == 1
    assert all(type(value) is float for value in (found.auc, found.eer, found.tar[0.1], *found.points))
    assert type(found.points[0.1].threshold) is float and type(found.num_genuine) is int


def test_scaling_and_order_do_not_matter_under_cosine():
    query, query_labels, gallery, gallery_labels = case(8)
    order = np.random.default_rng(0).permutation(len(gallery))
    plain = verify(query, query_labels, gallery, gallery_labels, fars=FARS, device="cpu")
    other = verify(4 * query, query_labels, 0.5 * gallery[order], gallery_labels[order], fars=FARS, device="cpu")
    assert (plain.tar, plain.auc, plain.eer) == (other.tar, other.auc, other.eer)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"fars": ()}, "fars"),
        ({"fars": (0.1, 1.0)}, "between 0 and 1"),
        ({"fars": "0.1"}, "fars"),
        ({"fars": (True,)}, "fars"),
        ({"fars": (float("nan"),)}, "fars"),
        ({"query_labels": [0, 1]}, "query_labels"),
        ({"query_labels": [5, 6, 7]}, "genuine"),
        ({"query_labels": [0, 0, 0], "gallery_labels": [0, 0]}, "impostor"),
        ({"query_emb": [[1.0, float("nan")]] * 3}, "query_emb"),
        ({"gallery_emb": [[1.0, 2.0, 3.0]] * 2}, "dimensions"),
        ({"query_ids": [1, 2, 3]}, "gallery_ids"),
        ({"distance": "manhattan"}, "distance"),
        ({"block_rows": 0}, "block_rows"),
    ],
)
def test_bad_input(change, message):
    good = {
        "query_emb": [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]],
        "query_labels": [0, 1, 0],
        "gallery_emb": [[1.0, 0.5], [0.5, 1.0]],
        "gallery_labels": [0, 1],
    }
    with pytest.raises(CompatError, match=message):
        verify(**{**good, **change}, device="cpu")


def test_templates_are_means_of_normalised_embeddings():
    rng = np.random.default_rng(0)
    emb, groups = rng.normal(size=(30, 4)) * 7, rng.integers(-2, 4, 30)
    emb[2] = 0
    found = templates(emb, groups)
    assert found.groups.tolist() == sorted(set(groups.tolist()))
    assert found.embeddings.dtype == torch.float32
    for value, row in zip(found.groups, found.embeddings.numpy(), strict=True):
        members = [emb[i] / (math.sqrt(sum(emb[i] ** 2)) or 1.0) for i in range(30) if groups[i] == value]
        np.testing.assert_allclose(row, sum(members) / len(members), atol=1e-6)
    texts = templates(torch.tensor([[3.0, 4.0]]), ["only"])
    assert texts.groups.tolist() == ["only"]
    np.testing.assert_allclose(texts.embeddings.numpy(), [[0.6, 0.8]], rtol=1e-6)


@pytest.mark.parametrize("emb, groups", [([[1.0, 2.0]], [1, 2]), ([[float("inf"), 0.0]], [1]), ([1.0], [1])])
def test_templates_refuse(emb, groups):
    with pytest.raises(CompatError):
        templates(emb, groups)


@pytest.mark.parametrize("distance", ["l2", "dot"])
def test_gpu_agrees_exactly_on_a_grid(distance, gpu):
    args = case(2, grid=True)
    here, there = (verify(*args, distance=distance, fars=FARS, device=device) for device in ("cpu", gpu))
    assert (here.auc, here.eer, here.tar) == (there.auc, there.eer, there.tar)
