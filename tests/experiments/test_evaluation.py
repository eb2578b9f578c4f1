"""Numbers of one seed: what is cut, what is counted, and which queries a curve's references are of."""

import numpy as np
import pytest
import torch

from compat_core.data.images import ImageSet
from compat_core.device import pick_device
from compat_core.experiments.artefacts import Artefacts
from compat_core.experiments.config import ProtocolConfig
from compat_core.experiments.evaluation import Means, SeedEvaluation
from compat_core.experiments.exposure import SEEN, UNSEEN
from compat_core.experiments.presets import configure
from compat_core.metrics.bootstrap import bootstrap_ratio

RATE = "TAR@FAR=0.1"


def evaluation(labels, old, new, folder, groups=None, **changes):
    count = len(labels)
    pixels = torch.zeros((count, 1, 8, 8), dtype=torch.uint8)
    names = tuple(f"class {index}" for index in range(max(labels) + 1))
    images = ImageSet(pixels, torch.as_tensor(labels), np.array([f"i{k}" for k in range(count)]), names)
    config = configure("demo").replace(resamples=200, **({"backfill_queries": 0} | changes))
    return SeedEvaluation(0, images, config, pick_device("cpu").device, old, new, Artefacts(folder), groups)


def by_cell(found, metric):
    return {row["cell"]: row for row in found.rows if row["metric"] == metric}


def test_a_longer_new_vector_is_cut_where_one_threshold_serves_all_queries(tmp_path):
    """Every new vector begins with the old one; one in three has a long rest, which would shorten its cosines."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(6), 8)
    old = torch.as_tensor(np.eye(6)[labels] + 0.01 * rng.normal(size=(48, 6)), dtype=torch.float32)
    rest = torch.zeros(48, 2)
    rest[::3] = 20.0
    new = torch.cat([old, rest], dim=1)
    found = evaluation(labels, old, new, tmp_path, protocols=ProtocolConfig(verification=True, fars=(0.1,)))
    found.add("independent", new, query=new, gallery_new=new, gallery_old=torch.cat([old, torch.zeros(48, 2)], dim=1))
    accepted = by_cell(found, RATE)
    assert accepted["new/old"]["value"] == accepted["new/migrated"]["value"] == accepted["old/old"]["value"] == 1.0
    assert by_cell(found, "ROC-AUC")["new/old"]["value"] == 1.0


def test_a_level_at_an_operating_point_stays_a_share_when_classes_are_unequal(tmp_path):
    labels = np.repeat(np.arange(4), [10, 2, 9, 3])
    emb = torch.as_tensor(np.eye(4)[labels], dtype=torch.float32)
    found = evaluation(labels, emb, emb, tmp_path, protocols=ProtocolConfig(verification=True, fars=(0.1,)))
    found.add("independent", emb, query=emb, gallery_new=emb, gallery_old=emb)
    for row in by_cell(found, RATE).values():
        assert (row["ci_low"], row["value"], row["ci_high"]) == (1.0, 1.0, 1.0)


def test_a_mean_per_trial_is_resampled_with_its_trials():
    rng = np.random.default_rng(1)
    trials = rng.integers(1, 30, 80).astype(float)
    accepted = rng.binomial(trials.astype(int), 0.7).astype(float)
    found = Means({("new/old", "TAR"): accepted, ("new/old", "mAP"): accepted}, 500, {"TAR": trials})
    assert found.of({("new/old", "mAP"): 1.0}).estimate == pytest.approx(accepted.mean())
    share, expected = found.of({("new/old", "TAR"): 1.0}), bootstrap_ratio(accepted, trials, 500)
    assert (share.estimate, share.low, share.high) == pytest.approx((expected.estimate, expected.low, expected.high))


def test_a_group_without_an_answerable_query_has_no_gap(tmp_path):
    """Classes the old model never saw have one image each: nothing of them can be found."""
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 3])
    emb = torch.as_tensor(np.eye(4)[labels], dtype=torch.float32)
    groups = np.array([SEEN] * 6 + [UNSEEN] * 2)
    found = evaluation(labels, emb, emb, tmp_path, groups, backfill_queries=100)
    found.add("independent", emb, query=emb, gallery_new=emb, gallery_old=emb)
    assert found.subgroups == [] and found.backfill and "subgroups" not in found.backfill[0]


def test_references_of_a_backfill_are_of_the_queries_it_was_drawn_for(tmp_path):
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(5), 20)
    old, new = (
        torch.as_tensor(rng.normal(size=(100, 6)) + 2 * np.eye(5, 6)[labels], dtype=torch.float32) for _ in "on"
    )
    found = evaluation(labels, old, new, tmp_path, backfill_queries=30)
    found.add("independent", new, query=new, gallery_new=new, gallery_old=old)
    entry = next(one for one in found.backfill if one["metric"] == "mAP")
    assert entry["values"][-1] == pytest.approx(entry["references"]["paragon"], abs=1e-6)  # backfilled, it is the new
    queries = found.chosen_queries()
    expected = found.old_scores.per_query.average_precision[queries].mean()
    assert entry["references"]["old/old"] == pytest.approx(expected)
    assert entry["references"]["old/old"] != pytest.approx(found.old_scores.mean_ap, abs=1e-6)
