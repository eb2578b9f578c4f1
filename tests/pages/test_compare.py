"""Compare: a verdict per metric with its interval, several runs side by side, everything downloadable."""

import io
import json
import shutil

import pandas as pd
import pytest

from compat_core.experiments.store import RunStore
from compat_core.ui.compare_verdicts import verdict_grid, verdict_lines


def line(method, metric, seed, outcome, difference, low, high):
    return {
        "method": method, "metric": metric, "seed": seed, "outcome": outcome,
        "difference": difference, "ci_low": low, "ci_high": high,
    }  # fmt: skip


def texts(app):
    elements = [*app.markdown, *app.caption, *app.error, *app.warning, *app.info]
    return "\n".join(str(element.value) for element in elements)


def copied(root, target):
    """A store with the run twice; the copy has another data set and a method less."""
    shutil.copytree(root, target)
    store = RunStore(target)
    (run,) = store.list()
    other = target / f"{run.id[:-4]}ffff"
    shutil.copytree(run.path, other)
    results = json.loads((other / "results.json").read_text())
    results["dataset"] = "other"
    for key in ("rows", "verdicts", "curves", "per_class", "backfill"):
        results[key] = [row for row in results[key] if row["method"] != "fct"]
    (other / "results.json").write_text(json.dumps(results))
    return store, run.id, other.name


@pytest.fixture
def two(finished_root, tmp_path, monkeypatch):
    monkeypatch.setenv("COMPATBENCH_RUNS", str(tmp_path / "runs"))
    return copied(finished_root, tmp_path / "runs")


def test_grid_gives_the_interval_of_one_seed_and_the_spread_of_several():
    one = {"run": "r", "verdicts": [
        line("bct", "mAP", 0, "compatible", 0.1, 0.08, 0.12),
        line("l2", "mAP", 0, "undecided", -0.001, -0.02, 0.02),
        line("fct", "mAP", 0, "compatible", 0.1, 0.05, 0.15),
        line("fct", "mAP", 1, "not compatible", -0.1, -0.15, -0.05),
        line("bct", "CMC@1", 0, "not compatible", -0.2, -0.3, -0.1),
    ]}  # fmt: skip
    grid = verdict_grid(verdict_lines([one])).set_index("method")
    assert grid.loc["bct", "mAP"] == "✓ +10.0 [8.0, 12.0]"
    assert grid.loc["l2", "mAP"] == "? −0.1 [−2.0, 2.0]"
    assert grid.loc["fct", "mAP"] == "? 0.0 ± 14.1, n=2"
    assert grid.loc["bct", "CMC@1"] == "✗ −20.0 [−30.0, −10.0]"
    assert grid.loc["fct", "CMC@1"] == "–"


def test_verdict_of_every_method_on_every_metric(finished, visit):
    app = visit("compare")
    (grid,) = [frame.value for frame in app.dataframe if {"method", "CMC@1", "R-precision"} <= set(frame.value.columns)]
    assert grid["method"].tolist() == ["independent", "bct-sys", "fct"]
    assert all("n=2" in text for text in grid["mAP"])


def test_another_metric_is_never_swapped_in_silence(finished, visit):
    app = visit("compare")
    assert "not measured in" not in texts(app)
    app.selectbox(key="metric").set_value("R-precision").run()
    assert not app.exception
    assert "Cost and recovered gain are not measured in R-precision: shown in mAP." in texts(app)
    charts = [json.loads(chart.proto.spec)["layout"]["title"]["text"] for chart in app.get("plotly_chart")]
    assert "Cost and recovered gain, mAP" in charts, "the figure is the one that the caption names"
    assert "R-precision is not kept per class" in texts(app)
    app.selectbox(key="metric").set_value("CMC@1").run()
    assert "CMC@1 of the class's queries, mean over seeds" in texts(app)


