"""Subgroups of the evaluation images in finished runs: whom a method serves worse, and how the gap closes."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from compat_core.errors import CompatError
from compat_core.reports.layout import CLEAR, TEMPLATE
from compat_core.reports.roles import METHOD_COLORS, METHOD_SYMBOLS

Results = Mapping[str, Any]


def subgroups_note(metric: str) -> str:
    """What the subgroups are and how their table is read."""
    return (
        f"{metric}, mean over seeds, of queries by how much of their class the old model saw. The gap is the best "
        "subgroup less the worst of these means; for one seed with its 95 % interval."
    )


def subgroup_table(results: Results, metric: str = "mAP") -> pd.DataFrame:
    """One line per method and cell: the metric of every subgroup, means over seeds, and their gap, fractions in [0, 1].

    The mean of the seeds' own gaps is another number where the best subgroup is not the same in all: it does not fall
    to zero although no subgroup is served worse.

    Columns: method, cell, one per subgroup, gap, gap_ci_low, gap_ci_high (of one seed; NaN for several), seeds. Empty
    where the run has no subgroups.
    """
    lines = []
    for entry in results.get("subgroups", ()):
        if entry["metric"] == metric:
            groups = {group["name"]: group["value"] for group in entry["groups"]}
            gap = entry["gap"]
            bounds = {"gap": gap["value"], "gap_ci_low": gap["ci_low"], "gap_ci_high": gap["ci_high"]}
            lines.append({"method": entry["method"], "cell": entry["cell"]} | groups | bounds | {"seed": entry["seed"]})
    if not lines:
        return pd.DataFrame(columns=["method", "cell", "gap", "gap_ci_low", "gap_ci_high", "seeds"])
    frame = pd.DataFrame(lines)
    grouped = frame.groupby(["method", "cell"], sort=False)
    table = grouped[[name for name in frame.columns if name not in ("method", "cell", "seed")]].mean()
    table["seeds"] = grouped["seed"].nunique()
    names = [name for name in table.columns if name not in ("gap", "gap_ci_low", "gap_ci_high", "seeds")]
    table["gap"] = table[names].max(axis=1) - table[names].min(axis=1)
    table.loc[table["seeds"] > 1, ["gap_ci_low", "gap_ci_high"]] = float("nan")
    return table.reset_index()


def subgroup_figure(results: Results, method: str, order: str = "random", metric: str = "mAP") -> go.Figure:
    """The metric of every subgroup against the share of the gallery backfilled, and the gap between them.

    Raises:
        CompatError: when the results hold no such curve.
    """
    entries = [
        entry
        for entry in results.get("backfill", ())
        if (entry["method"], entry["order"], entry["metric"]) == (method, order, metric) and "subgroups" in entry
    ]
    if not entries:
        raise CompatError("subgroup curves", value=f"{method}, {order}, {metric}", rule="this run drew none")
    figure = go.Figure()
    shares = [100 * share for share in entries[0]["shares"]]
    means = {name: pd.DataFrame([entry["subgroups"][name] for entry in entries]).mean()
             for name in entries[0]["subgroups"]}  # fmt: skip
    for place, (name, mean) in enumerate(means.items()):
        figure.add_scatter(
            x=shares, y=(100 * mean).tolist(), mode="lines+markers", name=escape(name),
            line={"color": METHOD_COLORS[place], "width": 2}, marker={"symbol": METHOD_SYMBOLS[place], "size": 6},
            hovertemplate="%{x:.0f} % backfilled<br>" + metric + " %{y:.1f} %<extra></extra>",
        )  # fmt: skip
    gap = pd.DataFrame(means).max(axis=1) - pd.DataFrame(means).min(axis=1)
    figure.add_scatter(
        x=shares, y=(100 * gap).tolist(), mode="lines", name="gap, best − worst",
        line={"color": METHOD_COLORS[-1], "dash": "dash", "width": 2},
        hovertemplate="%{x:.0f} % backfilled<br>gap %{y:.1f} points<extra></extra>",
    )  # fmt: skip
    return figure.update_layout(
        template=TEMPLATE,
        title=f"{metric} per subgroup along the backfill: {escape(method)}, {order}",
        xaxis_title="gallery backfilled (%)", yaxis_title=f"{metric} (%)", height=420,
        paper_bgcolor=CLEAR, plot_bgcolor=CLEAR, uirevision="subgroups",
        legend={"orientation": "h", "y": -0.25, "x": 0},
    ).update_yaxes(rangemode="tozero")  # fmt: skip
