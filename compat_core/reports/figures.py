"""Every figure, as plotly figures that fit light and dark pages: transparent, with the colours of :mod:`.roles`.

Functions take plain data (parsed ``results.json``, one or a list of them; events; a frame) and read no files. Inside,
values are fractions; axes show percent. In curves of one method, colours say the role; of several methods of one run,
colours say the method and dashes the role; of several runs, colours say the role, dashes the run and markers the
series. ``order`` is the registry's order of methods, which fixes their colours; without it the order of appearance
does. Names are escaped, since plotly reads a little HTML in every text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from compat_core.errors import CompatError, unknown_name
from compat_core.reports import series
from compat_core.reports.alt import alt_text
from compat_core.reports.frames import Results, arrow, as_list, percent_text
from compat_core.reports.layout import (
    CLEAR,
    GRID,
    MARGIN,
    NEUTRAL,
    REFERENCES,
    TEMPLATE,
    Level,
    add_levels,
    hold,
    level_of,
)
from compat_core.reports.roles import (
    CELLS,
    CLASS_COLORS,
    METHOD_COLORS,
    METHOD_SYMBOLS,
    VERSION_CELLS,
    MethodStyle,
    method_style,
    role,
)
from compat_core.reports.verdicts import MARKS, pooled_verdict

__all__ = [
    "alt_text", "cmc_figure", "loss_figure", "matrix_heatmap", "metric_bars", "pareto_figure",
    "precision_recall_figure", "umap_figure",
]  # fmt: skip

COLOUR_BY = ("version", "label", "correct")
RIGHT, WRONG = "#0072B2", "#D55E00"
MAX_TRAININGS = 4
RUN_DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")


def matrix_heatmap(results: Results, method: str, metric: str = "mAP", seed: int | None = None) -> go.Figure:
    """The query × gallery matrix of one method, in percent, with the verdict on the migrated cell.

    Args:
        results: one run's results.
        method: its method.
        metric: a metric with values in [0, 1].
        seed: one seed; None shows mean ± std over seeds and the pooled verdict.

    Raises:
        CompatError: for a method or a metric that the results do not have.
    """
    series.labels_of(results, [method])
    grid: list[list[str | None]] = [["old/old", None, None], ["new/old", "new/migrated", "new/new"]]
    found = {cell: series.cell_value(results, method, cell, metric, seed) for cell in CELLS}
    if not any(found.values()):
        names = {row["metric"] for row in results["rows"]}
        raise unknown_name("metric of this method and seed", metric, names)
    outcomes = [
        line["outcome"] for line in results.get("verdicts", ())
        if line["method"] == method and line["metric"] == metric and (seed is None or line["seed"] == seed)
    ]  # fmt: skip
    verdict = pooled_verdict(outcomes)

    def text(cell: str | None) -> str:
        value = found.get(cell or "")
        if value is None:
            return ""
        mark = f"<br>{MARKS[verdict]} {verdict}" if cell == "new/migrated" and verdict in MARKS else ""
        return f"<b>{series.mean_std_text(value)}</b>{mark}"

    def hover(cell: str | None) -> str:
        value = found.get(cell or "")
        return series.hover_text(method, value, cell or "") if value is not None else "not defined"

    galleries = ["gallery old", "gallery migrated<br>(not backfilled)", "gallery new<br>(full backfill)"]
    figure = _figure(f"{escape(metric)} (%) {arrow(metric)} – {escape(method)}", height=320)
    figure.add_heatmap(
        z=[[100 * value.mean if (value := found.get(cell or "")) else None for cell in line] for line in grid],
        x=galleries, y=["query old", "query new"], text=[[text(cell) for cell in line] for line in grid],
        hovertext=[[hover(cell) for cell in line] for line in grid], hovertemplate="%{hovertext}<extra></extra>",
        texttemplate="%{text}", textfont={"size": 15}, zmin=0, zmax=100, colorscale="Cividis", xgap=3, ygap=3,
        hoverongaps=False, colorbar={"title": {"text": "%"}, "thickness": 12},
    )  # fmt: skip
    for gallery, query in ((1, 0), (2, 0)):
        figure.add_annotation(x=gallery, y=query, text="–", showarrow=False, font={"color": NEUTRAL})
    ceiling = found["paragon"]
    if ceiling is not None:
        note = f"ceiling (paragon): {series.mean_std_text(ceiling)} %"
        place = {"x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom", "xref": "paper", "yref": "paper"}
        figure.add_annotation(text=note, showarrow=False, **place)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure.update_xaxes(side="bottom", showgrid=False)


def cmc_figure(
    results: Results | Sequence[Results], methods: Sequence[str] | None = None, seed: int | None = None,
    order: Sequence[str] = (), cells: Sequence[str] = CELLS,
) -> go.Figure:  # fmt: skip
    """CMC@k in percent against k for every cell, overlaid; the mean over seeds unless ``seed`` is given.

    Raises:
        CompatError: when the results hold no such curve, or lack one of ``methods``.
    """
    figure = _figure("CMC: queries with a hit among the first k", "k (rank)", "CMC@k (%)")
    drawn = series.curves(results, "cmc", methods, seed, cells)
    ranks = np.arange(1, max(len(curve.mean) for curve in drawn) + 1)
    _add_curves(figure, drawn, ranks, "k = %{x}", order)
    return figure


def precision_recall_figure(
    results: Results | Sequence[Results], methods: Sequence[str] | None = None, seed: int | None = None,
    order: Sequence[str] = (), cells: Sequence[str] = CELLS,
) -> go.Figure:  # fmt: skip
    """Precision in percent at each recall in percent for every cell; the mean over seeds unless ``seed`` is given.

    Raises:
        CompatError: when the results hold no such curve, or lack one of ``methods``.
    """
    figure = _figure("Precision at recall", "recall (%)", "precision (%)")
    drawn = series.curves(results, "precision_at_recall", methods, seed, cells)
    recall = 100 * np.linspace(0, 1, max(len(curve.mean) for curve in drawn))
    _add_curves(figure, drawn, recall, "recall %{x:.0f} %", order)
    return figure


def pareto_figure(
    results: Results | Sequence[Results], metric: str = "mAP", methods: Sequence[str] | None = None,
    order: Sequence[str] = (),
) -> go.Figure:  # fmt: skip
    """What each method costs the new model (x, points) against the share of the gain it recovers (y, percent).

    Up and left is better. One point per method; bars are the 95 % interval for one seed and ± one standard deviation
    for several. Methods whose recovered gain is not defined (the ceiling is not above the status quo) are named
    above the plot, not left out in silence.
    """
    x_title = f"cost to the new model: paragon − new/new ({escape(metric)}, percentage points)"
    figure = _figure(f"Cost and recovered gain, {escape(metric)}", x_title, "recovered gain (%)")
    pairs = series.labels_of(results, methods)
    names = [series.label(results, one, method) for one, method in pairs]
    absent = []
    for name, (one, method) in zip(names, pairs, strict=True):
        gain = series.cell_value(one, method, "new/migrated", f"recovered_gain({metric})")
        cost = series.cell_value(one, method, "new/new", f"cost_to_new({metric})")
        if gain is None or cost is None:
            absent.append(name)
            continue
        style = _style(name, names, order)
        figure.add_scatter(
            x=[100 * cost.mean], y=[100 * gain.mean], mode="markers+text", name=escape(name), text=[escape(name)],
            textposition="top center", error_x=series.error_bar(cost), error_y=series.error_bar(gain),
            customdata=[name],
            marker={"color": style.color, "symbol": style.symbol, "size": 13},
            hovertext=[f"{series.hover_text(name, gain, 'recovered gain')}<br>{series.hover_text('', cost, 'cost')}"],
            hovertemplate="%{hovertext}<extra></extra>",
        )  # fmt: skip
    hold(figure, [0.0, 100.0, *_tips(figure)])
    add_levels(figure, [level_of("old/old", 0, "status quo"), level_of("paragon", 100, "ceiling")])
    figure.update_layout(legend={"orientation": "h", "y": -0.3, "x": 0})
    figure.add_vline(x=0, line={"color": NEUTRAL, "dash": "dot"})
    if absent:
        note = f"not shown, recovered gain or cost not defined: {escape(', '.join(absent))}"
        figure.add_annotation(text=note, x=0, y=1, xref="paper", yref="paper", showarrow=False, xanchor="left",
                              yanchor="bottom")  # fmt: skip
    return figure


def metric_bars(
    results: Results | Sequence[Results], metric: str = "mAP", methods: Sequence[str] | None = None,
    seed: int | None = None,
) -> go.Figure:  # fmt: skip
    """Each method's cross test, migrated and backfilled cells as bars, with status quo, ceiling and chance.

    Whiskers are the 95 % interval for one seed and ± one standard deviation for several. Lines across show the status
    quo, the ceiling and chance of the first run; with several runs each also has its own bars for the first two.
    """
    figure = _figure(f"{escape(metric)} {arrow(metric)} per method", "", f"{escape(metric)} (%)")
    pairs = series.labels_of(results, methods)
    names = [series.label(results, one, method) for one, method in pairs]
    lines = ("old/old", "paragon") if len(as_list(results)) == 1 else ()
    for cell in (cell for cell in CELLS if cell not in lines):
        values = [series.cell_value(one, method, cell, metric, seed) for one, method in pairs]
        means = [None if value is None else 100 * value.mean for value in values]
        whiskers = [series.error_bar(value) or {"array": [None], "arrayminus": [None]} for value in values]
        figure.add_bar(
            x=[escape(name) for name in names], y=means, name=role(cell).title, marker={"color": role(cell).color},
            error_y={
                "type": "data", "symmetric": False, "array": [whisker["array"][0] for whisker in whiskers],
                "arrayminus": [whisker["arrayminus"][0] for whisker in whiskers], "color": NEUTRAL,
            },
            text=["" if mean is None else f"{mean:.1f}" for mean in means], customdata=names,
            insidetextanchor="start",  # at the foot: whiskers end at the top
            hovertext=[series.hover_text(name, value, cell) for name, value in zip(names, values, strict=True)],
            hovertemplate="%{hovertext}<extra></extra>",
        )  # fmt: skip
    levels = []
    for cell in lines:
        found = [series.cell_value(one, method, cell, metric, seed) for one, method in pairs]
        value = next((value for value in found if value is not None), None)
        if value is not None:
            words = f"{REFERENCES[cell]}<br>{series.mean_std_text(value)} %"
            levels.append(level_of(cell, 100 * value.mean, words))
    chance = pairs[0][0].get("chance", {}).get(metric)
    if chance is not None:
        levels.append(Level(100 * chance, f"chance<br>{percent_text(chance)} %", NEUTRAL, "dot", 1))
    heights = [0.0, *_tips(figure), *(level.height for level in levels)]
    figure.update_yaxes(range=[min(heights), (1 + 2 * MARGIN) * max(heights) or 1.0])  # bars stand on the axis
    add_levels(figure, levels)
    # above the plot: below it are the methods' names, of any length
    figure.update_layout(barmode="group", legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    figure.update_layout(margin={"t": 100}, title={"y": 0.97, "yanchor": "top"})
    return figure.update_xaxes(type="category")


def _tips(figure: go.Figure) -> list[float]:
    """Both ends of every bar or point with its whisker, in units of the y axis."""
    tips = []
    for trace in figure.data:
        ups, downs = (trace.error_y[side] or [None] * len(trace.y) for side in ("array", "arrayminus"))
        for height, up, down in zip(trace.y, ups, downs, strict=True):
            if height is not None:
                tips += [height + (up or 0.0), height - (down or 0.0)]
    return tips


def loss_figure(events: Iterable[Mapping[str, Any]]) -> go.Figure:
    """Training losses against steps, one curve per training (and seed) and loss; colours say the training.

    With more than four trainings only the totals are shown at first; a click in the legend adds a part.

    Args:
        events: lines of ``events.jsonl``; only those of the kind ``train`` are read. Without any, the figure is empty
            and says so.
    """
    figure = _figure("Training loss", "optimiser step", "loss")
    _draw_trainings(figure, series.losses(events), "total", "%{y:.4g}")
    if not figure.data:
        figure.add_annotation(text="no training steps yet", showarrow=False, font={"color": NEUTRAL, "size": 15})
    return figure.update_layout(uirevision="loss")


def watch_figure(events: Iterable[Mapping[str, Any]]) -> go.Figure:
    """mAP among a few of a training's own images after every epoch, one curve per training (and seed) and cell.

    With more than four trainings only ``new/old`` is shown at first.

    Args:
        events: lines of ``events.jsonl``; only those of the kind ``watch`` are read.
    """
    found = {key: (steps, [100 * value for value in values]) for key, (steps, values) in series.watched(events).items()}
    figure = _figure("mAP among training images", "optimiser step", "mAP (%)")
    _draw_trainings(figure, found, "new/old", "%{y:.1f} %")
    return figure.update_layout(uirevision="watch")


def _draw_trainings(figure: go.Figure, found: series.TrainingCurves, main: str, value: str) -> None:
    """One line per training and part: colours say the training, dashes the part; ``main`` stays when it is crowded."""
    trainings = list(dict.fromkeys((seed, name) for seed, name, _ in found))
    parts = sorted({part for *_, part in found} - {main})
    crowded = len(trainings) > MAX_TRAININGS and any(part == main for *_, part in found)
    for (seed, name, part), (steps, values) in found.items():
        title = series.training_title(seed, name)
        dash = "solid" if part == main else ("dash", "dot", "dashdot", "longdash")[parts.index(part) % 4]
        color = METHOD_COLORS[trainings.index((seed, name)) % len(METHOD_COLORS)]
        figure.add_scatter(
            x=steps, y=values, mode="lines", name=escape(f"{title}: {part}"), legendgroup=escape(title),
            line={"color": color, "dash": dash, "width": 2 if part == main else 1.5},
            text=[f"{escape(title)}<br>{escape(part)}"] * len(steps),
            visible="legendonly" if crowded and part != main else True,
            hovertemplate=f"%{{text}} {value}<br>step %{{x}}<extra></extra>",
        )  # fmt: skip


def umap_figure(frame: pd.DataFrame, colour_by: str = "version", lines: tuple[str, str] | None = None) -> go.Figure:
    """Points of the embedding space in two dimensions; symbols say the version, ``customdata`` holds the item's id.

    Args:
        frame: columns ``x``, ``y``, ``version`` (old, migrated, new), ``label`` (class name), ``id`` and ``correct``
            (true, false or null: unknown). Wrong items have open symbols when coloured by correctness.
        colour_by: ``version``, ``label`` (20 colours, with a legend of up to as many classes; walked again beyond) or
            ``correct``.
        lines: two versions, e.g. ``("old", "new")``: draw each item's displacement from the first to the second.

    Raises:
        CompatError: for a missing column, an unknown version or ``colour_by``.
    """
    if colour_by not in COLOUR_BY:
        raise unknown_name("value of colour_by", colour_by, COLOUR_BY)
    lacking = [column for column in ("x", "y", "version", "label", "id", "correct") if column not in frame.columns]
    if lacking:
        raise CompatError("frame of the embedding space", value=list(frame.columns), rule=f"lacks {lacking}")
    figure = _figure(f"Embedding space (UMAP), coloured by {colour_by}", height=640)
    if lines is not None:
        xs, ys = series.segments(frame, *lines)
        figure.add_scattergl(x=xs, y=ys, mode="lines", name=f"{lines[0]} → {lines[1]}", hoverinfo="skip",
                             line={"color": GRID, "width": 1})  # fmt: skip
    classes = sorted(frame["label"].astype(str).unique())
    for version in dict.fromkeys(frame["version"]):
        if version not in VERSION_CELLS:
            raise unknown_name("version", str(version), VERSION_CELLS)
        look = role(VERSION_CELLS[version])
        for hit, part in series.by_correctness(frame[frame["version"] == version], colour_by == "correct"):
            ids, labels = part["id"].astype(str).tolist(), part["label"].astype(str).tolist()
            color: Any = look.color
            symbol, name = look.symbol, str(version)
            if colour_by == "label":
                color = [CLASS_COLORS[classes.index(label) % len(CLASS_COLORS)] for label in labels]
            elif colour_by == "correct":
                color = {None: NEUTRAL, True: RIGHT, False: WRONG}[hit]
                symbol = f"{symbol}-open" if hit is False else symbol
                name = f"{name}, {series.CORRECTNESS[hit]}"
            figure.add_scattergl(
                x=part["x"].tolist(), y=part["y"].tolist(), mode="markers", name=name, customdata=ids,
                text=series.point_texts(part), hovertemplate="%{text}<extra></extra>",
                marker={"color": color, "symbol": symbol, "size": 7, "opacity": 0.5},
            )  # fmt: skip
    if colour_by == "label" and len(classes) <= len(CLASS_COLORS):
        _class_legend(figure, classes)
    figure.update_yaxes(scaleanchor="x", showticklabels=False, title="UMAP 2 (no unit)")
    return figure.update_xaxes(showticklabels=False, title="UMAP 1 (no unit)").update_layout(dragmode="lasso")


def _class_legend(figure: go.Figure, classes: Sequence[str]) -> None:
    """A second legend, since the first one tells the versions, whose points share the classes' colours."""
    for name, color in zip(classes, CLASS_COLORS, strict=False):
        figure.add_scatter(
            x=[None], y=[None], mode="markers", name=escape(name), legend="legend2", hoverinfo="skip",
            marker={"color": color, "size": 9},
        )  # fmt: skip
    figure.update_layout(
        legend={"title": {"text": "version"}},
        legend2={"title": {"text": "class"}, "x": 1.02, "y": 0.8, "yanchor": "top", "bgcolor": CLEAR}
        | {"itemclick": False, "itemdoubleclick": False},
    )


