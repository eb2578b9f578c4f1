"""Backfill curves as they are drawn, wherever they come from: a run, or a decision about vectors."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go

from compat_core.reports.layout import CLEAR, TEMPLATE, add_references
from compat_core.retrieval.orderings import ORDERINGS

# Colour, dash and marker of the orderings, in the order they are registered; none has those of status quo or ceiling,
# which are drawn beside them. Every colour has a contrast of at least 3:1 against white and against a near-black page.
LOOKS = (
    ("#0072B2", "dot", "circle"),
    ("#2F8FC4", "solid", "square"),
    ("#009E73", "solid", "triangle-up"),
    ("#D55E00", "dashdot", "cross"),
    ("#6A4FC7", "dashdot", "x"),
    ("#B8800B", "longdashdot", "diamond"),
    ("#C2356E", "dot", "triangle-down"),
    ("#7A8B1F", "longdashdot", "pentagon"),
    ("#9A6A52", "solid", "hexagram"),
    ("#12908E", "dashdot", "hourglass"),
)
SHARE_AXIS = "gallery backfilled (%)"
REMAINING = "what a full backfill would still add to the method at 0 %"
REST_NOTE = f"The rest: {REMAINING}."

Needed = dict[float, tuple[float | None, float | None, float | None]]


@dataclass(frozen=True, slots=True)
class Curve:
    """One ordering's curve.

    Attributes:
        order: its name.
        shares, values: share backfilled and the metric there, fractions.
        low, high: band of the repetitions, or empty.
        auc: plain mean of the points.
        needed: part (0.95) of what a full backfill would still add to the method at 0 % -> share, lower and upper
            bound; None where unknown or where it adds nothing.
    """

    order: str
    shares: Sequence[float]
    values: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]
    auc: float
    needed: Needed


def order_look(name: str) -> tuple[str, str, str]:
    """Colour, plotly dash and plotly marker of an ordering, whichever others are drawn.

    A name that is not registered (any more) gets a place derived from its letters: no registered one has its look.
    """
    names = ORDERINGS.names()
    free = len(LOOKS) ** 2 - len(names)
    place = names.index(name) if name in names else len(names) + zlib.crc32(name.encode()) % free
    # Where the colours come round again, they meet the dash and marker of another one.
    color, (_, dash, symbol) = LOOKS[place % len(LOOKS)][0], LOOKS[(place + place // len(LOOKS)) % len(LOOKS)]
    return color, dash, symbol


def curve_of_run(entries: Sequence[Mapping[str, Any]]) -> Curve:
    """An ordering's curve from what a run's results hold under ``backfill``.

    Args:
        entries: of one method, ordering and metric, one per seed: values and area are their mean, the band and the
            shares needed are the first seed's.
    """
    first = entries[0]
    low, high = (first["low"], first["high"]) if first["repeats"] > 1 else ([], [])
    values = [sum(points) / len(entries) for points in zip(*(entry["values"] for entry in entries), strict=True)]
    area = sum(entry["auc"] for entry in entries) / len(entries)
    bounds = first.get("share_ci") or {}
    needed = {float(part): (share, *(bounds.get(part) or (None, None))) for part, share in first["share_for"].items()}
    return Curve(first["order"], first["shares"], values, low, high, area, needed)


def curves_of_plan(plan: Sequence[Mapping[str, Any]]) -> list[Curve]:
    """The curves of a decision, from what it holds under ``plan`` (see :mod:`compat_core.vectors.plan`)."""
    return [
        Curve(
            entry["order"], entry["shares"], entry["values"], entry["low"], entry["high"], entry["auc"],
            {float(part): (need["value"], need["ci_low"], need["ci_high"]) for part, need in entry["needed"].items()},
        )
        for entry in plan
    ]  # fmt: skip


def curves_figure(
    curves: Sequence[Curve],
    metric: str,
    title: str,
    references: Mapping[str, float],
    axis: str = SHARE_AXIS,
    place_of: Callable[[float], float] | None = None,
) -> go.Figure:
    """The metric along the backfill, one line per ordering, with the band of repeated ones.

    Args:
        curves: what is drawn.
        metric, title, axis: words.
        references: cell -> the metric of the status quo (``old/old``) and the ceiling (``paragon``), fractions.
        place_of: share, in [0, 1] -> its place on the axis; None: the share in percent.
    """
    figure = go.Figure()
    for curve in curves:
        percent = [100 * share for share in curve.shares]
        places = percent if place_of is None else [place_of(share) for share in curve.shares]
        color, dash, symbol = order_look(curve.order)
        if any(low < high for low, high in zip(curve.low, curve.high, strict=True)):
            edge = [100 * value for value in (*curve.low, *reversed(curve.high))]
            figure.add_scatter(
                x=places + places[::-1], y=edge, fill="toself", line={"width": 0}, fillcolor=color, opacity=0.2,
                hoverinfo="skip", showlegend=False,
            )  # fmt: skip
        where = "%{customdata:.0f} % backfilled" + (f", %{{x:,.2f}} {axis}" if place_of else "")
        figure.add_scatter(
            x=places, y=[100 * value for value in curve.values], mode="lines+markers",
            name=f"{curve.order} (area {100 * curve.auc:.1f})",
            line={"color": color, "dash": dash, "width": 2},
            marker={"symbol": symbol, "size": 6}, customdata=percent,
            hovertemplate=f"{curve.order}<br>{where}<br>{metric} %{{y:.1f}} %<extra></extra>",
        )  # fmt: skip
    heights = [value for curve in curves for part in (curve.values, curve.low, curve.high) for value in part]
    add_references(figure, references, heights)
    return figure.update_layout(
        title=title, template=TEMPLATE, xaxis_title=axis, yaxis_title=f"{metric} (%)", height=450,
        paper_bgcolor=CLEAR, plot_bgcolor=CLEAR, uirevision=f"backfill, {axis}",
        legend={"orientation": "h", "y": -0.25, "x": 0},
    )  # fmt: skip
