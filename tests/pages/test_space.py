"""Space: what is selected, what its true neighbours are, and a computation that a reload finds again."""

import json
import shutil

import numpy as np
import pytest

from compat_core.experiments import projection
from compat_core.experiments.artefacts import Artefacts
from compat_core.experiments.projection import ProjectionConfig
from compat_core.retrieval.search import top_k

CONFIG = ProjectionConfig(method="fct")


def texts(app):
    elements = [*app.markdown, *app.caption, *app.error, *app.warning, *app.info, *app.subheader]
    return "\n".join(str(element.value) for element in elements)


def write_layout(run, config):
    rows, labels, versions = projection.vectors(run, config)
    folder = projection.folder(run)
    folder.mkdir(exist_ok=True)
    path = folder / f"{config.digest}.npz"
    np.savez(
        path, rows=np.tile(rows, len(versions)), labels=np.tile(labels, len(versions)),
        version=np.repeat(list(versions), len(rows)),
        xy=np.random.default_rng(0).normal(size=(len(rows) * len(versions), 2)),
    )  # fmt: skip
    return path


@pytest.fixture
def run(finished):
    """The finished run with a layout of two methods, which is taken away again."""
    (run,) = finished.list()
    paths = [write_layout(run, config) for config in (CONFIG, ProjectionConfig(method="bct-sys"))]
    yield run
    for path in paths:
        path.unlink()


def chosen(*ids):
    return {
        "selection": {"points": [{"customdata": name} for name in ids], "point_indices": [], "box": [], "lasso": []}
    }


def select(app, *ids):
    app.session_state["space-map"] = chosen(*ids)
    return app.run()


def selected_table(app):
    return next((frame.value for frame in app.dataframe if "version" in frame.value.columns), None)


def test_the_drag_mode_is_the_chosen_tool(run, visit):
    """A click selects only in Streamlit's pan mode: it must be the first one, whatever the figure proposes."""
    app = visit("space", run=run.id, method="fct")
    for tool in ("pan", "lasso", "select"):
        app.segmented_control(key="space-tool").set_value(tool).run()
        (chart,) = app.get("plotly_chart")
        assert json.loads(chart.proto.spec)["layout"]["dragmode"] == tool
    app = visit("space", run=run.id, method="fct")
    assert app.segmented_control(key="space-tool").value == "pan"


def test_a_link_holds_the_parameters_of_the_projection(run, visit):
    app = visit("space", **{"run": run.id, "method": "fct", "space-n_neighbors": "30", "space-min_dist": "0.5"})
    assert app.number_input(key="space-n_neighbors").value == 30
    assert "has not been computed yet" in texts(app), "another projection than the one of the first values"
    assert {field.proto.query_param_key for field in app.number_input} >= {"space-n_neighbors", "space-min_dist"}


def test_a_link_holds_colour_versions_and_tool(run, visit):
    app = visit("space", **{"run": run.id, "method": "fct", "space-colour": "class", "space-tool": "lasso",
                            "space-versions": "migrated"})  # fmt: skip
    colour, tool = (app.segmented_control(key=key) for key in ("space-colour", "space-tool"))
    versions = app.multiselect(key="space-versions")
    assert (colour.value, tool.value, versions.value) == ("label", "lasso", ["migrated"])
    bound = [widget.proto.query_param_key for widget in (colour, tool, versions)]
    assert bound == ["space-colour", "space-tool", "space-versions"], "the browser writes them"


def test_selected_items_are_listed_in_every_version(run, visit):
    ids = np.asarray(Artefacts(run.path).gallery().ids)
    app = visit("space", run=run.id, method="fct")
    assert "Click a point, or" in texts(app)
    select(app, ids[3], ids[5], ids[3])
    assert not app.exception
    assert "2 selected" in texts(app)
    table = selected_table(app)
    assert set(table["id"]) == {ids[3], ids[5]} and len(table) == 6
    assert "nearest neighbours" not in texts(app)


