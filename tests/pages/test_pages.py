"""Every page: cold, empty, with a run, with bad input. Nothing raises and nothing typed is lost."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from compat_core.experiments.artefacts import Artefacts
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.presets import configure
from compat_core.experiments.store import RunStore
from compat_core.ui.claim_parts import answered
from compat_core.ui.frame import PAGES
from compat_core.ui.sidebar import served_queue
from compat_core.vectors.jobs import DecisionJob, DecisionStore


def table_with(app, column):
    """The one table of the page that has this column."""
    (found,) = [table.value for table in app.dataframe if column in table.value.columns]
    return found


def texts(app):
    elements = [*app.markdown, *app.caption, *app.error, *app.warning, *app.info, *app.success, *app.title]
    return "\n".join(str(element.value) for element in elements)


def png(size=(40, 30), colour=200):
    buffer, picture = io.BytesIO(), Image.new("L", size, colour)
    picture.paste(20, (size[0] // 2, size[1] // 4, size[0] // 2 + 3, 3 * size[1] // 4))
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("name", PAGES)
def test_cold_visit_with_nothing_there(name, empty, visit):
    app = visit(name)
    assert app.title[0].value
    if name in ("compare", "space", "search", "claims", "backfill"):
        assert "Run the demo" in json.dumps([str(block) for block in app.main]) or "demo" in texts(app)


@pytest.mark.parametrize("name", PAGES)
def test_visit_with_a_finished_run(name, finished, visit):
    app = visit(name)
    assert not app.error, [error.value for error in app.error]


@pytest.mark.parametrize("name", PAGES)
def test_no_widget_has_two_first_values(name, finished, visit, monkeypatch):
    """Streamlit warns, once per server, of a widget with a default whose state is set as well."""
    warned = []
    monkeypatch.setattr("streamlit.elements.lib.policies._shown_default_value_warning", False)
    monkeypatch.setattr("streamlit.elements.lib.policies._LOGGER.warning", lambda *args, **_: warned.append(args[1]))
    app = visit(name, preset="demo") if name == "launch" else visit(name)
    app.run()
    assert not app.exception and not warned


@pytest.mark.parametrize("name", PAGES)
def test_the_sidebar_leads_to_every_page(name, empty, visit):
    links = [link.proto.label for link in visit(name).sidebar.get("page_link")]
    assert links == [title for title, _ in PAGES.values()]


@pytest.mark.parametrize("name", PAGES)
def test_a_closed_folder_is_named_in_the_sidebar_and_takes_no_page_down(name, copied, visit, closed):
    shut = copied.create(configure("demo"))
    (copied.root / "decisions" / "one").mkdir(parents=True)
    closed(shut.path)
    closed(copied.root / "decisions" / "one")
    served_queue.clear()
    app = visit(name)
    assert not app.error, [error.value for error in app.error]
    (note,) = [caption.value for caption in app.sidebar.caption if "Not readable here" in caption.value]
    assert shut.id in note and "`one`" in note
    if name == "runs":
        (table,) = [frame.value for frame in app.dataframe if "verdicts (mAP, %)" in frame.value]
        assert table["id"].tolist() == [copied.list()[0].id]


def test_a_queue_that_cannot_be_served_is_a_note_in_the_sidebar(tmp_path, monkeypatch, visit):
    monkeypatch.setenv("COMPATBENCH_RUNS", str(tmp_path))
    RunStore(tmp_path).create(configure("demo"), queued=True)
    (tmp_path / ".queue").write_text("in the way, as a folder without write permission is")
    served_queue.clear()
    app = visit("launch", preset="demo")
    assert not app.error and any("cannot be written" in note.value for note in app.sidebar.caption)
    app.button(key="launch-start").click().run()
    assert not app.exception and any("cannot be written" in error.value for error in app.error)


def test_claims_folds_away_what_the_runs_cannot_speak_to(finished, visit):
    app = visit("claims")
    (folded,) = [expander for expander in app.expander if expander.label.startswith("Not tested by these runs")]
    silent = [text.value for text in folded.markdown]
    answered = [text.value for text in app.markdown if text.value not in silent]
    assert any("FCT leaves the new model exactly as it is" in text for text in answered)
    assert silent and all("not tested" in text for text in silent)
    assert not any("not tested" in text for text in answered)


def test_claims_names_a_run_from_before_the_metrics_per_query(copied, visit, monkeypatch):
    real = Artefacts.ranking

    def early(self, *place):
        return {name: array for name, array in real(self, *place).items() if name in ("indices", "scores")}

    monkeypatch.setattr(Artefacts, "ranking", early)
    answered.clear()  # the same id was answered for by another store
    app = visit("claims")
    assert not app.error and any("keeps no mAP per query" in note.value for note in app.warning)
    answered.clear()


def test_demo_button_queues_the_demo_and_shows_it(empty, visit):
    app = visit("start")
    app.button(key="demo").click().run()
    assert not app.exception
    (run,) = empty.list()
    assert run.config == configure("demo")
    assert run.status.state == "queued"
    assert app.button(key="demo").disabled
    assert "Waiting" in texts(app)
    again = visit("start")
    assert "Waiting" in texts(again), "a refresh finds the run again"


def test_start_shows_the_verdict_of_a_finished_demo(copied, visit):
    (run,) = copied.list()
    whole = configure("demo", seeds=run.config.seeds)  # the fixture's run is a quicker one
    (run.path / "config.json").write_text(json.dumps(whole.to_dict()))
    app = visit("start")
    assert {"Status quo", "Naive swap", "Ceiling"} <= {metric.label for metric in app.metric}
    tables = [frame.value for frame in app.dataframe]
    (matrix,) = [table for table in tables if "verdict" in table.columns]
    assert matrix["method"].tolist() == ["independent", "bct-sys", "fct"]


def test_launch_queues_what_the_form_says(empty, visit):
    app = visit("launch", preset="demo")
    app.text_input(key="demo-seeds").set_value("0 3").run()
    app.number_input(key="demo-old-train-epochs").set_value(2).run()
    app.multiselect(key="demo-methods").set_value(["independent", "bct"]).run()
    assert not app.exception
    app.button(key="launch-start").click().run()
    (run,) = empty.list()
    assert run.config.seeds == (0, 3)
    assert run.config.old.train.epochs == 2
    assert [spec.label for spec in run.config.methods] == ["independent", "bct"]


def test_launch_unchanged_preset_gives_the_short_command(empty, visit):
    app = visit("launch", preset="half-classes")
    assert app.code[-1].value == "python -m compat_core run --preset half-classes"


def test_launch_says_what_is_wrong_and_keeps_what_was_typed(empty, visit):
    app = visit("launch", preset="demo")
    app.text_input(key="demo-seeds").set_value("one").run()
    assert any("seeds" in error.value for error in app.error)
    assert app.text_input(key="demo-seeds").value == "one"
    app.text_input(key="demo-seeds").set_value("0").run()
    app.selectbox(key="demo-dataset").set_value("folder").run()
    app.text_input(key="demo-folder").set_value("/no/such/folder").run()
    assert any("/no/such/folder" in error.value for error in app.error)
    assert app.button(key="launch-start").disabled
    assert not app.exception


def test_launch_reads_a_configuration_file(empty, visit):
    app = visit("launch")
    config = configure("demo", seeds=(7,))
    app.file_uploader(key="config-file").upload(
        "config.json", json.dumps(config.to_dict()).encode(), "application/json"
    ).run()
    assert not app.exception and not app.error
    app.button(key="launch-start").click().run()
    assert ExperimentConfig.from_dict(empty.list()[0].config_dict()).seeds == (7,)
    app.file_uploader(key="config-file").upload("config.json", b'{"metods": []}', "application/json").run()
    assert any("methods" in error.value for error in app.error)


def test_runs_shows_one_run_in_detail(finished, visit):
    run = finished.list()[0]
    app = visit("runs", run=run.id)
    assert run.id in texts(app)
    assert app.button(key="runs-live-retry")


def test_runs_survives_a_folder_that_vanishes(finished_root, tmp_path, monkeypatch, visit):
    shutil.copytree(finished_root, tmp_path / "runs")
    monkeypatch.setenv("COMPATBENCH_RUNS", str(tmp_path / "runs"))
    run = RunStore(tmp_path / "runs").list()[0]
    app = visit("runs", run=run.id)
    assert not app.error
    shutil.rmtree(run.path)
    app.run()
    assert not app.exception
    for name in ("runs", "compare", "search", "space", "claims"):
        visit(name, run=run.id)


def test_runs_delete_asks_first(finished_root, tmp_path, monkeypatch, visit):
    shutil.copytree(finished_root, tmp_path / "runs")
    monkeypatch.setenv("COMPATBENCH_RUNS", str(tmp_path / "runs"))
    store = RunStore(tmp_path / "runs")
    run = store.list()[0]
    app = visit("runs", run=run.id)
    app.button(key=f"delete-{run.id}").click().run()
    assert store.list(), "nothing is deleted by the first click"
    app.button(key="delete-yes").click().run()
    assert not app.exception
    assert not store.list()


def test_runs_notes_are_kept(finished, visit):
    run = finished.list()[0]
    app = visit("runs", run=run.id)
    app.text_input[-1].set_value("paper, table 1")
    next(button for button in app.button if button.label == "Save").click().run()
    assert not app.exception
    assert run.meta.tags == ("paper", "table 1")


def test_compare_shows_matrix_and_every_metric(finished, visit):
    app = visit("compare")
    for metric in ("CMC@1", "R-precision", "mAP"):
        app.selectbox(key="metric").set_value(metric).run()
        assert not app.exception, app.exception
        assert not app.error


def test_search_by_picked_item_and_by_upload(finished, visit):
    app = visit("search")
    assert "✓" in texts(app) or "✗" in texts(app)
    app.file_uploader(key="query-file").upload("digit.png", png(), "image/png").run()
    assert not app.exception
    assert not app.error
    assert "■ new" in texts(app) and "◆ migrated" in texts(app)
    app.slider(key="share").set_value(100).run()
    assert "◆ migrated" not in texts(app)
    app.selectbox(key="query-class").set_value(3).run()
    assert "right" in texts(app)


BAD = {
    "text.png": b"this is a text file",
    "empty.png": b"",
    "cut.jpg": None,
    "bomb.png": None,
}


def bad_bytes(name):
    if name == "cut.jpg":
        buffer = io.BytesIO()
        pixels = np.random.default_rng(0).integers(0, 255, (200, 200), dtype=np.uint8)
        Image.fromarray(pixels).save(buffer, "JPEG")
        return buffer.getvalue()[:3000]
    if name == "bomb.png":
        data = bytearray(png((10, 10)))
        data[16:24] = (60_000).to_bytes(4, "big") * 2
        import struct
        import zlib

        data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
        return bytes(data)
    return BAD[name]


@pytest.mark.parametrize("name", BAD)
def test_search_refuses_what_is_no_image(name, finished, visit):
    app = visit("search")
    app.slider(key="hits").set_value(5).run()
    app.file_uploader(key="query-file").upload(name, bad_bytes(name), "image/png").run()
    assert not app.exception, app.exception
    assert len(app.error) == 1
    assert name in app.error[0].value
    assert app.slider(key="hits").value == 5


def test_space_computes_in_another_process_and_shows_the_map(finished, visit, monkeypatch):
    from compat_core.experiments import projection

    started = []
    monkeypatch.setattr(projection, "start", lambda run, config: started.append(config) or FakeProcess())
    app = visit("space")
    app.button(key="space-compute").click().run()
    assert started[0].method == "fct"
    run = finished.list()[0]
    rows, labels, versions = projection.vectors(run, started[0])
    folder = projection.folder(run)
    folder.mkdir(exist_ok=True)
    count = len(rows) * len(versions)
    np.savez(
        folder / f"{started[0].digest}.npz", rows=np.tile(rows, len(versions)), labels=np.tile(labels, len(versions)),
        version=np.repeat(list(versions), len(rows)), xy=np.random.default_rng(0).normal(size=(count, 2)),
    )  # fmt: skip
    app = visit("space")
    assert not app.error
    assert "original space" in texts(app)


class FakeProcess:
    def poll(self):
        return None


def test_methods_page_finds_by_word(empty, visit):
    app = visit("methods")
    app.text_input(key="find").set_value("2112.02805").run()
    assert not app.exception
    assert any("FCT" in heading.value for heading in app.subheader)


def test_the_sidebar_says_that_a_decision_is_being_made(empty, visit, monkeypatch):
    job = DecisionStore(empty.root).create("shop vectors", [])
    assert any(caption.value == "Nothing is running." for caption in visit("start").sidebar.caption)
    monkeypatch.setattr(DecisionJob, "state", "running")
    app = visit("start")
    assert any(caption.value.startswith(f"Judging {job.title}") for caption in app.sidebar.caption)
    assert not any(caption.value == "Nothing is running." for caption in app.sidebar.caption)
    assert [link.proto.label for link in app.sidebar.get("page_link")][-1] == "Show decision"
