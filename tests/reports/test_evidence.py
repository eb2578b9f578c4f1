"""What runs say about a difference: paired by query, between the methods that its two sides mean."""

import dataclasses

import numpy as np
import pytest

from compat_core.reports.evidence import Evidence, NotKept, Side
from compat_core.spec import Spec
from tests.reports.claimed import FakeRun, without_rankings


def test_differences_agree_with_the_result_rows(run):
    evidence = Evidence(run, run.config)
    (measured,) = evidence.differences(Side("bct-sys", "new/migrated"), Side("bct-sys", "old/old"), "mAP")
    rows = [row for row in run.rows() if (row["method"], row["metric"]) == ("bct-sys", "gain(mAP)")]
    assert measured.gap.mean(axis=1) == pytest.approx([row["value"] for row in rows], abs=1e-6)
    assert measured.gap.mean() == pytest.approx(np.mean([row["value"] for row in rows]), abs=1e-6)


def test_variants_are_compared_where_only_what_the_claim_names_differs(monkeypatch):
    variants = ({}, {"side": "none"}, {"epochs": 60}, {"epochs": 60, "side": "none"}, {"epochs": 90, "side": "none"})
    methods = tuple(Spec("fct", params) for params in variants)
    config = dataclasses.replace(FakeRun().config, methods=(*methods, Spec("bct-sys")))
    monkeypatch.setattr(Evidence, "values", lambda self, label, cell, metric: np.zeros((1, 5)))
    evidence = Evidence(FakeRun(), config)

    def compared(better, worse):
        return [one.what.replace(" new/migrated", "") for one in evidence.differences(better, worse, "mAP")]

    simclr, none = (Side("fct", "new/migrated", {"side": side}) for side in ("simclr", "none"))
    assert compared(simclr, none) == ["fct − fct:side=none", "fct:epochs=60 − fct:epochs=60,side=none"]
    assert len(compared(simclr, Side("bct-sys", "new/migrated"))) == 2


def test_sides_pick_by_resolved_parameters(run):
    evidence = Evidence(run, run.config)
    assert evidence.labels(Side("fct", "new/migrated", {"side": "none"})) == ["plain"]
    assert evidence.labels(Side("fct", "new/migrated", {"side": "simclr"})) == ["fct"]
    assert evidence.labels(Side("lce", "new/migrated")) == []


def test_orders_cannot_be_compared_without_areas_per_query(run, tmp_path):
    slim = without_rankings(run, tmp_path, size=36)
    with pytest.raises(NotKept, match="without its backfill's areas per query"):
        Evidence(slim, slim.config).backfill_differences("fct", "oracle", "random", "mAP")
    assert Evidence(slim, slim.config).backfill_differences("fct", "sigma", "random", "mAP") == []


def test_orders_are_compared_by_the_area_under_their_curves(run):
    evidence = Evidence(run, run.config)
    assert evidence.backfill_differences("fct", "sigma", "random", "mAP") == []  # fct predicts no uncertainty
    first, _ = evidence.backfill_differences("fct", "oracle", "random", "mAP")
    areas = {
        (entry["order"], entry["seed"]): entry["auc"]
        for entry in run.results()["backfill"]
        if (entry["method"], entry["metric"]) == ("fct", "mAP")
    }
    assert first.gap.mean(axis=1) == pytest.approx(
        [areas["oracle", seed] - areas["random", seed] for seed in (0, 1)], abs=1e-6
    )