def test_metrics_that_a_run_lacks_are_not_offered_and_said_with_the_run(two, visit):
    store, first, second = two
    path = store.get(second).path / "results.json"
    results = json.loads(path.read_text())
    results["rows"] = [row for row in results["rows"] if "R-precision" not in row["metric"]]
    path.write_text(json.dumps(results))
    app = visit("compare", run=[first])
    offered = app.selectbox(key="metric").options
    assert "R-precision" in offered and "Left out" not in texts(app)
    app.selectbox(key="metric").set_value("R-precision").run()
    app.multiselect(key="run-choice").set_value([first, second]).run()
    assert not app.exception and not app.error
    assert app.selectbox(key="metric").options == [name for name in offered if name != "R-precision"]
    assert app.selectbox(key="metric").value == "mAP"
    assert f"Left out: R-precision (not measured in {second})." in texts(app)
    linked = visit("compare", run=[first, second], metric="R-precision")
    assert not linked.error and linked.selectbox(key="metric").value == "mAP"


def test_two_runs_stand_side_by_side_and_say_what_they_do_not_share(two, visit):
    _, first, second = two
    app = visit("compare", run=[first, second])
    assert not app.error
    assert "different data sets" in texts(app)
    assert f"A is {first}" in texts(app) and f"B is {second}" in texts(app)
    app.selectbox(key="matrix-method").set_value("fct").run()
    assert not app.exception, "one of the two has no fct"
    app.selectbox(key="matrix-method").set_value("bct-sys").run()
    app.selectbox(key="baseline-choice").set_value(second).run()
    assert not app.exception and not app.error
    assert app.query_params["baseline"] == second
    assert visit("compare", run=[first, second], baseline=[second]).selectbox(key="baseline-choice").value == second
    deltas = next(frame.value for frame in app.dataframe if "delta" in frame.value.columns)
    assert set(deltas["run"]) == {first}
    known = deltas[deltas["method"] == "bct-sys"]["delta"]
    assert (known == 0).all() and len(known)
    assert deltas[deltas["method"] == "fct"]["delta"].isna().all(), "no counterpart, no difference"


def test_a_copied_run_is_a_run_of_its_own_and_no_second_seed(copied, visit):
    (run,) = copied.list()
    shutil.copytree(run.path, copied.root / "a-copy")
    app = visit("compare", run=[run.id, "a-copy"])
    assert not app.error
    matrix, grid = table_with(app, "verdict"), table_with(app, "R-precision")
    assert list(matrix["run"]) == [run.id] * 3 + ["a-copy"] * 3
    assert set(matrix["n"]) == {"2"}, "the two seeds of each run, not four"
    assert list(grid["run"]) == [run.id] * 3 + ["a-copy"] * 3
    assert all("n=2" in text for text in grid["mAP"])


def keep_seed(run, seed):
    """Leave one seed of a run, as if it had been started for that seed alone."""
    results, config = (json.loads((run.path / name).read_text()) for name in ("results.json", "config.json"))
    for key, entries in results.items():
        if isinstance(entries, list):
            results[key] = [entry for entry in entries if entry.get("seed", seed) == seed]
    (run.path / "results.json").write_text(json.dumps(results))
    (run.path / "config.json").write_text(json.dumps(config | {"seeds": [seed]}))


def test_runs_that_differ_only_in_seeds_become_one_on_request(copied, visit):
    (run,) = copied.list()
    shutil.copytree(run.path, copied.root / "seed-1")
    app = visit("compare", run=[run.id, "seed-1"])
    assert "merge-seeds" not in [toggle.key for toggle in app.toggle], "the same seeds twice"
    keep_seed(run, 0)
    keep_seed(copied.get("seed-1"), 1)
    app = visit("compare", run=[run.id, "seed-1"])
    assert set(table_with(app, "verdict")["n"]) == {"1"}
    app.toggle(key="merge-seeds").set_value(True).run()
    assert not app.exception and not app.error
    linked = visit("compare", run=[run.id, "seed-1"], **{"merge-seeds": "true"})
    for shown in (app, linked):
        matrix = table_with(shown, "verdict")
        assert matrix["method"].tolist() == ["independent", "bct-sys", "fct"]
        assert set(matrix["n"]) == {"2"} and all("±" in text for text in matrix["old/old"])
        assert not [box.key for box in shown.selectbox if box.key == "baseline-choice"], "nothing left to compare with"


def table_with(app, column):
    return next(frame.value for frame in app.dataframe if column in frame.value.columns)


