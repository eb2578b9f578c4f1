"""Protocol metrics: every entry documented and producible, and per-query counts that add up to the rates."""

import dataclasses

import numpy as np
import pytest

from compat_core.errors import CompatError
from compat_core.metrics import PROTOCOL_METRICS, identify, verify
from compat_core.metrics.protocols import protocol_metric
from compat_core.metrics.verification import accepted_genuine


@pytest.fixture(scope="module")
def points():
    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(12), 10)
    centres = rng.normal(size=(12, 8))
    query, gallery = (centres[labels] + rng.normal(size=(120, 8)) for _ in range(2))
    return query, gallery, labels


@pytest.mark.parametrize("entry", PROTOCOL_METRICS, ids=lambda entry: entry.name)
def test_every_entry_is_documented_and_has_a_direction(entry):
    texts = {field.name: getattr(entry, field.name) for field in dataclasses.fields(entry) if field.type == "str"}
    assert all(text for name, text in texts.items() if name != "rate"), texts
    assert entry.direction in (-1, 1)
    assert (entry.low, entry.high) == (0.0, 1.0)


def test_directions_are_true():
    """A perfect space must be better than a random one in every metric's own direction."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(40), 20)
    centres = rng.normal(size=(40, 16))
    perfect, noise = centres[labels], rng.normal(size=(800, 16))
    found = {}
    for name, emb in (("perfect", perfect), ("noise", noise)):
        ids = np.arange(800)
        pairs = verify(emb, labels, emb, labels, ids, ids, fars=(0.01,), device="cpu")
        gallery = [np.flatnonzero(labels == label)[:10].mean() for label in range(20)]
        enrolled = np.stack([emb[labels == label][:10].mean(axis=0) for label in range(len(gallery))])
        probes = identify(emb, labels, enrolled, np.arange(20), fpirs=(0.1,), device="cpu")
        found[name] = {
            "TAR@FAR": pairs.tar[0.01], "EER": pairs.eer, "ROC-AUC": pairs.auc,
            "TPIR@FPIR": probes.tpir[0.1], "rank-1": probes.rank_1, "rank-5": probes.rank_5,
        }  # fmt: skip
    for entry in PROTOCOL_METRICS:
        better = entry.direction * (found["perfect"][entry.name] - found["noise"][entry.name])
        assert better > 0, entry.name
        assert entry.low <= found["noise"][entry.name] <= entry.high


def test_accepted_genuine_pairs_agree_with_a_loop_and_add_up_to_the_tar(points):
    query, gallery, labels = points
    ids = np.arange(120)
    scores = verify(query, labels, gallery, labels, ids, ids, fars=(0.01, 0.1), device="cpu")
    cuts = [scores.points[rate].threshold for rate in (0.01, 0.1)]
    accepted = accepted_genuine(query, labels, gallery, labels, cuts, ids, ids, device="cpu", block_rows=7)
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (query, gallery))
    for row in range(120):
        for column, cut in enumerate(cuts):
            expected = sum(
                a[row] @ b[other] > cut for other in range(120) if labels[other] == labels[row] and other != row
            )
            assert accepted[row, column] == expected
    assert accepted.sum(axis=0) / scores.num_genuine == pytest.approx([scores.tar[0.01], scores.tar[0.1]])


def test_mate_scores_say_which_probes_make_the_tpir(points):
    query, gallery, labels = points
    enrolled = np.stack([gallery[labels == label].mean(axis=0) for label in range(6)])
    scores = identify(query, labels, enrolled, np.arange(6), fpirs=(0.2,), device="cpu")
    mated = labels < 6
    assert np.isnan(scores.mate_score[~mated]).all()
    hit = (scores.mate_rank[mated] == 1) & (scores.mate_score[mated] > scores.points[0.2].threshold)
    assert hit.mean() == pytest.approx(scores.tpir[0.2])


def test_names_with_an_operating_point_lead_to_their_entry():
    assert protocol_metric("TAR@FAR=0.001").name == "TAR@FAR"
    assert PROTOCOL_METRICS.get("TPIR@FPIR").at(0.01) == "TPIR@FPIR=0.01"
    with pytest.raises(CompatError, match="EER"):
        protocol_metric("ERR")
