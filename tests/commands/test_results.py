"""``runs``, ``show``, ``table`` and ``report``: results as text, files and pages."""

from __future__ import annotations

import json

import pytest

from compat_core.cli import main
from compat_core.experiments import files
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.status import RunStatus
from tests.commands.stage import RESULTS, one_error_line


def test_runs_lists_what_there_is(store, capsys):
    assert main(["runs"]) == 0 and "compat_core demo" in capsys.readouterr().out
    assert main(["runs", "--json"]) == 0 and json.loads(capsys.readouterr().out) == []


def test_runs_show_and_table(finished, store, capsys):
    lost = store.create(ExperimentConfig())
    lost.write_status(RunStatus(state="running"))
    assert main(["runs"]) == 0
    shown = capsys.readouterr().out
    assert "60.0" in next(line for line in shown.splitlines() if finished.id in line)
    assert "lost" in next(line for line in shown.splitlines() if lost.id in line)
    assert main(["runs", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry["state"] for entry in listed] == ["lost", "done"]
    assert listed[1]["headline"]["best_method"] == "fct" and listed[0]["headline"] is None

    assert main(["show", finished.id[:-1]]) == 0
    assert "verdict" in capsys.readouterr().out
    assert main(["show", finished.id, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["results"]["rows"]
    assert shown == [{"run": finished.id, **row} for row in RESULTS["rows"]]
    assert main(["show", lost.id]) == 0 and "lost" in capsys.readouterr().out

    assert main(["table", finished.id, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == finished.rows()
    assert main(["table", finished.id, lost.id]) == 2
    assert "has no results, it is lost" in one_error_line(capsys)


@pytest.mark.parametrize("format", ["csv", "md", "latex", "parquet"])
def test_tables_in_every_format(finished, tmp_path, capsys, format):
    out = tmp_path / "table"
    assert main(["table", finished.id, "--format", format, "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.out == "" and out.stat().st_size > 100
    assert main(["table", finished.id, "--format", format, "--out", str(tmp_path / "no" / "where")]) == 2
    assert "cannot be written" in one_error_line(capsys)


def lacking(store, metric):
    """Another finished run, made before there was ``metric``."""
    run = store.create(ExperimentConfig(device="cpu"), "Older")
    rows = [row for row in RESULTS["rows"] if row["metric"] != metric]
    files.write_json(run.path / "results.json", {**RESULTS, "run": run.id, "rows": rows})
    run.write_status(RunStatus(state="done", progress=1.0))
    return run


@pytest.mark.parametrize("command", ["table", "report"])
def test_a_metric_is_refused_by_name_or_with_the_runs_that_lack_it(command, finished, store, tmp_path, capsys):
    older = lacking(store, "CMC@1")
    base = [command, finished.id, older.id, "--out", str(tmp_path / "out")]
    assert main([*base, "--metric", "mAP", "--metric", "CMC-11"]) == 2
    assert "unknown metric: got 'CMC-11'" in (error := one_error_line(capsys)) and "did you mean 'CMC-1" in error
    assert main([*base, "--metric", "mAP", "--metric", "recall@1"]) == 2
    assert f"metric: got 'CMC@1'; not measured in {older.id};" in (error := one_error_line(capsys))
    assert "or choose of mAP" in error
    assert main([*base, "--metric", "map"]) == 0


@pytest.mark.parametrize("format", ["csv", "json", "md", "latex"])
def test_tables_of_chosen_metrics(finished, capsys, format):
    assert main(["table", finished.id, "--format", format, "--metric", "top-1"]) == 0
    chosen = capsys.readouterr().out
    assert "CMC@1" in chosen and "mAP" not in chosen
    assert main(["table", finished.id, "--format", format]) == 0
    assert "mAP" in capsys.readouterr().out


def test_a_table_of_what_a_protocol_measured(finished, store, capsys):
    tar = {
        "method": "fct",
        "seed": 0,
        "cell": "old/old",
        "value": 0.25,
        "ci_low": 0.2,
        "ci_high": 0.3,
        "num_queries": 9,
    }
    rows = [*RESULTS["rows"], tar | {"metric": "TAR@FAR=0.01"}, tar | {"metric": "gain(TAR@FAR=0.01)"}]
    files.write_json(finished.path / "results.json", {**RESULTS, "run": finished.id, "rows": rows})
    assert main(["table", finished.id, "--format", "json", "--metric", "tar@far=0.01"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["metric"] for row in found] == ["TAR@FAR=0.01", "gain(TAR@FAR=0.01)"]
    assert main(["table", finished.id, "--metric", "TAR@FAR=0.1"]) == 2 and "TAR@FAR" in one_error_line(capsys)
    older = lacking(store, "CMC@1")
    assert main(["table", finished.id, older.id, "--metric", "TAR@FAR=0.01"]) == 2
    assert f"not measured in {older.id}" in one_error_line(capsys)


def test_a_table_for_readers_has_the_verdicts_that_the_run_holds(finished, capsys):
    assert main(["table", finished.id, "--format", "md", "--metric", "mAP"]) == 0
    ends = [line.split(" | ")[-1] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert ends[2:] == ["? mixed/undecided |", "✓ compatible |"]


def test_a_damaged_run_does_not_hide_the_others(finished, store, capsys):
    damaged = store.create(ExperimentConfig())
    (damaged.path / "config.json").write_text("{")
    assert main(["runs", "--json"]) == 0
    captured = capsys.readouterr()
    assert [entry["run"] for entry in json.loads(captured.out)] == [finished.id]
    assert damaged.id in captured.err and "not valid JSON" in captured.err


def test_a_closed_run_is_named_beside_the_others(finished, store, capsys, closed):
    shut = store.create(ExperimentConfig())
    closed(shut.path)
    assert main(["runs", "--json"]) == 0
    captured = capsys.readouterr()
    assert [entry["run"] for entry in json.loads(captured.out)] == [finished.id]
    assert captured.err == f"{shut.path}: may not be read by this account\n"


def test_report_writes_a_page(finished, tmp_path):
    pytest.importorskip("plotly")
    out = tmp_path / "report.html"
    assert main(["report", finished.id, "--out", str(out)]) == 0
    assert "<html" in (page := out.read_text(encoding="utf-8")).lower()
    assert "mAP (%) ↑</caption>" in page and "CMC@1 (%) ↑</caption>" in page
    assert main(["report", finished.id, "--out", str(out), "--metric", "CMC@1"]) == 0
    assert "mAP (%) ↑</caption>" not in (page := out.read_text(encoding="utf-8")) and "CMC@1 (%) ↑" in page
