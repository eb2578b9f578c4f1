"""Runs: the selection follows its run, not its row; details, differences and failures are shown."""

import dataclasses
import time

import pandas as pd
import pytest

from compat_core.data.config import ScenarioConfig
from compat_core.experiments.presets import configure
from compat_core.experiments.queue import enqueue
from compat_core.experiments.status import RunError
from compat_core.ui.live import STATE_MARKS
from compat_core.ui.pickers import duration, run_name
from compat_core.ui.run_card import old_model_saw


def words(app):
    elements = [*app.markdown, *app.caption, *app.error, *app.info, *app.warning, *app.subheader]
    return "\n".join(str(element.value) for element in elements)


def opened(app):
    """Ids in the address; one value comes as a text, several as a list."""
    ids = app.query_params.get("run", [])
    return [ids] if isinstance(ids, str) else list(ids)


def table_key(app):
    (name,) = [frame.proto.id for frame in app.dataframe if "-runs-table-" in frame.proto.id]
    return name[name.index("runs-table-") :]


def select(app, *rows):
    app.session_state[table_key(app)] = {"selection": {"rows": list(rows), "columns": [], "cells": []}}
    return app.run()


def test_a_length_of_time_is_told_in_its_two_largest_units():
    seconds = (None, 8.4, 130, 3_900, 169_000, 1_100_000)
    assert [duration(one) for one in seconds] == ["–", "8 s", "2 min 10 s", "1 h 05 min", "46 h 56 min", "12 d 17 h"]


def test_a_selected_row_is_in_the_address_and_can_be_given_up(copied, visit):
    (run,) = copied.list()
    app = select(visit("runs"), 0)
    assert opened(app) == [run.id]
    assert run.id in words(app)
    select(app)
    assert opened(app) == []
    assert run.id not in words(app)


def test_a_new_run_on_top_does_not_move_the_selection(copied, visit):
    (run,) = copied.list()
    app = select(visit("runs"), 0)
    fresh = enqueue(copied, configure("demo", seeds=(9,)))
    app.run()
    assert not app.exception
    assert opened(app) == [run.id]
    assert run.id in words(app) and fresh.id not in words(app)


def test_two_runs_show_what_differs(copied, visit):
    (run,) = copied.list()
    other = enqueue(copied, run.config.replace(seeds=(7,)))
    app = visit("runs", run=[run.id, other.id])
    (table,) = [frame.value for frame in app.dataframe if run.id in frame.value.columns]
    assert table.iloc[:, 0].tolist() == ["seeds"]


def test_a_finished_run_says_how_long_and_how_fast(finished, visit):
    app = visit("runs", run=finished.list()[0].id)
    assert "took" in words(app) and "images/s" in words(app)


def test_dates_and_times_in_the_list_are_numbers_that_sort(copied, visit):
    (run,) = copied.list()
    run.write_status(run.status.replace(started_at=1000.0, finished_at=1000.0 + 65 * 60))
    run.update_meta(created_at=time.time() - 600)
    older, waiting = (enqueue(copied, configure("demo", seeds=(seed,))) for seed in (8, 9))
    older.update_meta(created_at=time.time() - 2 * 86_400)
    table = visit("runs").dataframe[0].value.set_index("id")
    assert pd.api.types.is_datetime64_any_dtype(table["created"]) and pd.api.types.is_float_dtype(table["took"])
    assert table["created"].sort_values().index.tolist() == [older.id, run.id, waiting.id]
    assert table.loc[run.id, "took"] == 65
    assert table["took"].isna().sum() == 2, "what has not started took no time"


def test_a_queue_left_alone_is_woken_while_a_page_is_open(copied, visit, monkeypatch):
    woken = []
    enqueue(copied, configure("demo", seeds=(9,), device="cpu"))
    monkeypatch.setattr("compat_core.experiments.queue.spawn_dispatcher", lambda store, key: woken.append(key))
    app = visit("methods")
    woken.clear()  # whatever a server does when it starts
    app.run()
    assert woken == ["cpu"] and "waiting, place 1" in words(app)

    def refused(store, key):
        raise OSError("No space left on device")

    monkeypatch.setattr("compat_core.experiments.queue.spawn_dispatcher", refused)
    app.run()
    assert "The queue cannot be served: No space left on device" in words(app)
    assert "waiting, place 1" in words(app) and not app.exception


def test_a_failed_run_shows_the_fix_its_log_and_resume(copied, visit):
    (run,) = copied.list()
    run.write_status(run.status.replace(state="failed", error=RunError("out of memory", "halve the batch")))
    app = visit("runs", run=run.id)
    assert "out of memory" in words(app) and "halve the batch" in words(app)
    assert app.button(key="runs-live-resume") and app.button(key="runs-live-retry")


