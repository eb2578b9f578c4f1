"""Backfill: curves with their bill; a click neither parses every run anew nor loads its networks."""

import shutil

import pytest

from compat_core.experiments import files
from compat_core.experiments.artefacts import Artefacts
from compat_core.experiments.store import RunStore
from compat_core.reports.backfill_bill import AXES
from tests.pages.test_pages import table_with, texts


def test_a_second_look_parses_no_results_and_loads_no_networks(copied, visit, monkeypatch):
    (run,) = copied.list()
    for place in range(3):
        shutil.copytree(run.path, copied.root / f"copy-{place}")
    app = visit("backfill")
    assert app.get("plotly_chart") and not app.error
    read, parsed, loaded = files.read_json, [], []
    monkeypatch.setattr(files, "read_json", lambda path: parsed.append(path.name) or read(path))
    monkeypatch.setattr(Artefacts, "load_upgrade", lambda *arguments: loaded.append(arguments))
    app.run()
    assert not app.exception and not app.error
    visit("runs")
    assert parsed.count("results.json") == 0
    assert not loaded


def test_what_the_method_does_to_old_rows_is_said(copied, visit):
    app = visit("backfill")
    assert "mapped by fct" in "\n".join(caption.value for caption in app.caption)
    app.selectbox(key="backfill-method").set_value("bct-sys").run()
    assert "old, as bct-sys leaves them" in "\n".join(caption.value for caption in app.caption)


def test_where_no_share_is_named_the_page_says_why(copied, visit):
    (run,) = copied.list()
    results = run.results()
    for entry in results["backfill"]:
        if entry["method"] == "fct" and entry["order"] == "oracle":
            entry["share_for"] = dict.fromkeys(entry["share_for"])
    files.write_json(run.path / "results.json", results)
    said = [box.value for box in visit("backfill").info]
    assert any("adds nothing" in text and "oracle" in text for text in said)


@pytest.fixture
def older(copied):
    """A finished run that is not the one shown first."""
    (run,) = copied.list()
    shutil.copytree(run.path, copied.root / "copy")
    return copied.list()[-1]


def test_a_link_may_name_a_run_as_on_other_pages(older, visit):
    app = visit("backfill", run=older.id)
    assert app.selectbox(key="source-choice").value == older.id and not app.warning
    other = visit("backfill").selectbox(key="source-choice").value
    assert other != older.id
    app.selectbox(key="source-choice").set_value(other).run()
    assert app.selectbox(key="source-choice").value == other, "the link does not take the choice back"
    assert app.query_params["source"] == other


def test_a_link_to_a_run_that_is_not_here_is_told_so(copied, visit):
    assert "nowhere: not here" in visit("backfill", run="nowhere").warning[0].value


def test_a_link_holds_the_axis(copied, visit):
    app = visit("backfill", **{"backfill-axis": AXES["money"]})
    control = app.segmented_control(key="backfill-axis")
    assert control.value == "money" and control.proto.query_param_key == "backfill-axis"


def test_backfill_of_a_run_in_every_axis(finished, visit):
    app = visit("backfill")
    assert not app.error
    for axis in ("items", "gpu_hours", "money", "days"):
        app.segmented_control(key="backfill-axis").set_value(axis).run()
        assert not app.exception and not app.error
    table = table_with(app, "smallest share (95 %)")
    assert set(table["of what a full backfill would still add"]) == {"90 %", "95 %", "99 %"}
    before = table["money"].tolist()
    assert visit("backfill", **{"backfill-costs-gpus": "8"}).number_input(key="backfill-costs-gpus").value == 8
    app.number_input(key="backfill-costs-gpu_price").set_value(500.0).run()
    table = table_with(app, "smallest share (95 %)")
    assert table["money"].tolist() != before or set(before) == {"–"}


def test_backfill_of_a_decision(decided, visit):
    app = visit("backfill", source=decided.id)
    assert not app.error
    table = table_with(app, "smallest share (95 %)")
    assert len(table) == 3 * len(decided.document()["studies"]["plan"])


def test_backfill_with_nothing_says_what_to_do(empty, visit):
    assert "demo" in texts(visit("backfill"))
    assert RunStore(empty.root).list() == []
