"""A method's cells, curves and bars, as plotly figures that fit light and dark pages, in the colours of :mod:`.roles`.

Functions take plain data (parsed ``results.json``, one or a list of them) and read no files. Inside,
values are fractions; axes show percent. In curves of one method, colours say the role; of several methods of one run,
colours say the method and dashes the role; of several runs, colours say the role, dashes the run and markers the
series. ``order`` is the registry's order of methods, which fixes their colours; without it the order of appearance
does. Names are escaped, since plotly reads a little HTML in every text.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from compat_core.errors import unknown_name
from compat_core.reports import series
from compat_core.reports.frames import Results, arrow, as_list, percent_text
from compat_core.reports.layout import (
    MARGIN,
    NEUTRAL,
    REFERENCES,
    Level,
    add_levels,
    level_of,
    new_figure,
    tips,
)
from compat_core.reports.roles import (
    CELLS,
    METHOD_SYMBOLS,
    MethodStyle,
    role,
    style_of,
)
from compat_core.reports.verdicts import MARKS, pooled_verdict

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
    figure = new_figure(f"{escape(metric)} (%) {arrow(metric)} – {escape(method)}", height=320)
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
    figure = new_figure("CMC: queries with a hit among the first k", "k (rank)", "CMC@k (%)")
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
    figure = new_figure("Precision at recall", "recall (%)", "precision (%)")
    drawn = series.curves(results, "precision_at_recall", methods, seed, cells)
    recall = 100 * np.linspace(0, 1, max(len(curve.mean) for curve in drawn))
    _add_curves(figure, drawn, recall, "recall %{x:.0f} %", order)
    return figure


def metric_bars(
    results: Results | Sequence[Results], metric: str = "mAP", methods: Sequence[str] | None = None,
    seed: int | None = None,
) -> go.Figure:  # fmt: skip
    """Each method's cross test, migrated and backfilled cells as bars, with status quo, ceiling and chance.

    Whiskers are the 95 % interval for one seed and ± one standard deviation for several. Lines across show the status
    quo, the ceiling and chance of the first run; with several runs each also has its own bars for the first two.
    """
    figure = new_figure(f"{escape(metric)} {arrow(metric)} per method", "", f"{escape(metric)} (%)")
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
    heights = [0.0, *tips(figure), *(level.height for level in levels)]
    figure.update_yaxes(range=[min(heights), (1 + 2 * MARGIN) * max(heights) or 1.0])  # bars stand on the axis
    add_levels(figure, levels)
    # above the plot: below it are the methods' names, of any length
    figure.update_layout(barmode="group", legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0})
    figure.update_layout(margin={"t": 100}, title={"y": 0.97, "yanchor": "top"})
    return figure.update_xaxes(type="category")


def _add_curves(
    figure: go.Figure, drawn: Sequence[series.Curve], xs: np.ndarray, x_text: str, order: Sequence[str]
) -> None:
    names = list(dict.fromkeys(curve.label for curve in drawn if not curve.shared))
    runs = list(dict.fromkeys(curve.run for curve in drawn))
    for curve in drawn:
        look = role(curve.cell)
        style, dash = style_of(curve.label, names, order), look.dash
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
