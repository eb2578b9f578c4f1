"""Figures hold the traces, values and texts they promise."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from compat_core.errors import CompatError
from compat_core.reports import figures
from compat_core.reports.alt import alt_text
from compat_core.reports.pareto import pareto_figure
from compat_core.reports.roles import CLASS_COLORS, ROLES, method_style, role
from compat_core.reports.space_figure import umap_figure
from compat_core.reports.training_figures import loss_figure, watch_figure
from tests.reports.sample import sample_results

EVENTS = [
    {"t": 0.0, "kind": "stage", "name": "old"},
    *({"kind": "train", "seed": 0, "name": "old", "step": step, "losses": {"total": 3.0 / step, "bct": 1.0 / step}}
      for step in (1, 2, 3, 2, 4)),
    {"kind": "train", "seed": 1, "name": "old", "step": 1, "losses": {"total": None}},
]  # fmt: skip


def _points():
    line = {"x": 0.0, "y": 1.0, "label": "zero", "correct": None}
    return pd.DataFrame(
        [
            {**line, "version": "old", "id": "a", "correct": True},
            {**line, "version": "old", "id": "b<", "correct": False},
            {**line, "version": "new", "id": "a", "x": 5.0, "label": "<b>one"},
        ]
    )


@pytest.fixture
def results():
    return sample_results()


def _all(results):
    return [
        figures.matrix_heatmap(results, "fct"),
        figures.cmc_figure(results),
        figures.precision_recall_figure(results),
        pareto_figure(results),
        figures.metric_bars(results),
        loss_figure(EVENTS),
        watch_figure(EVENTS),
        umap_figure(_points()),
    ]


def test_every_figure_is_transparent_titled_and_keeps_its_view(results):
    for figure in _all(results):
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"
        assert figure.layout.uirevision
        assert figure.layout.title.text
        assert figure.layout.font.color is None  # the page's theme decides
        json.loads(figure.to_json())


def test_matrix_heatmap(results):
    figure = figures.matrix_heatmap(results, "fct")
    heat = figure.data[0]
    assert heat.z[0][0] == pytest.approx(58.6)
    assert tuple(heat.z[0][1:]) == (None, None)
    assert heat.z[1] == pytest.approx((3.3, 85.4, 92.3))
    assert heat.text[1][1] == "<b>85.4 ± 0.3</b><br>✓ compatible"
    assert "seed 1: 85.6 %" in heat.hovertext[1][1]
    assert any("92.3" in note.text for note in figure.layout.annotations)
    one = figures.matrix_heatmap(results, "independent", seed=0).data[0]
    assert one.text[1][1] == "<b>3.1</b><br>✗ not compatible"
    with pytest.raises(CompatError, match="did you mean 'fct'"):
        figures.matrix_heatmap(results, "fc")
    with pytest.raises(CompatError, match="did you mean 'mAP'"):
        figures.matrix_heatmap(results, "fct", "map@")


def test_cmc_of_one_method_uses_role_colours(results):
    figure = figures.cmc_figure(results, ["fct"])
    assert [trace.name for trace in figure.data] == [
        "old/old (status quo)", "fct · new/old (cross test)", "fct · new/migrated (method)",
        "fct · new/new (full backfill)", "paragon (ceiling)",
    ]  # fmt: skip
    for trace, look in zip(figure.data, ROLES.values(), strict=True):
        assert (trace.line.color, trace.line.dash, trace.marker.symbol) == (look.color, look.dash, look.symbol)
    assert figure.data[2].x[0] == 1
    assert len(figure.data[2].x) == 50
    assert figure.data[2].y[0] == pytest.approx(90.5)
    assert figures.cmc_figure(results, ["fct"], seed=0).data[2].y[0] == pytest.approx(90.3)
    assert "over 2 seeds" in figure.data[2].text[0]
    assert figure.layout.yaxis.title.text == "CMC@k (%)"


def test_cmc_of_several_methods_uses_method_colours(results):
    order = ["l2", "fct", "independent"]
    figure = figures.cmc_figure(results, order=order)
    names = [trace.name for trace in figure.data]
    assert len(names) == len(set(names)) == 2 + 3 * 2  # status quo and ceiling once, three cells per method
    trace = next(trace for trace in figure.data if trace.name == "fct · new/migrated (method)")
    assert trace.line.color == method_style("fct", order).color
    assert trace.line.dash == ROLES["new/migrated"].dash


def test_a_method_with_its_own_old_model_gets_its_own_status_quo(results):
    for curve in results["curves"]:
        if curve["method"] == "fct" and curve["cell"] == "old/old":
            curve["cmc"] = [0.1] * 50
    names = [trace.name for trace in figures.cmc_figure(results).data]
    assert "fct · old/old (status quo)" in names


def test_several_runs_are_told_apart():
    figure = figures.cmc_figure([sample_results("a"), sample_results("b")], ["fct"])
    names = [trace.name for trace in figure.data]
    assert len(names) == len(set(names)) == 10
    assert "b · fct · new/new (full backfill)" in names
    by_name = {trace.name: trace for trace in figure.data}
    one, other = (by_name[f"{run} · fct · new/migrated (method)"] for run in "ab")
    assert one.line.color == other.line.color == role("new/migrated").color, "colours keep saying the role"
    assert one.line.dash != other.line.dash and one.marker.symbol != other.marker.symbol


def test_classes_have_ten_colours_and_a_legend_while_they_are_few():
    assert len(set(CLASS_COLORS)) == 20
    few = pd.concat([_points().assign(label=f"class {index}", id=str(index)) for index in range(10)])
    legend = [trace for trace in umap_figure(few, "label").data if trace.legend == "legend2"]
    assert len({trace.marker.color for trace in legend}) == 10
    many = pd.concat([_points().assign(label=f"class {index}", id=str(index)) for index in range(21)])
    assert not [trace for trace in umap_figure(many, "label").data if trace.legend == "legend2"]


def test_curves_that_are_missing_are_an_error(results):
    with pytest.raises(CompatError, match="hold no cmc curve"):
        figures.cmc_figure(results, ["fct"], seed=9)
    with pytest.raises(CompatError, match="hold no method"):
        pareto_figure([])


def test_precision_recall(results):
    trace = figures.precision_recall_figure(results, ["fct"]).data[2]
    assert (trace.x[0], trace.x[-1], len(trace.x)) == (0, 100, 101)
    assert trace.y[0] == pytest.approx(85.2)


def test_pareto(results):
    figure = pareto_figure(results)
    assert [trace.name for trace in figure.data] == ["independent", "fct"]
    point = figure.data[1]
    assert (point.x[0], point.y[0]) == pytest.approx((0.0, 79.525), abs=0.01)
    assert point.error_y.array[0] == pytest.approx(0.0, abs=1e-9)
    heights = [shape.y0 for shape in figure.layout.shapes]
    assert heights[:2] == [0, 100]
    for row in results["rows"]:
        if row["method"] == "fct" and row["metric"] == "recovered_gain(mAP)":
            row["value"] = None
    figure = pareto_figure(results)
    assert [trace.name for trace in figure.data] == ["independent"]
    assert any("not defined: fct" in (note.text or "") for note in figure.layout.annotations)


def test_metric_bars(results):
    figure = figures.metric_bars(results)
    assert [trace.name for trace in figure.data] == [ROLES[c].title for c in ("new/old", "new/migrated", "new/new")]
    migrated = figure.data[1]
    assert list(migrated.x) == ["independent", "fct"]
    assert list(migrated.y) == pytest.approx([3.3, 85.4])
    assert migrated.error_y.array[1] == pytest.approx(0.2828, abs=1e-3)
    assert [shape.y0 for shape in figure.layout.shapes] == pytest.approx([58.6, 92.3, 10.0])
    notes = {note.text: note for note in figure.layout.annotations}
    assert set(notes) == {"status quo<br>58.6 ± 0.3 %", "ceiling<br>92.3 ± 0.3 %", "chance<br>10.0 %"}
    assert {note.x for note in notes.values()} == {1}, "right of the bars"
    low, high = figure.layout.yaxis.range
    assert low == 0 and high > 92.3
    single = figures.metric_bars(results, seed=0).data[1]
    assert single.error_y.array[1] == pytest.approx(2.0)  # the seed's own interval
    assert "95 % interval 83.2…87.2" in single.hovertext[1]
    assert len(figures.metric_bars([results, sample_results("b")]).data) == 5


def test_loss_figure():
    figure = loss_figure(EVENTS)
    assert [trace.name for trace in figure.data] == ["seed 0: old: total", "seed 0: old: bct"]
    assert list(figure.data[0].x) == [1, 2, 3, 4]
    assert list(figure.data[0].y) == pytest.approx([3.0, 1.5, 1.0, 0.75])
    named = loss_figure([{**EVENTS[1], "name": "seed 0: old"}])
    assert named.data[0].name == "seed 0: old: total"
    crowd = loss_figure([{**EVENTS[1], "name": f"training {index}"} for index in range(5)])
    assert {(trace.name.endswith("total"), trace.visible) for trace in crowd.data} == {
        (True, True),
        (False, "legendonly"),
    }
    many = [{"kind": "train", "seed": 0, "name": "n", "step": i, "losses": {"total": 1.0}} for i in range(2501)]
    trace = loss_figure(many).data[0]
    assert len(trace.x) <= 1000
    assert (trace.x[0], trace.x[-1]) == (0, 2500)
    assert "no training steps yet" in loss_figure([]).layout.annotations[0].text


def test_watch_figure():
    def watched(name, values):
        return {"kind": "watch", "seed": 0, "name": name, "epoch": 1, "step": 7, "values": values}

    whole = {"new/new": 0.5, "new/old": 0.25, "old/old": 0.2}
    figure = watch_figure([*EVENTS, watched("old", {"old/old": 0.4}), watched("bct", whole)])
    assert [(trace.name, trace.x[0], trace.y[0]) for trace in figure.data] == [
        ("seed 0: old: old/old", 7, pytest.approx(40)),
        ("seed 0: bct: new/new", 7, pytest.approx(50)),
        ("seed 0: bct: new/old", 7, pytest.approx(25)),
        ("seed 0: bct: old/old", 7, pytest.approx(20)),
    ]
    dashes = {trace.name.split(": ")[-1]: trace.line.dash for trace in figure.data}
    assert dashes["new/old"] == "solid" and len(set(dashes.values())) == 3
    crowd = watch_figure([watched(f"training {index}", whole) for index in range(5)])
    assert {trace.visible for trace in crowd.data if trace.name.endswith("new/old")} == {True}
    assert {trace.visible for trace in crowd.data if not trace.name.endswith("new/old")} == {"legendonly"}
    plain = watch_figure([watched(f"training {index}", {"new/new": 0.5}) for index in range(5)])
    assert {trace.visible for trace in plain.data} == {True}, "nothing else would be left to see"
    assert not watch_figure(EVENTS).data


def test_umap_figure():
    figure = umap_figure(_points(), "correct", lines=("old", "new"))
    lines, old, wrong, new = figure.data
    assert (list(lines.x), list(lines.y)) == ([0.0, 5.0, None], [1.0, 1.0, None])
    assert [trace.name for trace in figure.data[1:]] == [
        "old, right at rank 1", "old, wrong at rank 1", "new, not judged",
    ]  # fmt: skip
    assert (list(old.customdata), list(wrong.customdata)) == (["a"], ["b<"])
    assert (old.marker.symbol, wrong.marker.symbol) == ("circle", "circle-open")
    assert old.type == "scattergl"
    assert "b&lt;" in wrong.text[0]
    assert "&lt;b&gt;one" in new.text[0]
    by_version = umap_figure(_points())
    assert by_version.data[0].marker.color == ROLES["old/old"].color
    assert len(umap_figure(_points(), "label").data[0].marker.color) == 2
    with pytest.raises(CompatError, match="did you mean 'label'"):
        umap_figure(_points(), "labels")
    with pytest.raises(CompatError, match="lacks"):
        umap_figure(_points().drop(columns="id"))
    with pytest.raises(CompatError, match="unknown version"):
        umap_figure(_points().replace({"version": {"new": "newer"}}))


def test_names_are_escaped():
    evil = "<script>alert(1)</script>%{x}"
    results = sample_results(methods=("independent", evil))
    drawn = [figures.cmc_figure(results), figures.precision_recall_figure(results), pareto_figure(results)]
    drawn += [figures.metric_bars(results), figures.matrix_heatmap(results, evil)]
    drawn += [loss_figure([{**EVENTS[1], "name": evil}])]
    for figure in drawn:
        text = json.dumps([[trace.name, trace.text, trace.hovertext, trace.hovertemplate] for trace in figure.data],
                          default=list) + str(figure.layout)  # fmt: skip
        assert "<script>" not in text
        assert not any("%{x}" in (trace.hovertemplate or "").split("<br>")[0] for trace in figure.data)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("matrix", {"method": "fct"}, "Query by gallery matrix of mAP for fct: old/old 58.6 %"),
        ("cmc", {"methods": ["fct"]}, "at k = 1: old/old 71.4 %"),
        ("precision-recall", {}, "precision at 50 % recall"),
        ("pareto", {}, "fct recovers 79.5 % at a cost of 0.0 points"),
        ("bars", {}, "fct old/old 58.6 %"),
    ],
)
def test_alt_text(results, kind, options, words):
    sentence = alt_text(kind, results, **options)
    assert words in sentence
    assert sentence.endswith(".")


def test_alt_text_of_events_and_points():
    assert alt_text("loss", EVENTS) == "Training loss per optimiser step: seed 0: old from 3 to 0.75."
    assert "3 embeddings (2 old, 1 new), coloured by label" in alt_text("umap", _points(), colour_by="label")
    with pytest.raises(CompatError, match="did you mean 'matrix'"):
        alt_text("matrx", {})


def test_tables_do_not_import_plotly():
    modules = "compat_core.reports, compat_core.reports.tables, compat_core.reports.alt"
    code = f"import sys, {modules}; print('plotly' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
