"""What every option of a decision costs against what it brings, as a figure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from compat_core.reports.frames import points_text
from compat_core.reports.labels import Canvas, Mark, free_labels
from compat_core.reports.layout import CLEAR, MARGIN, add_levels, level_of
from compat_core.reports.roles import METHOD_COLORS, METHOD_SYMBOLS
from compat_core.vectors.options import CEILING

KINDS = ("reference", "migrate", "map queries", "two spaces", "part backfill", "retrain")
LOG_FROM = 100  # times the smallest cost, from which costs are drawn in powers of ten
SMALLEST_SPAN = 0.01  # of gain below the status quo that is always in view
HEIGHT_PX = 460
SIDE_ROOM = 0.07  # of the range, left and right of the points


def trade_off_figure(table: pd.DataFrame, metric: str) -> go.Figure:
    """Money (x) against points over the status quo (y), with intervals; the options to choose from carry their names.

    At first the y axis shows as much below the status quo as there is to gain above it, since one map that fails would
    press all useful ones into a line; the figure says how many options lie farther down.

    Args:
        table: of :func:`compat_core.reports.decision.option_table`.
        metric: its metric.
    """
    figure = go.Figure()
    for place, kind in enumerate(KINDS):
        part = table[table["kind"] == kind]
        if part.empty:
            continue
        figure.add_scatter(
            x=part["money"].tolist(), y=(100 * part["gain"]).tolist(), mode="markers", name=kind,
            text=part["option"].tolist(),
            error_y={"type": "data", "symmetric": False, "array": (100 * (part["gain_high"] - part["gain"])).tolist(),
                     "arrayminus": (100 * (part["gain"] - part["gain_low"])).tolist()},
            marker={"color": METHOD_COLORS[place], "symbol": METHOD_SYMBOLS[place], "size": 11},
            hovertemplate="%{text}<br>%{y:+.1f} points for %{x:,.3~r}<extra></extra>",
        )  # fmt: skip
    bottom, top = _range(table)
    spread = 0 < LOG_FROM * table["money"].min() < table["money"].max()  # a training dwarfs everything else
    figure.update_layout(
        title=f"Cost against gain in {metric}", xaxis_title="money",
        # no "100μ" for 0.0001
        xaxis={"exponentformat": "none"} | ({"type": "log", "dtick": 1} if spread else {}),
        yaxis={"range": [100 * bottom, 100 * top], "title": f"gain over the status quo, {metric} (points)"},
        height=HEIGHT_PX, paper_bgcolor=CLEAR, plot_bgcolor=CLEAR, uirevision="decision",
        legend={"orientation": "h", "y": -0.2, "x": 0},
    )  # fmt: skip
    add_levels(figure, [level_of("old/old", 0.0, "status quo")])
    below = table[table["gain"] < bottom]
    if len(below):
        are = "option lies" if len(below) == 1 else "options lie"
        words = f"{len(below)} {are} below, down to {points_text(below['gain'].min())} points: double-click zooms out"
        figure.add_annotation(text=words, x=0, y=1, xref="paper", yref="paper", xanchor="left", yanchor="bottom",
                              yshift=4, showarrow=False)  # fmt: skip
    return figure.update_layout(annotations=[*figure.layout.annotations, *_names(table, bottom, top, spread)])


def _range(table: pd.DataFrame) -> tuple[float, float]:
    """The gains in view at first; all of them where even the full backfill brings nothing."""
    lowest, highest = table[["gain", "gain_low"]].min().min(), table[["gain", "gain_high"]].max().max()
    possible = float(table.loc[table["option"] == CEILING, "gain"].item())
    bottom = max(lowest, -max(possible, SMALLEST_SPAN)) if possible > 0 else lowest
    room = 2 * MARGIN * max(highest - bottom, SMALLEST_SPAN)
    return bottom - room, highest + room


def worth_naming(table: pd.DataFrame) -> list[str]:
    """The recommended option, then those that nothing cheaper beats (Pareto), best gain first; all above the status
    quo."""
    chosen = table.loc[table["recommended"], "option"].tolist()
    best, high = [], 0.0
    for line in table.sort_values(["money", "gain"], ascending=[True, False], kind="stable").to_dict("records"):
        if line["gain"] > high:
            best.append(line["option"])
            high = line["gain"]
    return list(dict.fromkeys([*chosen, *reversed(best)]))


def short_name(option: str) -> str:
    """``fct old→new + 75 % backfilled (class order)`` as ``fct + 75 %``: the legend and the hover say the rest."""
    return re.sub(r" old→new\b|,? backfilled\b.*$", "", option).replace("new→old", "on queries")


def _names(table: pd.DataFrame, bottom: float, top: float, log: bool) -> list[Mapping[str, Any]]:
    """Labels of the options worth naming; one that finds no free place is left to the hover."""
    cost = table["money"].map(math.log10) if log else table["money"]
    width = max(cost.max() - cost.min(), 1e-12)
    # plotly leaves some room beside the first and the last point
    canvas = Canvas((cost.min() - SIDE_ROOM * width, cost.max() + SIDE_ROOM * width), (100 * bottom, 100 * top))
    gains = 100 * table[["gain", "gain_low", "gain_high"]]
    marks = [
        Mark(money, gain, money, money, low, high)
        for money, (gain, low, high) in zip(cost, gains.itertuples(index=False), strict=True)
    ]
    options = table["option"].tolist()
    words = {options.index(option): short_name(option) for option in worth_naming(table)}
    labels = free_labels(marks, words, canvas, [canvas.beside(0)])
    chosen = table["recommended"].tolist()
    return [label | {"font": {"weight": "bold" if chosen[number] else "normal"}} for number, label in labels.items()]
