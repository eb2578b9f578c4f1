"""The protocols of a run: fixed trials that never mix an item with itself, and cells that say what the metrics say."""

import numpy as np
import pytest
import torch

from compat_core.data.images import ImageSet
from compat_core.errors import CompatError
from compat_core.experiments.config import ProtocolConfig
from compat_core.experiments.exposure import RARE, SEEN, UNSEEN, exposure_groups
from compat_core.experiments.protocol_study import ProtocolStudy, chunks, open_set
from compat_core.metrics import identify, verify

LABELS = np.repeat(np.arange(8), [3, 9, 10, 12, 20, 20, 31, 2])


def images(labels=LABELS, classes=8):
    pixels = torch.zeros((len(labels), 1, 8, 8), dtype=torch.uint8)
    names = tuple(f"class {index}" for index in range(classes))
    return ImageSet(pixels, torch.as_tensor(labels), np.array([f"i{k}" for k in range(len(labels))]), names)


def vectors(seed):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).normal(size=(8, 16))
    return torch.as_tensor(centres[LABELS] + rng.normal(size=(len(LABELS), 16)), dtype=torch.float32)


@pytest.mark.parametrize("size", [1, 4])
def test_chunks_use_every_item_once_and_keep_classes_apart(size):
    trials = chunks(LABELS, size)
    assert sorted(trials.items) == list(range(len(LABELS)))
    assert (trials.labels[trials.template] == LABELS[trials.items]).all()
    counts = np.bincount(trials.template)
    assert counts.max() <= size
    assert (counts < size).sum() <= 8  # one short template per class at most


def test_no_probe_is_part_of_an_enrolled_template():
    gallery, probes = open_set(LABELS, 1, 0.5)
    assert not set(gallery.items) & set(probes.items)
    assert len(gallery.labels) == len(set(gallery.labels)) == 4
    assert set(probes.labels) - set(gallery.labels)  # somebody is nobody's mate
    assert set(gallery.items) | set(probes.items) == set(range(len(LABELS)))


def test_one_class_cannot_be_an_open_set():
    with pytest.raises(CompatError, match="two classes"):
        open_set(np.zeros(9, dtype=np.int64), 1, 0.5)


def test_only_classes_with_two_items_are_enrolled():
    labels = np.array([0, 0, 0, 1, 1, 2, 3, 4, 5])
    gallery, probes = open_set(labels, 1, 0.5)
    assert sorted(gallery.labels) == [0, 1] and set(probes.labels) == set(range(6))
    with pytest.raises(CompatError, match="two evaluation images"):
        open_set(np.arange(5), 1, 0.5)


def test_cells_are_what_the_metrics_say_of_the_same_templates():
    config = ProtocolConfig(verification=True, identification=True, template_size=2, fars=(0.05,), fpirs=(0.5,))
    study = ProtocolStudy(images(), config, "cpu")
    query, gallery = vectors(2), vectors(3)
    found = study.run({"old/old": (gallery, gallery), "new/old": (query, gallery)})
    pairs = chunks(LABELS, 2)
    ids = np.arange(len(pairs.labels))
    expected = verify(pairs.of(query), pairs.labels, pairs.of(gallery), pairs.labels, ids, ids, fars=(0.05,))
    cell = found["verification"]["new/old"]
    assert cell.values == {"TAR@FAR=0.05": expected.tar[0.05], "EER": expected.eer, "ROC-AUC": expected.auc}
    accepted, trials = cell.per_query["TAR@FAR=0.05"], cell.per["TAR@FAR=0.05"]
    assert accepted.sum() / trials.sum() == pytest.approx(expected.tar[0.05]) and (accepted <= trials).all()
    enrolled, probes = open_set(LABELS, 2, 0.5)
    named = identify(probes.of(query), probes.labels, enrolled.of(gallery), enrolled.labels, fpirs=(0.5,))
    cell = found["identification"]["new/old"]
    assert cell.values["TPIR@FPIR=0.5"] == named.tpir[0.5]
    assert cell.per_query["rank-1"].mean() == pytest.approx(named.rank_1)


def test_a_refused_operating_point_has_no_value_and_says_why():
    config = ProtocolConfig(verification=True, fars=(1e-6,))
    scores = ProtocolStudy(images(), config, "cpu").run({"old/old": (vectors(2), vectors(2))})["verification"][
        "old/old"
    ]
    assert scores.values["TAR@FAR=1e-06"] is None
    assert "TAR@FAR=1e-06" not in scores.per_query
    assert "needs at least" in scores.entry["points"][0]["refusal"]


def test_cells_of_all_methods_are_scored_once(monkeypatch):
    study = ProtocolStudy(images(), ProtocolConfig(verification=True), "cpu")
    scored = []
    original = study.score["verification"]
    study.score["verification"] = lambda pair: (scored.append(1), original(pair))[1]
    old, raw = (vectors(1), vectors(1)), (vectors(2), vectors(1))
    study.run({"old/old": old, "new/old": raw, "new/migrated": raw})
    assert len(scored) == 2
    study.run({"old/old": (vectors(1), vectors(1)), "new/old": (vectors(5), vectors(1))})
    assert len(scored) == 3


def test_rates_outside_zero_and_one_are_refused():
    with pytest.raises(CompatError, match=r"protocols\.fars"):
        ProtocolConfig(fars=(0.1, 1.5))


def test_subgroups_follow_what_the_old_model_saw():
    train = images(np.repeat(np.arange(3), 20), 3)
    chosen = np.concatenate([np.arange(10), [20]])  # half of class 0, one of class 1, none of class 2
    groups = exposure_groups(train, chosen, images(np.array([0, 1, 2, 2]), 3))
    assert groups.tolist() == [SEEN, RARE, UNSEEN, UNSEEN]
    assert exposure_groups(train, np.arange(60), images(np.array([0, 1, 2]), 3)) is None