def _figure(title: str, x_title: str = "", y_title: str = "", height: int = 440) -> go.Figure:
    figure = go.Figure()
    return figure.update_layout(
        template=TEMPLATE, title={"text": title, "x": 0, "xanchor": "left"}, height=height, paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR, uirevision="compatbench", margin={"l": 60, "r": 20, "t": 60, "b": 60},
        xaxis_title=x_title, yaxis_title=y_title, hovermode="closest",
        legend={"bgcolor": CLEAR, "font": {"size": 13}, "itemsizing": "constant"},
    )  # fmt: skip


def _add_curves(
    figure: go.Figure, drawn: Sequence[series.Curve], xs: np.ndarray, x_text: str, order: Sequence[str]
) -> None:
    names = list(dict.fromkeys(curve.label for curve in drawn if not curve.shared))
    runs = list(dict.fromkeys(curve.run for curve in drawn))
    for curve in drawn:
        look = role(curve.cell)
        style, dash = _style(curve.label, names, order), look.dash
        if len(runs) > 1:
            place = names.index(curve.label) if curve.label in names else runs.index(curve.run)
            style = MethodStyle(look.color, METHOD_SYMBOLS[place % len(METHOD_SYMBOLS)])
            dash = RUN_DASHES[runs.index(curve.run) % len(RUN_DASHES)]
        elif curve.shared or len(names) <= 1:
            style = MethodStyle(look.color, look.symbol)
        name = " · ".join(filter(None, (curve.label, look.title)))
        spread = f" ± {{:.1f}} over {curve.n} seeds" if curve.n > 1 else ""
        texts = [
            f"{100 * mean:.1f} %{spread.format(100 * std)}" for mean, std in zip(curve.mean, curve.std, strict=True)
        ]
        figure.add_scatter(
            x=xs[: len(curve.mean)].tolist(), y=(100 * curve.mean).tolist(), mode="lines+markers", name=escape(name),
            legendgroup=escape(curve.label), line={"color": style.color, "dash": dash, "width": 2},
            marker={"symbol": style.symbol, "size": 8, "maxdisplayed": 10}, text=texts,
            hovertemplate=f"{series.template_text(name)}<br>{x_text}<br>%{{text}}<extra></extra>",
        )  # fmt: skip
    figure.update_yaxes(range=[0, 101])
    # below the plot: beside it, five entries would take half of a narrow column
    figure.update_layout(legend={"orientation": "h", "y": -0.3, "x": 0})


def _style(name: str, names: Sequence[str], order: Sequence[str]) -> MethodStyle:
    """A method's own look; over several runs (``run · method``) the place in the figure, to keep series apart."""
    return method_style(name, names if " · " in name or not order else order)
