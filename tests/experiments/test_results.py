"""A run's results: parsed once per version of the file, the caller's own, under the folder's name."""

from __future__ import annotations

import shutil

import pytest

from compat_core.errors import CompatError
from compat_core.experiments import files

RESULTS = {
    "run": "written-for",
    "rows": [{"method": "bct", "run": "written-for", "value": 0.5}, {"method": "fct", "value": 0.25}],
    "verdicts": [{"method": "bct", "outcome": "compatible"}, {"run": "written-for", "outcome": "undecided"}],
    "chance": {"mAP": 0.1},
    "backfill": [{"order": "random", "values": [0.1, 0.2]}],
}


def with_results(store, config, values=RESULTS):
    run = store.create(config)
    files.write_json(run.path / "results.json", values)
    return run


@pytest.fixture
def parsed(monkeypatch):
    """The files that are parsed, in turn."""
    read, names = files.read_json, []

    def counted(path):
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(files, "read_json", counted)
    return names


def orders(results):
    return tuple(entry["order"] for entry in results["backfill"])


def test_everything_speaks_of_the_folder_that_it_lies_in(store, config):
    run = with_results(store, config)
    shutil.copytree(run.path, store.root / "a copy")
    for one in (run, store.get("a copy")):
        results = one.results()
        assert results["run"] == one.id
        assert [row["run"] for row in results["rows"]] == [one.id, one.id]
        assert results["verdicts"] == [
            {"method": "bct", "outcome": "compatible"},
            {"run": one.id, "outcome": "undecided"},
        ]
        assert one.rows() == results["rows"]
        assert "written-for" not in str(results)


def test_a_file_is_parsed_once_until_it_is_written_anew(store, config, parsed):
    run = with_results(store, config)
    assert run.results() == run.results() and len(run.rows()) == 2
    assert parsed == ["results.json"]
    files.write_json(run.path / "results.json", RESULTS | {"chance": {"mAP": 0.2}})  # as long as before
    assert run.results()["chance"] == {"mAP": 0.2}


def test_what_one_caller_changes_no_other_sees(store, config):
    run = with_results(store, config)
    changed = run.results()
    changed["rows"][0]["value"] = 9
    changed["rows"].clear()
    changed["backfill"][0]["values"].append(9)
    changed["chance"]["mAP"] = 9
    fresh = run.results()
    assert [row.get("value") for row in fresh["rows"]] == [0.5, 0.25]
    assert fresh["backfill"] == RESULTS["backfill"] and fresh["chance"] == RESULTS["chance"]


def test_what_is_derived_is_worked_out_once_per_version_of_the_file(store, config):
    run, calls = with_results(store, config), []

    def counted(results):
        calls.append(results["run"])
        return orders(results)

    assert run.derive(counted) == run.derive(counted) == ("random",)
    assert calls == [run.id]
    files.write_json(run.path / "results.json", RESULTS | {"backfill": []})
    assert run.derive(counted) == ()
    assert store.create(config).derive(counted) is None, "no results yet"


def test_what_is_no_object_is_said_every_time(store, config):
    run = with_results(store, config, [1, 2])
    for read in (run.results, run.rows, lambda: run.derive(orders)):
        with pytest.raises(CompatError, match="must be an object"):
            read()
