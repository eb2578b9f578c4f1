"""Vectors and Backfill: bring vectors, see the answer and its bill, and what a share of the gain takes."""

import io
import json

import numpy as np
import pytest

from compat_core.experiments.store import RunStore
from compat_core.reports.decision import decision_page
from compat_core.vectors.bill import CostConfig
from compat_core.vectors.decision import decide
from compat_core.vectors.jobs import DecisionStore
from compat_core.vectors.outcome import with_costs
from compat_core.vectors.pictures import lost_queries
from compat_core.vectors.studies import per_query, studies
from tests.pages.test_pages import texts
from tests.vectors.worlds import better_new, quick


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What ``decide`` writes, made once."""
    given = better_new()
    decision, evidence = decide(given, quick())
    looked = studies(given, decision, evidence)
    document = {
        "schema_version": 1,
        "decision": decision.to_dict(),
        "studies": looked,
        "inputs": {"old": {}},
        "environment": {},
    }
    return json.loads(json.dumps(document)), per_query(given, evidence)


@pytest.fixture
def decided(written, empty):
    """A store with one finished decision."""
    job = DecisionStore(empty.root).create("shop vectors", ["--old", "o.npy", "--new", "n.npy"])
    document, arrays = written
    np.savez(job.path / "per_query.npz", **arrays)
    (job.path / "decision.html").write_text(decision_page(document))
    (job.path / "decision.json").write_text(json.dumps(document))
    return job


def table_with(app, column):
    (found,) = [table.value for table in app.dataframe if column in table.value.columns]
    return found


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.fixture
def started(monkeypatch):
    jobs = []
    monkeypatch.setattr("compat_core.vectors.jobs.DecisionJob.start", lambda job: jobs.append(job))
    return jobs


def test_two_uploads_start_a_decision(empty, visit, started):
    app = visit("vectors")
    assert app.button(key="vectors-start").disabled
    given = better_new()
    for name in ("old", "new"):
        app.file_uploader(key=f"vectors-{name}").upload(
            f"{name}.npy", npy(getattr(given, name)), "application/x-npy"
        ).run()
    app.number_input(key="vectors-config-pairs").set_value(123).run()
    app.button(key="vectors-start").click().run()
    assert not app.exception
    (job,) = started
    assert job.arguments[-2:] == ["--pairs", "123"] and job.title == "old.npy"
    np.testing.assert_array_equal(np.load(job.inputs / "old.npy"), given.old)


def test_paths_that_are_not_there_are_said_and_kept(empty, visit, started, tmp_path):
    app = visit("vectors")
    app.segmented_control(key="vectors-source").set_value("paths").run()
    app.text_input(key="vectors-path-old").set_value("/no/such/old.npy").run()
    assert any("/no/such/old.npy" in error.value for error in app.error)
    assert app.text_input(key="vectors-path-old").value == "/no/such/old.npy" and not app.exception


def test_a_finished_run_brings_its_vectors(finished, visit, started):
    app = visit("vectors")
    app.segmented_control(key="vectors-source").set_value("run").run()
    app.button(key="vectors-start").click().run()
    (job,) = started
    assert job.arguments[:2] == ["--run", finished.list()[0].id]
    job.delete()


def test_the_answer_stands_first_with_every_option_and_the_closer_look(decided, visit):
    app = visit("vectors", decision=decided.id)
    document = decided.document()
    assert f"Recommended: {document['decision']['recommended']}" in texts(app)
    assert len(table_with(app, "embed again")) == len(document["decision"]["rows"])
    for column in ("share for 95 % of the gain", "recalibrated score", "lost / won %", "p99, ms", "recall@10 %"):
        assert len(table_with(app, column))
    assert not app.error


def test_changed_prices_change_the_bill_and_nothing_else(written):
    decided = written[0]["decision"]
    dear = with_costs(decided, CostConfig(items=10**9, gpu_price=50.0))
    by_name = {row["name"]: row for row in dear["rows"]}
    for row in decided["rows"]:
        assert by_name[row["name"]]["gain"] == row["gain"]
    assert by_name["full backfill"]["bill"]["money"] > 1000
    assert with_costs(decided, CostConfig(**decided["config"]["costs"])) == decided


def test_a_failed_decision_shows_its_last_words(empty, visit, started):
    job = DecisionStore(empty.root).create("broken", [])
    job.process.log.write_text("compatbench: --old: no such file\n")
    app = visit("vectors", decision=job.id)
    assert any("no such file" in code.value for code in app.code)
    app.button(key="decision-again").click().run()
    assert started == [job] and not app.exception


def test_lost_queries_are_those_that_were_right(written):
    arrays = written[1]
    option = arrays["options"].tolist()[-1]
    lost = lost_queries(arrays, option)
    base, now = arrays["options"].tolist().index("status quo"), len(arrays["options"]) - 1
    assert len(lost) == int(((arrays["top_1"][base] == 1) & (arrays["top_1"][now] == 0)).sum())
    assert (lost["ap_now"] - lost["ap_before"]).is_monotonic_increasing


def test_migration_is_started_and_its_file_offered(decided, visit, monkeypatch):
    words = []
    monkeypatch.setattr(
        "compat_core.experiments.background.BackgroundProcess.start", lambda self, arguments: words.extend(arguments)
    )
    app = visit("vectors", decision=decided.id)
    app.button(key="migrate-start").click().run()
    assert not app.exception
    assert words[0] == "migrate" and words[words.index("--vectors") + 1] == "o.npy"
    assert words[words.index("--out") + 1] == str(decided.path / "migrated.npy")
    np.save(decided.path / "migrated.npy", np.zeros((2, 2), dtype=np.float32))
    (decided.path / "migrated.npy.manifest.json").write_text("{}")
    app = visit("vectors", decision=decided.id)
    assert any("Migrated" in message.value for message in app.success) and not app.exception


# -- Backfill ----------------------------------------------------------------------------------------------------------


def test_backfill_of_a_run_in_every_axis(finished, visit):
    app = visit("backfill")
    assert not app.error
    for axis in ("items", "gpu_hours", "money", "days"):
        app.segmented_control(key="backfill-axis").set_value(axis).run()
        assert not app.exception and not app.error
    table = table_with(app, "smallest share (95 %)")
    assert set(table["of what a full backfill would still add"]) == {"90 %", "95 %", "99 %"}
    before = table["money"].tolist()
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