def test_backfill_curves_of_every_run_are_shown_and_say_whose(two, visit, monkeypatch):
    built = {}
    monkeypatch.setattr(
        "compat_core.ui.compare_parts.download_table", lambda name, key, make: built.update({key: make})
    )
    _, first, second = two
    app = visit("compare", run=[first, second])

    def drawn():
        titles = [json.loads(chart.proto.spec)["layout"]["title"]["text"] for chart in app.get("plotly_chart")]
        return [title for title in titles if "mAP along the backfill" in title]

    app.selectbox(key="backfill-method").set_value("bct-sys").run()
    assert drawn() == ["mAP along the backfill: bct-sys"] * 2 and not app.exception
    assert len([frame for frame in app.dataframe if "share_95" in frame.value.columns]) == 2
    assert f"A: {first}" in texts(app) and f"B: {second}" in texts(app)
    app.selectbox(key="backfill-method").set_value("fct").run()
    assert drawn() == ["mAP along the backfill: fct"], "one of the two has no fct"
    taken = pd.read_csv(io.BytesIO(built["backfill-get"]("csv")))
    assert set(taken["run"]) == {first, second}
    assert set(taken[taken["run"] == second]["method"]) == {"independent", "bct-sys"}


def test_a_run_without_results_is_named(two, visit):
    store, first, second = two
    (store.get(second).path / "results.json").unlink()
    app = visit("compare", run=[first, second])
    assert not app.exception
    assert second in "\n".join(warning.value for warning in app.warning)


@pytest.mark.parametrize("kind", ["csv", "json", "parquet", "md", "latex"])
def test_every_table_builds_in_every_format(kind, finished, visit, monkeypatch):
    built = {}

    def build(name, key, make):
        built[key] = make(kind)

    monkeypatch.setattr("compat_core.ui.compare_parts.download_table", build)
    monkeypatch.setattr("compat_core.ui.compare_verdicts.download_table", build)
    visit("compare")
    assert {"verdict-grid-get", "summary-get", "flips-get", "classes-get", "results-get", "verdicts-get"} <= set(built)
    assert all(isinstance(content, bytes) and content for content in built.values())


def test_empty_verdicts_make_an_empty_grid():
    assert verdict_grid(verdict_lines([{"run": "r"}])).empty
    assert isinstance(verdict_lines([]), pd.DataFrame)


def test_the_run_chosen_on_one_page_is_shown_on_the_next_and_first_views_leave_the_address(copied, visit):
    (run,) = copied.list()
    shutil.copytree(run.path, run.path.parent / "20990101-000000-newer-0000")
    app = visit("space")
    assert app.selectbox(key="run-choice").value == "20990101-000000-newer-0000"
    assert not app.query_params.get("run"), "Back would need two presses"
    app.selectbox(key="run-choice").set_value(run.id).run()
    assert app.query_params["run"] in (run.id, [run.id])
    app.query_params.clear()
    app.switch_page("pages/methods.py").run()  # a page without the widget: its state is gone
    app.switch_page("pages/search.py").run()
    assert not app.exception
    assert app.selectbox(key="run-choice").value == run.id


def test_the_matrix_for_papers_has_its_best_in_bold_arrows_and_no_run(finished, visit, monkeypatch):
    built = {}
    monkeypatch.setattr("compat_core.ui.verdicts.download_table", lambda name, key, make: built.update({key: make}))
    (run,) = finished.list()
    visit("compare", run=run.id)
    ((_, make),) = built.items()
    latex, markdown = make("latex").decode(), make("md").decode()
    body = latex.split("tabular", 1)[1]
    assert r"\textbf{" in body and r"$\uparrow$" in body and r"\begin{tabular}{lrrr" in latex
    assert run.id not in latex and run.id not in markdown
    assert not any(mark in latex for mark in "✓✗?"), "LaTeX's own fonts lack two of the three marks"
    assert "**" in markdown.split("---", 1)[1] and "---:" in markdown
    verdicts = set(pd.read_csv(io.BytesIO(make("csv")))["verdict"].dropna())
    assert all(verdict.partition(" ")[2] in body for verdict in verdicts)
