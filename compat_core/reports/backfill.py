"""Backfill curves of finished runs: the table of areas and shares needed, and the figure."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from compat_core.errors import CompatError
from compat_core.reports.backfill_curves import REST_NOTE, curve_of_run, curves_figure
from compat_core.reports.layout import REFERENCES

KEPT = ("method", "order", "metric", "seed", "auc", "auc_ci_low", "auc_ci_high", "trapezoid")

CURVES_NOTE = (
    "The gallery is partly new and partly as the method leaves old rows. Area: plain mean of the 22 points (FastFill). "
    "Oracle needs the new vectors: the rows farthest from theirs come first. The band spans three random orders. "
    f"{REST_NOTE} Recovered gain above counts from the status quo to the ceiling instead."
)


def backfill_table(results: Mapping[str, Any]) -> pd.DataFrame:
    """One row per method, ordering and metric, mean over seeds.

    Columns: method, order, metric, auc, auc_ci_low, auc_ci_high (of one seed; NaN for several), trapezoid,
    share_90, share_95, share_99 (smallest share backfilled that gives that part of what a full backfill would still
    add to the method at 0 %; NaN where it adds nothing), seeds, gaining (of how many seeds the shares are the mean: a
    full backfill adds nothing in the others; NaN where it is all of them). Fractions in [0, 1].
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
    gaining = groups[shares].count().max(axis=1).to_numpy()
    table["gaining"] = np.where(gaining < table["seeds"], gaining.astype(float), np.nan)
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
        values = [value for own, value in (whole | drawn).items() if seed in (None, own)]
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
    orders = dict.fromkeys(entry["order"] for entry in entries)
    curves = [curve_of_run([entry for entry in entries if entry["order"] == order]) for order in orders]
    title = f"{metric} along the backfill: {escape(method)}"
    return curves_figure(curves, metric, title, references(results, method, metric))