def test_a_run_that_met_a_bug_goes_on_once_that_is_mended(copied, visit):
    (run,) = copied.list()
    run.write_status(run.status.replace(state="failed", error=RunError("KeyError: 'x'", "report it", "Traceback …")))
    app = visit("runs", run=run.id)
    assert "report it" in words(app)
    assert app.button(key="runs-live-resume") and app.button(key="runs-live-retry")


def test_a_new_name_shows_at_once_and_is_no_markup(copied, visit):
    (run,) = copied.list()
    app = visit("runs", run=run.id)
    next(field for field in app.text_input if field.label == "Name").set_value("*mine*")
    next(button for button in app.button if button.label == "Save").click().run()
    assert not app.exception
    assert "*mine*" in app.dataframe[0].value["name"].tolist()
    assert r"\*mine\*" in [heading.value for heading in app.subheader]


def test_a_run_without_a_name_says_its_data_and_seeds(copied, visit):
    config = configure("half-classes", seeds=(1,))
    run = enqueue(copied, config.replace(data=dataclasses.replace(config.data, dataset="folder:/some/photos")))
    assert run_name(run) == "half-classes · photos · seed 1"


def test_the_data_set_of_a_run_is_shown(finished, visit):
    app = visit("runs", run=finished.list()[0].id)
    (card,) = [frame.value for frame in app.dataframe if "checksum" in list(frame.value.get("what", ()))]
    lines = card.set_index("what")["value"]
    assert "10 trained, 10 evaluated, 10 in both" in lines["classes"] and "50 %" in lines["the old model saw"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "100 % of the 100 trained classes, 100 % of their images"),
        ({"biased_classes": 0.25, "biased_images": 0.05}, "but of the last 25 of these classes only 5 %"),
        ({"old_classes": 0.5, "old_images": 0.4, "biased_classes": 0.1}, "but of the last 5 of these classes only 4 %"),
        ({"biased_classes": 0.004}, "100 % of the 100 trained classes, 100 % of their images"),
    ],
)
def test_what_the_old_model_saw_too_little_of_is_not_left_out(changed, said):
    text = old_model_saw(ScenarioConfig(**changed), 100)
    assert text.endswith(said)


def test_retry_opens_the_new_run(copied, visit):
    (run,) = copied.list()
    app = visit("runs", run=run.id)
    app.button(key="runs-live-retry").click().run()
    assert not app.exception
    fresh = next(one for one in copied.list() if one.id != run.id)
    assert opened(app) == [fresh.id]
    assert fresh.id in words(app)


def test_archived_runs_are_hidden_but_a_link_still_opens_them(copied, visit):
    (run,) = copied.list()
    run.update_meta(archived=True)
    app = visit("runs", run=run.id)
    assert "No run matches" in words(app)
    assert run.id in words(app)


def test_filters_keep_the_open_run(copied, visit):
    (run,) = copied.list()
    app = visit("runs", run=run.id)
    app.text_input(key="runs-text").set_value("no such run").run()
    assert not app.exception
    assert run.id in words(app)


def test_a_link_to_no_run_says_so(empty, visit):
    for run_id in ("nowhere", "../../etc", "a/b", "x" * 300):
        app = visit("runs", run=run_id)
        assert len(app.warning) == 1


def test_runs_of_one_name_are_told_apart_and_state_and_age_come_first(copied, visit):
    (run,) = copied.list()
    run.update_meta(name="mine")
    twins = [enqueue(copied, configure("demo", seeds=(8,))) for _ in range(2)]
    table = visit("runs").dataframe[0].value
    assert list(table.columns[:3]) == ["state", "created", "name"]
    names = table.set_index("id")["name"]
    for twin in twins:
        assert names[twin.id].startswith(f"{twin.id[-4:]} · ")
    assert names[run.id] == "mine" and names.is_unique
    labels = [link.proto.label for link in visit("start").get("page_link")]
    for twin in twins:
        (label,) = [label for label in labels if f" · {twin.id[-4:]} · " in label]
        assert label.startswith(STATE_MARKS["queued"]), "a long name would cut it off"


def test_a_run_with_damaged_results_stays_in_the_list_and_says_why(copied, visit):
    (run,) = copied.list()
    results = run.path / "results.json"
    results.write_bytes(results.read_bytes()[:5000])
    app = visit("runs")
    (table,) = (frame.value for frame in app.dataframe if "-runs-table-" in frame.proto.id)
    assert list(table["verdicts (mAP, %)"]) == ["results cannot be read"]
    app = select(app, 0)
    assert "not valid JSON" in words(app)
    labels = [button.label for button in app.button]
    assert "Resume" in labels and "Delete this run …" in labels
    assert any("Log" in expander.label for expander in app.expander)


def test_progress_is_a_whole_percentage(copied, visit):
    run = enqueue(copied, configure("demo", seeds=(9,)))
    run.write_status(dataclasses.replace(run.status, state="cancelled", progress=0.63341))
    (table,) = (frame.value for frame in visit("runs").dataframe if "-runs-table-" in frame.proto.id)
    assert 0.63 in list(table["progress"])
