"""Backfill curves with a bill: the same curve against items, GPU-hours, money or days; the share needed, priced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go

from compat_core.reports.backfill import ORDER_DASHES
from compat_core.reports.frames import MISSING, percent_text
from compat_core.reports.layout import TEMPLATE, add_references
from compat_core.reports.roles import METHOD_COLORS, METHOD_SYMBOLS
from compat_core.vectors.bill import CostConfig, Work, bill

AXES = {
    "share": "gallery backfilled (%)",
    "items": "items embedded again",
    "gpu_hours": "GPU-hours",
    "money": "money",
    "days": "days",
}


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
    needed: dict[float, tuple[float | None, float | None, float | None]]


@dataclass(frozen=True, slots=True)
class Priced:
    """Prices, the number of items in production, and the dimensions and kind of the gallery."""

    costs: CostConfig
    items: int
    old_dim: int
    new_dim: int
    mapped: bool

    def at(self, share: float) -> dict[str, float]:
        """What backfilling ``share`` of the gallery costs, by axis; the rest is mapped where the method maps rows."""
        rest = 1.0 - share if self.mapped else 0.0
        found = bill(Work(share, rest, self.new_dim, True, self.old_dim), self.costs, self.items)
        count = share * (self.costs.items or self.items)
        return {"share": 100 * share, "items": count, "gpu_hours": found.gpu_hours, "money": found.money,
                "days": found.days, "gigabytes": found.gigabytes}  # fmt: skip


def priced_figure(
    curves: Sequence[Curve],
    priced: Priced,
    axis: str,
    metric: str,
    title: str,
    references: Mapping[str, float] | None = None,
) -> go.Figure:
    """The metric against one of AXES, one line per ordering, with the band of repeated ones.

    Args:
        curves, priced: what is drawn, and what a share costs.
        axis: one of AXES.
        metric, title: words.
        references: cell -> the metric of the status quo (``old/old``) and the ceiling (``paragon``), fractions.
    """
    figure = go.Figure()
    for place, curve in enumerate(curves):
        places = [priced.at(share)[axis] for share in curve.shares]
        colour = METHOD_COLORS[place % len(METHOD_COLORS)]
        if any(low < high for low, high in zip(curve.low, curve.high, strict=True)):
            edge = [100 * value for value in curve.low] + [100 * value for value in curve.high][::-1]
            figure.add_scatter(
                x=places + places[::-1], y=edge, fill="toself", line={"width": 0}, fillcolor=colour, opacity=0.2,
                hoverinfo="skip", showlegend=False,
            )  # fmt: skip
        figure.add_scatter(
            x=places, y=[100 * value for value in curve.values], mode="lines+markers",
            name=f"{curve.order} (area {100 * curve.auc:.1f})",
            line={"color": colour, "dash": ORDER_DASHES.get(curve.order, "solid"), "width": 2},
            marker={"symbol": METHOD_SYMBOLS[place % len(METHOD_SYMBOLS)], "size": 6},
            customdata=[100 * share for share in curve.shares],
            hovertemplate=f"{curve.order}<br>%{{customdata:.0f}} % backfilled, %{{x:,.2f}} {AXES[axis]}<br>"
            f"{metric} %{{y:.1f}} %<extra></extra>",
        )  # fmt: skip
    heights = [value for curve in curves for part in (curve.values, curve.low, curve.high) for value in part]
    add_references(figure, references or {}, heights)
    return figure.update_layout(
        title=title, template=TEMPLATE,
        xaxis_title=AXES[axis], yaxis_title=f"{metric} (%)", height=460, uirevision=f"backfill-{axis}",
        paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", legend={"orientation": "h", "y": -0.25, "x": 0},
    )  # fmt: skip


def needed_table(curves: Sequence[Curve], priced: Priced) -> pd.DataFrame:
    """One line per ordering and part of what a full backfill would still add: the smallest share, and its bill."""
    lines = []
    for curve in curves:
        for part, (share, low, high) in curve.needed.items():
            costs = priced.at(share) if share is not None else None
            bounds = "" if low is None or high is None else f" ({100 * low:.0f} … {100 * high:.0f})"
            lines.append(
                {
                    "ordering": curve.order,
                    "area %": percent_text(curve.auc),
                    "of what a full backfill would still add": f"{100 * part:.0f} %",
                    "smallest share (95 %)": MISSING if share is None else f"{100 * share:.0f} %{bounds}",
                    "items": MISSING if costs is None else f"{costs['items']:,.0f}",
                    "GPU-hours": MISSING if costs is None else f"{costs['gpu_hours']:,.1f}",
                    "money": MISSING if costs is None else f"{costs['money']:,.2f}",
                    "days": MISSING if costs is None else f"{costs['days']:,.2f}",
                }
            )
    return pd.DataFrame(lines)
