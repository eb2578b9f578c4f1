"""A new ordering is one file: runs, decisions, figures and lists take it from there."""

import json
import sys

import numpy as np
import pytest
import torch

from compat_core.cli import main
from compat_core.data.images import ImageSet
from compat_core.experiments.backfill_study import BackfillStudy
from compat_core.experiments.config import ExperimentConfig
from compat_core.registry import import_modules
from compat_core.reports.backfill_curves import curve_of_run, curves_figure, curves_of_plan
from compat_core.retrieval import orderings
from compat_core.retrieval.orderings import ORDERINGS
from compat_core.vectors.decision import decide
from compat_core.vectors.plan import choosable
from compat_core.vectors.studies import studies
from tests.vectors.worlds import better_new, clustered, quick

FILE = '''
"""Rows in the order in which they were stored, the last one first."""

from compat_core.retrieval.orderings.base import ORDERINGS, Gallery, Ordering


def newest_first(gallery: Gallery, labels):
    return sorted(range(len(gallery)), reverse=True)


ORDERINGS.add(
    Ordering(
        name="newest",
        title="Newest first",
        summary="the rows stored last first",
        needs=("labels",),
        arrange=newest_first,
    )
)
'''


@pytest.fixture
def newest(tmp_path):
    (tmp_path / "newest.py").write_text(FILE, encoding="utf-8")
    orderings.__path__.append(str(tmp_path))
    import_modules(orderings.__name__, orderings.__path__)
    yield "newest"
    orderings.__path__.remove(str(tmp_path))
    del sys.modules[f"{orderings.__name__}.newest"], orderings.newest, ORDERINGS._entries["newest"]


def known(drawn):
    """Those drawn that this test knows of; others may have come since."""
    names = ("random", "sigma", "class-mean", "class", "popularity", "oracle", "newest")
    return [name for name in drawn if name in names]


def looks(figure):
    """Ordering -> colour, dash and marker of its line."""
    lines = [trace for trace in figure.data if trace.name]
    return {line.name.split()[0]: (line.line.color, line.line.dash, line.marker.symbol) for line in lines}


def test_a_run_draws_it_in_a_look_of_its_own(newest):
    labels, new = clustered(np.random.default_rng(0), count=80)
    old = new + np.random.default_rng(1).standard_normal(new.shape).astype(np.float32)
    pixels, ids, names = torch.zeros(80, 1, 8, 8, dtype=torch.uint8), np.arange(80).astype(str), tuple("abcdefghijkl")
    images = ImageSet(pixels, torch.tensor(labels), ids, names)
    study = BackfillStudy(0, images, ExperimentConfig(resamples=100), "cpu", np.arange(80))
    found = study.run("fct", new, new, old, torch.rand(80))
    drawn = [entry["order"] for entry in found.entries if entry["metric"] == "mAP"]
    assert known(drawn) == ["random", "class-mean", "class", "oracle", newest, "sigma"]
    assert {"newest mAP", "newest CMC@1"} <= set(found.per_query)
    curves = [curve_of_run([entry]) for entry in found.entries if entry["metric"] == "mAP"]
    shown = looks(curves_figure(curves, "mAP", "a title", {}))
    assert len(set(shown.values())) == len(drawn)
    assert shown[newest][0] not in {shown[name][0] for name in known(drawn) if name != newest}


def test_a_decision_plans_it_and_can_choose_it(newest):
    given, told = better_new(weights=np.ones(500)), []
    decision, evidence = decide(given, quick(), told.append)
    plan = studies(given, decision, evidence)["plan"]
    drawn = [entry["order"] for entry in plan]
    assert known(drawn) == ["random", "class-mean", "class", "popularity", newest, "oracle"]
    shown = looks(curves_figure(curves_of_plan(plan), "mAP", "a title", {}))
    assert len(set(shown.values())) == len(plan)
    assert newest in [entry.name for entry in choosable(("labels",))]
    assert len(told) == len(decision.rows) and f" of {len(told)}: " in told[0]


def test_it_is_listed(newest, capsys):
    assert main(["orderings", "--json"]) == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert entries[newest]["needs"] == ["labels"] and entries[newest]["title"] == "Newest first"


def test_without_its_file_it_is_gone():
    assert "newest" not in ORDERINGS
