"""Start: the demo in each of its states."""

import dataclasses

from streamlit.testing.v1 import AppTest

from compat_core.experiments.presets import PRESETS, configure
from compat_core.experiments.queue import enqueue
from compat_core.experiments.status import RunError
from compat_core.experiments.store import RunStore
from compat_core.ui.overview import dataset_rows, headline, latest_of_preset


def words(app):
    return "\n".join(str(element.value) for element in [*app.markdown, *app.caption, *app.error, *app.info])


def test_start_names_the_device_and_the_data_sets(empty, visit, tmp_path, monkeypatch):
    monkeypatch.setenv("COMPATBENCH_DATA", str(tmp_path / "data"))
    app = visit("start")
    assert "New runs use" in words(app)
    (table,) = [frame.value for frame in app.dataframe if "here" in frame.value.columns]
    where = table.set_index("name")["here"]
    assert where["digits"] == "✓ bundled" and where["mnist"] == "downloads once"
    assert "8 of the 16 methods" in words(app)


def test_a_downloaded_data_set_is_said_to_be_here(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPATBENCH_DATA", str(tmp_path))
    (tmp_path / "MNIST").mkdir()
    where = {row["name"]: row["here"] for row in dataset_rows()}
    assert where["mnist"] == "✓ downloaded" and where["cifar10"] == "downloads once"


def test_a_failed_demo_says_why_and_can_be_run_again(empty, visit):
    run = enqueue(empty, PRESETS.get("demo").config)
    error = RunError("disk full", "free 2 GB")
    run.write_status(run.status.replace(state="failed", error=error))
    app = visit("start")
    assert "disk full" in words(app) and "free 2 GB" in words(app)
    assert not app.button(key="demo").disabled
    app.button(key="demo").click().run()
    assert not app.exception
    assert len(empty.list()) == 2
    assert empty.list()[0].config == configure("demo")


def test_a_run_that_only_began_as_the_demo_is_not_shown_as_it(copied, visit):
    (run,) = copied.list()
    assert run.config.preset == "demo", "shorter, fewer methods; the form keeps the preset's name"
    app = visit("start")
    assert not app.metric
    assert app.button(key="demo").label == "Run the demo"


def test_seeds_device_and_name_leave_the_demo_what_it_is(tmp_path):
    store, whole = RunStore(tmp_path), PRESETS.get("demo").config
    wanted = store.create(whole.replace(seeds=(3, 4), device="cpu", title="mine"))
    for other in (
        whole.replace(distance="l2"),
        whole.replace(methods=whole.methods[:-1]),
        whole.replace(precision="bfloat16"),
        whole.replace(scenario=dataclasses.replace(whole.scenario, chain=(0.5, 1.0))),
    ):
        store.create(other)
    (store.create(whole).path / "config.json").write_text('{"preset": "demo", "of_another_version": 1}')
    assert latest_of_preset(store, "demo") == wanted
    wanted.update_meta(archived=True)
    assert latest_of_preset(store, "demo") is None


def test_a_chain_has_no_four_numbers_and_says_so():
    keys = {"run": "r", "dataset": "d", "method": "bct", "seed": 0, "metric": "mAP"}
    rows = [keys | {"cell": cell, "value": 0.5} for cell in ("v1/v1", "v2/v1", "paragon2")]

    def page(results):
        from compat_core.ui.verdicts import headline_numbers

        headline_numbers(results)

    app = AppTest.from_function(page, kwargs={"results": {"run": "r", "rows": rows, "verdicts": []}}).run()
    assert not app.exception and not app.metric
    assert "chain" in app.caption[0].value


def test_headline_names_the_best_compatible_method_first(finished):
    names = [part.split()[0] for part in headline(finished.list()[0]).split(", ")]
    assert sorted(names) == ["bct-sys", "fct", "independent"]
    marks = [part.split()[1] for part in headline(finished.list()[0]).split(", ")]
    assert marks == sorted(marks, key=lambda mark: mark != "✓")
