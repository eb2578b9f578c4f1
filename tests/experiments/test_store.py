from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from compat_core.errors import CompatError
from compat_core.experiments import files, queue
from compat_core.experiments.status import RunStatus, this_process
from compat_core.experiments.store import RunStore


def test_create_writes_a_complete_readable_run(store, config):
    run = store.create(config.replace(title="Größe & Maß: v2"))
    stamp, clock, *slug, tail = run.id.split("-")
    assert len(stamp) == 8 and len(clock) == 6 and len(tail) == 4
    assert slug == ["gro", "e", "ma", "v2"] or slug == ["groe", "ma", "v2"]
    assert run.config == config.replace(title="Größe & Maß: v2")
    assert run.meta.name == "Größe & Maß: v2" and run.meta.created_at > 0
    assert run.status.state == "queued" and run.exists()
    assert run.results() is None and run.rows() == [] and run.events() == ([], 0)
    assert run.log_tail() == "" and run.environment() is None
    assert [entry.name for entry in store.root.iterdir()] == [run.id]


def test_the_slug_falls_back_to_the_data_set_and_the_title_argument_wins(store, config):
    assert "-digits-" in store.create(config).id
    assert "-my-name-" in store.create(config.replace(title="other"), "My name").id
    assert "-half-classes-" in store.create(config.replace(preset="half-classes", title="日本")).id


def test_ids_are_unique_and_the_list_is_newest_first(store, config):
    made = [store.create(config) for _ in range(12)]
    assert [run.id for run in store.list()] == [run.id for run in reversed(made)]


def test_the_list_passes_over_what_is_no_run(store, config):
    assert store.list() == []
    run = store.create(config)
    (store.root / "empty").mkdir()
    (store.root / ".queue").mkdir()
    (store.root / "file.txt").write_text("x")
    half = store.create(config)
    (half.path / "config.json").unlink()
    damaged = store.create(config)
    (damaged.path / "meta.json").write_text("{")
    assert {found.id for found in store.list()} == {run.id, damaged.id}


def test_a_run_deleted_while_listing_is_passed_over(store, config, monkeypatch):
    kept, gone = store.create(config), store.create(config)
    real = files.folders_with

    def found_and_then_deleted(root, name):
        found = real(root, name)
        shutil.rmtree(gone.path)
        return found

    monkeypatch.setattr(files, "folders_with", found_and_then_deleted)
    assert [run.id for run in store.list()] == [kept.id]


def test_a_closed_folder_is_named_and_hides_no_other_run(store, config, closed):
    shut, kept = store.create(config, queued=True), store.create(config, queued=True)
    closed(shut.path)
    assert [run.id for run in store.list()] == [kept.id] and store.unreadable() == [shut.path]
    assert not shut.exists() and store.get(kept.id) == kept
    assert queue.waiting_runs(store, "cpu") == [kept]
    for read in (lambda: shut.config, lambda: shut.meta, lambda: shut.status):
        with pytest.raises(CompatError, match="by this account"):
            read()


def test_a_closed_configuration_is_named_and_hides_no_other_run(store, config, monkeypatch):
    shut, kept = store.create(config), store.create(config)
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: shut.path not in Path(path).parents and real(path, mode))
    assert [run.id for run in store.list()] == [kept.id] and store.unreadable() == [shut.path]


def test_a_closed_runs_folder_is_empty_and_named(store, config, closed):
    store.create(config)
    assert store.unreadable() == []
    closed(store.root)
    assert store.list() == [] and store.unreadable() == [store.root]
    assert RunStore(store.root / "below").list() == []


def test_get_takes_a_unique_beginning_and_suggests(store, config):
    first, second = store.create(config, "alpha"), store.create(config, "beta")
    assert store.get(first.id) == first
    assert store.get(second.id[:-2]) == second
    with pytest.raises(CompatError, match="2 runs start so"):
        store.get(first.id[:4])
    with pytest.raises(CompatError, match=f"did you mean '{first.id}'"):
        store.get(first.id.replace("alpha", "alhpa"))
    with pytest.raises(CompatError, match="compat_core runs"):
        store.get("zzz")


@pytest.mark.parametrize("text", ["", ".", "..", "../x", "a/b", "/etc", "a\\b", ".queue", "a\0b", "x/"])
def test_an_id_is_never_a_path(store, config, text):
    store.create(config)
    with pytest.raises(CompatError, match="must be an id"):
        store.get(text)


def test_a_path_to_a_run_of_this_folder_is_answered_with_its_id(store, config):
    run = store.create(config)
    with pytest.raises(CompatError, match=f"write {run.id}$"):
        store.get(f"{run.path}/")
    with pytest.raises(CompatError, match="--runs-dir"):
        store.get(f"elsewhere/{run.id}")


