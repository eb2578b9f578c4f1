import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from compat_core.errors import CompatError
from compat_core.metrics import identify, templates
from compat_core.retrieval import DISTANCES
from tests.metrics.retrieval_oracle import score

FPIRS = (0.01, 0.1, 0.25, 0.5)


def case(seed, num_probes=120, people=18, enrolled=9, dim=4, grid=False):
    rng = np.random.default_rng(seed)
    centres = 1.5 * rng.normal(size=(people, dim))
    labels = rng.integers(0, people, num_probes)
    probes, gallery = centres[labels] + rng.normal(size=(num_probes, dim)), centres[:enrolled]
    if grid:
        probes, gallery = np.round(probes), np.round(gallery)
    order = rng.permutation(enrolled)
    return probes.astype(np.float32), labels, gallery[order].astype(np.float32), order


def oracle(probes, labels, gallery, gallery_labels, distance):
    best_of_unmated, mates = [], []  # mates: (score, rank)
    for probe, label in zip(probes, labels, strict=True):
        scores = [score(probe, template, distance) for template in gallery]
        own = [s for s, name in zip(scores, gallery_labels, strict=True) if name == label]
        if own:
            others = [s for s, name in zip(scores, gallery_labels, strict=True) if name != label]
            mates.append((own[0], 1 + sum(s >= own[0] for s in others)))
        else:
            best_of_unmated.append(max(scores))
    return sorted(best_of_unmated, reverse=True), mates


def check(args, distance, **options):
    found = identify(*args, fpirs=FPIRS, distance=distance, device="cpu", **options)
    impostors, mates = oracle(*args, distance)
    assert (found.num_mated, found.num_unmated) == (len(mates), len(impostors))
    assert found.num_enrolled == len(args[2])
    assert found.rank_1 == sum(rank == 1 for _, rank in mates) / len(mates)
    assert found.rank_5 == sum(rank <= 5 for _, rank in mates) / len(mates)
    assert found.mate_rank[found.mate_rank > 0].tolist() == [rank for _, rank in mates]

    def tpir(threshold):
        return sum(s > threshold and rank == 1 for s, rank in mates) / len(mates)

    for fpir in FPIRS:
        point, allowance = found.points[fpir], math.floor(Fraction(str(fpir)) * len(impostors))
        if allowance < 10:
            assert point.value is None and point.threshold is None
            assert f"at least {math.ceil(10 / Fraction(str(fpir))):,} probes without a mate" in point.refusal
            continue
        threshold = impostors[allowance]
        assert point.value == tpir(threshold)
        assert point.num_admitted == sum(s > threshold for s in impostors) <= allowance
        public = -math.sqrt(-threshold) if distance == "l2" else threshold
        assert point.threshold == pytest.approx(public, abs=1e-5)
    for fpir, value in zip(found.curve_fpir.tolist(), found.curve_tpir.tolist(), strict=True):
        allowance = math.floor(Fraction(str(fpir)) * len(impostors))
        assert allowance >= 10
        assert value == tpir([*impostors, -math.inf][allowance])
    return found


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("seed", range(3))
def test_random(distance, seed):
    found = check(case(seed), distance)
    assert found.tpir[0.01] is None and found.tpir[0.5] is not None
    assert found.curve_fpir[-1] == 1 and found.curve_tpir[-1] == found.rank_1


@pytest.mark.parametrize("distance", ["l2", "dot"])
@pytest.mark.parametrize("seed", range(3))
def test_ties(distance, seed):
    check(case(seed, dim=2, grid=True), distance)


def test_block_rows_change_nothing():
    args = case(4)
    whole = identify(*args, fpirs=FPIRS, device="cpu")
    for rows in (1, 7, 1000):
        part = identify(*args, fpirs=FPIRS, device="cpu", block_rows=rows)
        assert (part.points, part.rank_1, part.rank_5) == (whole.points, whole.rank_1, whole.rank_5)
        assert part.mate_rank.tolist() == whole.mate_rank.tolist()


