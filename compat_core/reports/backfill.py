"""Backfill curves of finished runs: the table of areas and shares needed, and the figure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from compat_core.errors import CompatError
from compat_core.reports.layout import REFERENCES, TEMPLATE, add_references
from compat_core.reports.roles import METHOD_COLORS, METHOD_SYMBOLS

KEPT = ("method", "order", "metric", "seed", "auc", "auc_ci_low", "auc_ci_high", "trapezoid")
ORDER_DASHES = {"random": "dot", "oracle": "dash", "sigma": "solid", "class-mean": "solid", "class": "dashdot"}


def backfill_table(results: Mapping[str, Any]) -> pd.DataFrame:
    """One row per method, ordering and metric, mean over seeds.

    Columns: method, order, metric, auc, auc_ci_low, auc_ci_high (of one seed; NaN for several), trapezoid,
    share_90, share_95, share_99 (smallest share backfilled that gives that part of what a full backfill would still
    add to the method at 0 %; NaN where it adds nothing), seeds. Fractions in [0, 1].
    """
    rows = [
        {key: entry[key] for key in KEPT}
        | {f"share_{float(gain) * 100:.0f}": share for gain, share in entry["share_for"].items()}
        for entry in results.get("backfill", ())
    ]
    frame = pd.DataFrame(rows)
    if frame.empty:
        return frame
    shares = [str(column) for column in frame.columns if str(column).startswith("share_")]
    frame[shares] = frame[shares].astype("float64")
    numbers = ["auc", "auc_ci_low", "auc_ci_high", "trapezoid", *shares]
    groups = frame.groupby(["method", "order", "metric"], sort=False)
    table = groups[numbers].mean().assign(seeds=groups["seed"].nunique()).reset_index()
    table.loc[table["seeds"] > 1, ["auc_ci_low", "auc_ci_high"]] = float("nan")
    return table


def references(results: Mapping[str, Any], method: str, metric: str, seed: int | None = None) -> dict[str, float]:
    """Status quo and ceiling of a method: cell -> the metric, of one seed or the mean over all.

    Over the queries that the curves were drawn for; a run of before these were kept gives those of all queries.
    """
    found = {}
    for cell in REFERENCES:
        drawn = {
            entry["seed"]: entry["references"][cell] for entry in results.get("backfill", ())
            if (entry["method"], entry["metric"]) == (method, metric) and cell in entry.get("references", ())
        }  # fmt: skip
        whole = {
            row.get("seed"): row["value"] for row in results["rows"]
            if (row["method"], row["cell"], row["metric"]) == (method, cell, metric)
        }  # fmt: skip
        values = [value for own, value in (drawn or whole).items() if seed in (None, own)]
        if values:
            found[cell] = sum(values) / len(values)
    return found


def backfill_figure(results: Mapping[str, Any], method: str, metric: str = "mAP") -> go.Figure:
    """The metric against the share of the gallery backfilled, one line per ordering, mean over seeds.

    The band of the random ordering spans its repetitions (of the first seed).

    Raises:
        CompatError: when the results hold no such curve.
    """
    entries = [one for one in results.get("backfill", ()) if (one["method"], one["metric"]) == (method, metric)]
    if not entries:
        raise CompatError("backfill curves", value=f"{method}, {metric}", rule="this run drew none")
    figure = go.Figure()
    orders = list(dict.fromkeys(entry["order"] for entry in entries))
    for place, order in enumerate(orders):
        chosen = [entry for entry in entries if entry["order"] == order]
        shares = [100 * share for share in chosen[0]["shares"]]
        mean = pd.DataFrame([entry["values"] for entry in chosen]).mean()
        color = METHOD_COLORS[place % len(METHOD_COLORS)]
        if chosen[0]["repeats"] > 1:
            edge = [100 * value for value in chosen[0]["low"]] + [100 * value for value in chosen[0]["high"]][::-1]
            figure.add_scatter(
                x=shares + shares[::-1], y=edge, fill="toself", line={"width": 0}, fillcolor=color, opacity=0.2,
                hoverinfo="skip", showlegend=False,
            )  # fmt: skip
        auc = sum(entry["auc"] for entry in chosen) / len(chosen)
        figure.add_scatter(
            x=shares, y=(100 * mean).tolist(), mode="lines+markers", name=f"{order} (area {100 * auc:.1f})",
            line={"color": color, "dash": ORDER_DASHES.get(order, "solid"), "width": 2},
            marker={"symbol": METHOD_SYMBOLS[place % len(METHOD_SYMBOLS)], "size": 6},
            hovertemplate=f"{order}<br>%{{x:.0f}} % backfilled<br>{metric} %{{y:.1f}} %<extra></extra>",
        )  # fmt: skip
    heights = [value for entry in entries for name in ("values", "low", "high") for value in entry[name]]
    add_references(figure, references(results, method, metric), heights)
    return figure.update_layout(
        title=f"{metric} along the backfill: {method}", template=TEMPLATE,
        xaxis_title="gallery backfilled (%)", yaxis_title=f"{metric} (%)",
        height=440, paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)", uirevision="backfill",
        legend={"orientation": "h", "y": -0.25, "x": 0},
    )  # fmt: skip
