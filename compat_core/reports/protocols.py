"""Verification and identification of finished runs: one table of operating points, and the ROC and DET curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from compat_core.errors import CompatError
from compat_core.metrics.protocols import IDENTIFICATION, VERIFICATION
from compat_core.reports.frames import percent_text
from compat_core.reports.layout import CLEAR, TEMPLATE
from compat_core.reports.roles import CELLS, role
from compat_core.reports.shares import Values, share_over_seeds, values_by_seed
from compat_core.reports.verdicts import MARKS, pooled_verdict

Results = Mapping[str, Any]

TITLES = {VERIFICATION: "1:1 verification", IDENTIFICATION: "1:N open-set identification"}
AXES = {VERIFICATION: ("false-accept rate", "true-accept rate"), IDENTIFICATION: ("FPIR", "TPIR")}


def protocols_of(results: Results) -> list[str]:
    """The protocols that ``results`` hold."""
    return list(dict.fromkeys(entry["protocol"] for entry in results.get("protocols", ())))


def operating_points(results: Results, protocol: str) -> pd.DataFrame:
    """One line per method and metric of ``protocol``: every cell in percent (mean ± std over seeds), and the verdict.

    Columns: method, metric, the cells present, verdict (``✓ compatible`` …; empty where the data resolve no such
    operating point or it has no interval), update gain (percent of the paragon's gain, of the means over seeds as in
    :mod:`compat_core.reports.shares`; a dash where these gain nothing).
    """
    rows = pd.DataFrame(results["rows"])
    entries = [entry for entry in results.get("protocols", ()) if entry["protocol"] == protocol]
    names = _metric_names(rows, protocol)
    cells = [cell for cell in CELLS if cell in {entry["cell"] for entry in entries}]
    lines = []
    for method in dict.fromkeys(entry["method"] for entry in entries):
        own = rows[rows["method"] == method]
        by_seed = values_by_seed(row for row in results["rows"] if row["method"] == method)
        for name in names:
            named = own[own["metric"] == name]
            line = {"method": method, "metric": name}
            for cell in cells:
                values = named.loc[named["cell"] == cell, "value"].astype("float64").dropna()
                line[cell] = percent_text(values.mean(), values.std()) if len(values) else "refused"
            outcomes = [
                verdict["outcome"]
                for verdict in results.get("verdicts", ())
                if (verdict["method"], verdict["metric"]) == (method, name)
            ]
            word = pooled_verdict(outcomes) if outcomes else ""
            line["verdict"] = f"{MARKS[word]} {word}" if word else ""
            line["update gain"] = _update_gain(name, by_seed)
            lines.append(line)
    return pd.DataFrame(lines, columns=["method", "metric", *cells, "verdict", "update gain"])


def _update_gain(name: str, values: Values) -> str:
    """In percent; a dash without a gain, or where some seeds lack a cell."""
    metric = f"update_gain({name})"
    share = share_over_seeds(metric, values)
    own = list(values.get(("new/migrated", metric), {}).values())
    one_seed = len(values.get(("new/migrated", name), {})) == 1
    gain = share.mean if share else own[0] if own and one_seed else math.nan
    return "–" if math.isnan(gain) else f"{100 * gain:.0f} %"


def refusals(results: Results, protocol: str) -> list[str]:
    """Why operating points were refused, each sentence once."""
    points = [
        point for entry in results.get("protocols", ()) if entry["protocol"] == protocol for point in entry["points"]
    ]
    return list(dict.fromkeys(point["refusal"] for point in points if point["refusal"]))


def trials_text(results: Results, protocol: str) -> str:
    """How many trials stand behind a protocol, in words."""
    entry = next(entry for entry in results["protocols"] if entry["protocol"] == protocol)
    if protocol == VERIFICATION:
        return (
            f"{entry['num_templates']:,} templates on each side, {entry['num_genuine']:,} genuine and "
            f"{entry['num_impostor']:,} impostor pairs"
        )
    return (
        f"{entry['num_enrolled']:,} classes enrolled, {entry['num_mated']:,} probes with a mate and "
        f"{entry['num_unmated']:,} without"
    )


def points_note(results: Results, protocol: str) -> str:
    """What stands behind the table of operating points, and how to read it."""
    return (
        f"{trials_text(results, protocol)}; cosine. In %, mean ± std over seeds. The verdict compares new/migrated "
        "with old/old at that operating point; intervals resample queries and hold the threshold."
    )


def rate_figure(results: Results, method: str, protocol: str, kind: str = "roc") -> go.Figure:
    """ROC (true accepts against false accepts) or DET (false rejects against false accepts) of every cell.

    Both in percent on logarithmic axes of the false rate (DET: both axes), the mean over seeds at each rate. Curves
    start where the data resolve a rate.

    Args:
        results: one run's results.
        method: its method.
        protocol: ``verification`` or ``identification``.
        kind: ``roc`` or ``det``.

    Raises:
        CompatError: when the results hold no such curve.
    """
    entries = [
        entry
        for entry in results.get("protocols", ())
        if (entry["protocol"], entry["method"]) == (protocol, method) and entry["x"]
    ]
    if not entries:
        raise CompatError("protocol curves", value=f"{method}, {protocol}", rule="this run drew none")
    false_rate, true_rate = AXES[protocol]
    missed = "false-reject rate" if protocol == VERIFICATION else "1 − TPIR"
    figure = go.Figure()
    for cell in (cell for cell in CELLS if cell in {entry["cell"] for entry in entries}):
        own = [entry for entry in entries if entry["cell"] == cell]
        rates = np.array(own[0]["x"])
        found = np.mean([entry["y"] for entry in own], axis=0)
        shown = 100 * (found if kind == "roc" else 1 - found)
        look = role(cell)
        figure.add_scatter(
            x=(100 * rates).tolist(), y=[value if value > 0 or kind == "roc" else None for value in shown.tolist()],
            mode="lines+markers", name=look.title, line={"color": look.color, "dash": look.dash, "width": 2},
            marker={"symbol": look.symbol, "size": 6, "maxdisplayed": 12},
            hovertemplate=f"{cell}<br>{false_rate} %{{x:.3g}} %<br>%{{y:.2f}} %<extra></extra>",
        )  # fmt: skip
    y_title = true_rate if kind == "roc" else missed
    x = [value for line in figure.data for value in line.x]
    figure.update_xaxes(title=f"{false_rate} (%)", **_logarithmic(x))
    y = [value for line in figure.data for value in line.y if value]
    figure.update_yaxes(title=f"{y_title} (%)", **(_logarithmic(y) if kind == "det" else {}))
    return figure.update_layout(
        template=TEMPLATE,
        title=f"{'ROC' if kind == 'roc' else 'DET'}, {protocol}: {escape(method)}", height=440,
        paper_bgcolor=CLEAR, plot_bgcolor=CLEAR, uirevision=f"{kind}-{protocol}",
        legend={"orientation": "h", "y": -0.25, "x": 0},
    )  # fmt: skip


def _logarithmic(values: Sequence[float]) -> dict[str, Any]:
    """A tick per decade; where there are fewer than two, at 1, 2 and 5 of each."""
    seen = [value for value in values if value > 0]
    few = bool(seen) and max(seen) < 100 * min(seen)
    return {"type": "log", "dtick": "D2" if few else 1, "exponentformat": "none"}


def _metric_names(rows: pd.DataFrame, protocol: str) -> list[str]:
    from compat_core.metrics import PROTOCOL_METRICS  # late: reading rows needs no torch

    bases = [entry.name for entry in PROTOCOL_METRICS if entry.protocol == protocol]
    found = dict.fromkeys(rows["metric"])
    return [name for base in bases for name in found if name.partition("=")[0] == base]


def curve_methods(results: Sequence[Results]) -> list[str]:
    """Methods with a protocol in any of the runs, in order of appearance."""
    return list(dict.fromkeys(entry["method"] for one in results for entry in one.get("protocols", ())))