def test_one_item_shows_its_neighbours_in_the_original_space(run, tmp_path, visit, monkeypatch):
    searches = []

    def watched(query, gallery, k, distance, *ids, **options):
        searches.append(distance)
        return top_k(query, gallery, k, distance, *ids, **options)

    monkeypatch.setattr("compat_core.ui.space_selection.top_k", watched)
    copy = tmp_path / "runs"
    shutil.copytree(run.path.parent, copy)
    settings = copy / run.id / "config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"distance": "l2"}))
    monkeypatch.setenv("COMPATBENCH_RUNS", str(copy))
    app = visit("space", run=run.id, method="fct")
    select(app, np.asarray(Artefacts(run.path).gallery().ids)[7])
    assert not app.exception
    assert "1 selected" in texts(app) and "nearest neighbours in the original space" in texts(app)
    assert searches == ["l2"] * 3, "the run's own distance"


def test_selection_outlives_a_change_of_the_figure_and_ends_when_undone(run, visit):
    ids = np.asarray(Artefacts(run.path).gallery().ids)
    app = visit("space", run=run.id, method="fct")
    select(app, ids[3], ids[5])
    app.session_state["space-map"] = chosen()
    app.segmented_control(key="space-colour").set_value("label").run()
    assert "2 selected" in texts(app), "the browser drops the selection when the colours change"
    select(app, ids[9])
    assert "1 selected" in texts(app)
    select(app)
    assert "selected" not in texts(app).replace("nearest", ""), "undone by a double click"


def test_filters_colours_and_lines(run, visit):
    app = visit("space", run=run.id, method="fct")
    for colour in ("label", "correct", "version"):
        app.segmented_control(key="space-colour").set_value(colour).run()
        assert not app.exception, app.exception
    app.toggle(key="space-lines").set_value(True).run()
    assert "Lines need both" not in texts(app)
    app.multiselect(key="space-versions").set_value(["migrated"]).run()
    assert "Lines need both" in texts(app)
    app.selectbox(key="method").set_value("bct-sys").run()
    assert not app.exception, "a method without migrated vectors drops that filter"
    assert "leaves old vectors as they are" in texts(app)


def test_right_and_wrong_are_those_the_run_measured(run, visit):
    files = Artefacts(run.path)
    ids = np.asarray(files.gallery().ids)
    app = visit("space", run=run.id, method="fct")
    select(app, *ids[:40])
    table = selected_table(app).pivot(index="id", columns="version", values="correct").loc[ids[:40]]
    for version, cell in (("old", "old/old"), ("migrated", "new/migrated"), ("new", "new/new")):
        measured = files.ranking(0, "fct", cell)["CMC@1"][:40]
        assert table[version].tolist() == (measured == 1).tolist()


def test_a_run_from_before_the_metrics_per_query_still_shows(run, visit, monkeypatch):
    real = Artefacts.ranking

    def early(self, *place):
        return {name: array for name, array in real(self, *place).items() if name in ("indices", "scores")}

    monkeypatch.setattr(Artefacts, "ranking", early)
    app = visit("space", run=run.id, method="fct")
    assert not app.error and "original space" in texts(app)


def test_a_reload_finds_the_computation_at_work(finished, visit, monkeypatch):
    monkeypatch.setattr(projection, "is_running", lambda run, config: True)
    monkeypatch.setattr(projection, "start", lambda run, config: pytest.fail("it is computed already"))
    app = visit("space", method="fct")
    assert "Computing the projection" in texts(app)
    assert not [button for button in app.button if button.key == "space-compute"]


def test_a_failed_computation_says_why_and_can_be_repeated(finished, visit):
    (run,) = finished.list()
    log = projection.process(run, CONFIG).log
    log.parent.mkdir(exist_ok=True)
    log.write_text("projection: needs umap-learn")
    try:
        app = visit("space", run=run.id, method="fct")
        assert not app.exception
        assert "was not finished" in texts(app)
        assert "umap-learn" in app.code[-1].value
        assert app.button(key="space-compute")
    finally:
        log.unlink()


def test_clear_forgets_the_selection(run, visit):
    ids = np.asarray(Artefacts(run.path).gallery().ids)
    app = visit("space", run=run.id, method="fct")
    select(app, ids[3])
    app.button(key="space-clear").click().run()
    assert not app.exception
    assert "Click a point, or" in texts(app)