def test_the_root_comes_from_the_environment_and_must_be_a_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPATBENCH_RUNS", str(tmp_path / "there"))
    assert RunStore().root == tmp_path / "there"
    monkeypatch.delenv("COMPATBENCH_RUNS")
    monkeypatch.chdir(tmp_path)
    assert RunStore().root == tmp_path / "runs"
    (tmp_path / "file").write_text("")
    with pytest.raises(CompatError, match="is a file"):
        RunStore(tmp_path / "file")


def test_meta_is_changed_field_by_field(store, config):
    run = store.create(config)
    run.update_meta(tags=["a", " b ", "a", ""], pinned=True)
    meta = run.update_meta(notes="why\nnot")
    assert (meta.tags, meta.pinned, meta.notes) == (("a", "b"), True, "why\nnot") == (
        run.meta.tags, run.meta.pinned, run.meta.notes,
    )  # fmt: skip
    with pytest.raises(CompatError, match="did you mean 'pinned'"):
        run.update_meta(pined=True)
    for wrong in ({"pinned": "yes"}, {"tags": "one"}, {"name": 3}):
        with pytest.raises(CompatError, match="must be a"):
            run.update_meta(**wrong)


def test_rows_have_the_run_first_whether_stored_or_not(store, config):
    run = store.create(config)
    files.write_json(run.path / "results.json", {"rows": [{"method": "bct", "run": "old-name"}, {"method": "fct"}]})
    assert [list(row.items()) for row in run.rows()] == [
        [("run", run.id), ("method", "bct")],
        [("run", run.id), ("method", "fct")],
    ]


def test_a_copied_folder_is_a_run_of_its_own(store, config):
    run = store.create(config)
    files.write_json(run.path / "results.json", {"rows": [{"method": "bct"}]})
    shutil.copytree(run.path, store.root / "a copy")
    copy = store.get("a copy")
    assert copy.rows()[0]["run"] == "a copy" and copy.config == config


@pytest.mark.parametrize(
    "read",
    [
        lambda run: run.config,
        lambda run: run.status,
        lambda run: run.meta,
        lambda run: run.events(),
        lambda run: run.log_tail(),
        lambda run: run.results(),
        lambda run: run.rows(),
        lambda run: run.environment(),
        lambda run: run.update_meta(name="x"),
        lambda run: run.request_cancel(),
        lambda run: run.write_status(RunStatus()),
        lambda run: run.delete(),
    ],
)
def test_a_deleted_run_says_that_it_was_deleted(store, config, read):
    run = store.create(config)
    run.delete()
    assert not run.exists() and run.cancel_requested() is None
    with pytest.raises(CompatError, match=f"run {run.id} was deleted"):
        read(run)
    assert list(store.root.iterdir()) == []


def test_a_run_deleted_between_two_looks_says_so_too(store, config, monkeypatch):
    run = store.create(config)
    files.write_json(run.path / "results.json", {"rows": []})

    def read_after_deletion(path):
        shutil.rmtree(run.path)
        raise FileNotFoundError(path)

    monkeypatch.setattr(files, "read_json", read_after_deletion)
    with pytest.raises(CompatError, match="was deleted"):
        run.results()


def test_a_missing_or_broken_status_is_done_or_lost(store, config):
    run = store.create(config)
    for content in (b"{", b"{}", None):
        if content is None:
            (run.path / "status.json").unlink()
        else:
            (run.path / "status.json").write_bytes(content)
        assert run.status.state == "lost"
        assert "cannot be read" in run.status.error.message
    files.write_json(run.path / "results.json", {"rows": []})
    assert run.status.state == "done"


def test_a_dead_process_makes_a_run_lost(store, config):
    run = store.create(config)
    run.write_status(RunStatus(state="running", **this_process()))
    assert run.status.state == "running"
    run.write_status(RunStatus(state="running", **{**this_process(), "pid_start_time": "ticks 1"}))
    assert run.status.state == "lost" and run.stored_status().state == "running"


def test_a_running_run_is_not_deleted(store, config):
    run = store.create(config)
    run.write_status(RunStatus(state="running", **this_process()))
    with pytest.raises(CompatError, match="cancel it before"):
        run.delete()
    run.write_status(RunStatus(state="done"))
    lock = run.lock
    assert lock.acquire() and run.lock.is_held() and not run.lock.acquire()
    with pytest.raises(CompatError, match="cancel it before"):
        run.delete()
    lock.release()
    run.delete()
    assert store.list() == []


def test_the_wish_to_cancel_is_kept_until_taken_back(store, config):
    run = store.create(config)
    assert not run.cancel_requested()
    run.request_cancel()
    asked_at = run.cancel_requested()
    run.request_cancel()
    assert asked_at and run.cancel_requested() == asked_at
    run.clear_cancel()
    assert not run.cancel_requested()