def test_perfect_and_collapsed():
    labels = np.arange(60) % 6
    emb = np.eye(6, dtype=np.float32)[labels]
    perfect = identify(emb, labels, np.eye(6)[:3], [0, 1, 2], fpirs=(0.5,), device="cpu")
    assert (perfect.rank_1, perfect.rank_5, perfect.tpir[0.5]) == (1.0, 1.0, 1.0)
    assert perfect.points[0.5].threshold == 0 and perfect.points[0.5].num_admitted == 0
    collapsed = identify(np.ones((60, 6)), labels, np.ones((3, 6)), [0, 1, 2], fpirs=(0.5,), device="cpu")
    assert (collapsed.rank_1, collapsed.rank_5, collapsed.tpir[0.5]) == (0.0, 1.0, 0.0)


def test_a_mate_above_the_threshold_but_not_first_does_not_count():
    angle = np.deg2rad([0, 20])
    gallery = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    probes = np.concatenate([gallery[1:], np.tile([[-1.0, 0.0]], (20, 1))])
    found = identify(probes, [0] + [9] * 20, gallery, [0, 1], fpirs=(0.5,), device="cpu")
    assert (found.rank_1, found.rank_5, found.tpir[0.5]) == (0.0, 1.0, 0.0)
    assert found.mate_rank.tolist() == [2] + [0] * 20


def test_closed_set_has_ranks_and_says_why_there_is_no_tpir():
    emb, labels = np.eye(3), [0, 1, 2]
    found = identify(emb, labels, emb, labels, fpirs=(1e-3, 0.1), device="cpu")
    assert found.rank_1 == 1.0 and found.num_unmated == 0
    assert found.points[1e-3].refusal == "TPIR@FPIR=0.001 needs at least 10,000 probes without a mate; there are 0."
    assert len(found.curve_fpir) == len(found.curve_tpir) == 0


def test_refusal_at_the_limit():
    rng = np.random.default_rng(0)
    probes, labels = rng.normal(size=(101, 4)), [0] + [1] * 100
    found = identify(probes, labels, rng.normal(size=(2, 4)), [0, 2], fpirs=(0.1, 0.09), device="cpu")
    assert found.tpir[0.1] is not None and found.tpir[0.09] is None
    assert "at least 112 probes" in found.points[0.09].refusal


def test_templates_texts_and_python_floats():
    rng = np.random.default_rng(0)
    names = np.array(list("abcde"))
    centres = rng.normal(size=(5, 8))
    images, owner = np.repeat(centres, 4, axis=0) + 0.1 * rng.normal(size=(20, 8)), np.repeat(names, 4)
    enrolled = templates(images[:12], owner[:12])
    probes = torch.from_numpy(np.repeat(centres, 10, axis=0) + 0.1 * rng.normal(size=(50, 8)))
    found = identify(probes, np.repeat(names, 10), enrolled.embeddings, enrolled.groups, fpirs=(0.5,), device="cpu")
    assert (found.num_mated, found.num_unmated, found.rank_1) == (30, 20, 1.0)
    assert all(type(v) is float for v in (found.rank_1, found.rank_5, found.tpir[0.5], found.points[0.5].threshold))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"fpirs": (0.0,)}, "fpirs"),
        ({"fpirs": 0.1}, "fpirs"),
        ({"probe_labels": [0]}, "probe_labels"),
        ({"probe_labels": [5, 6, 7]}, "none of 3 probes"),
        ({"probe_labels": ["a", "b", "c"]}, "texts"),
        ({"gallery_labels": [1, 1]}, "one template is enrolled per label"),
        ({"probe_emb": [[1.0, float("inf")]] * 3}, "probe_emb"),
        ({"gallery_emb": [[1.0, 2.0, 3.0]] * 2}, "dimensions"),
        ({"distance": "manhattan"}, "distance"),
        ({"block_rows": 0}, "block_rows"),
    ],
)
def test_bad_input(change, message):
    good = {
        "probe_emb": [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]],
        "probe_labels": [0, 1, 2],
        "gallery_emb": [[1.0, 0.5], [0.5, 1.0]],
        "gallery_labels": [0, 1],
    }
    with pytest.raises(CompatError, match=message):
        identify(**{**good, **change}, device="cpu")


@pytest.mark.parametrize("distance", ["l2", "dot"])
def test_gpu_agrees_exactly_on_a_grid(distance, gpu):
    args = case(2, grid=True)
    here, there = (identify(*args, distance=distance, fpirs=FPIRS, device=device) for device in ("cpu", gpu))
    assert (here.rank_1, here.rank_5, here.tpir) == (there.rank_1, there.rank_5, there.tpir)
    assert here.mate_rank.tolist() == there.mate_rank.tolist()
