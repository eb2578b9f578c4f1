"""The closer look at a decision: pair budget, backfill plan, thresholds, latency, who gets worse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from compat_core.reports.backfill_curves import REST_NOTE, curves_figure, curves_of_plan
from compat_core.reports.frames import MISSING, change_text, percent_text
from compat_core.reports.html_page import HtmlPage
from compat_core.reports.layout import CLEAR, add_levels, hold, level_of
from compat_core.reports.markup import frame_panel
from compat_core.reports.roles import METHOD_COLORS
from compat_core.vectors.backfill_list import order_sentences
from compat_core.vectors.options import CEILING, STATUS_QUO

Studies = Mapping[str, Any]  # what decision.json holds under "studies"
WORST = 15
FARTHEST = 10  # times the largest number of pairs tried: farther, a power law is not believed
PLAN_NOTE = f"{REST_NOTE} The gain of an option counts from the status quo instead."


def budget_figure(budget: Mapping[str, Any]) -> go.Figure:
    """Gain over the status quo against the number of pairs, with the interval over queries."""
    points = budget["points"]
    pairs = [point["pairs"] for point in points]
    gains = [100 * point["gain"] for point in points]
    figure = go.Figure()
    figure.add_scatter(
        x=pairs, y=gains, mode="lines+markers", name=budget["adapter"],
        error_y={"type": "data", "symmetric": False,
                 "array": [100 * (point["ci_high"] - point["gain"]) for point in points],
                 "arrayminus": [100 * (point["gain"] - point["ci_low"]) for point in points]},
        line={"color": METHOD_COLORS[0]}, hovertemplate="%{x:,} pairs<br>%{y:+.1f} points<extra></extra>",
    )  # fmt: skip
    figure.update_layout(
        title=f"Gain against the number of pairs: {budget['adapter']}", xaxis_title="pairs", xaxis_type="log",
        xaxis_tickvals=pairs, xaxis_ticktext=[f"{count:,}" for count in pairs],  # a log axis labels 100, then 2 and 5
        yaxis_title=f"gain, {budget['metric']} (points)", height=380, uirevision="budget",
        paper_bgcolor=CLEAR, plot_bgcolor=CLEAR,
    )  # fmt: skip
    hold(figure, [0.0, *(100 * point[bound] for point in points for bound in ("ci_low", "ci_high"))])
    add_levels(figure, [level_of("old/old", 0.0, "status quo")])
    return figure


def budget_sentence(budget: Mapping[str, Any]) -> str:
    """Whether more pairs would still help, and how many."""
    step = budget["last_doubling"]
    if step is None:
        return "Too few pairs for a curve."
    changed = change_text(step["value"], step["ci_low"], step["ci_high"], 2)
    pairs = budget["points"][-1]["pairs"]
    first = f"The last doubling, to {pairs:,} pairs, changed {budget['metric']} by {changed} points: "
    if not budget["more_helps"]:
        return first + "more pairs are not shown to help."
    wanted = budget["wanted"]
    if wanted is None:
        return first + "more pairs would still help."
    if wanted > FARTHEST * pairs:
        return first + (
            f"more pairs would still help; a power law through the points comes near its level only at more than "
            f"{_rounded(FARTHEST * pairs)} pairs, farther than it can be trusted."
        )
    if wanted <= pairs:
        return (
            first
            + "more pairs would help a little; a power law through the points is within half a point of its level."
        )
    return first + (
        f"more pairs would still help; a power law through the points, an extrapolation, comes within half a point of "
        f"its level at about {_rounded(wanted)} pairs, {_rounded(wanted - pairs)} more."
    )


def choice_sentence(studies: Studies) -> str:
    """Which map the backfill plan, part backfills and the number of pairs rest on, how it was chosen, and what the
    orderings mean and take."""
    return (
        f"The map, {studies['plan_map']}, was chosen on validation items, on which nothing was fitted and nothing is "
        "judged, and so was the ordering of part backfills in the table of options, where it is not random. The curves "
        f"are of the judged items. {order_sentences(entry['order'] for entry in studies['plan'])}"
    )


def levels_of_decision(decided: Mapping[str, Any]) -> dict[str, float]:
    """Status quo and ceiling of a decision in its metric, by the cell they are called in a run; fractions."""
    metric = decided["config"]["metric"]
    values = {row["name"]: (row["values"].get(metric) or {}).get("value") for row in decided["rows"]}
    levels = {cell: values.get(name) for cell, name in (("old/old", STATUS_QUO), ("paragon", CEILING))}
    return {cell: level for cell, level in levels.items() if level is not None}


def plan_figure(studies: Studies, decided: Mapping[str, Any]) -> go.Figure:
    """The metric against the share backfilled, one line per ordering, with status quo and ceiling."""
    metric = decided["config"]["metric"]
    title = f"{metric} along the backfill, from {studies['plan_map']}"
    return curves_figure(curves_of_plan(studies["plan"]), metric, title, levels_of_decision(decided))


def plan_table(plan: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Area and the smallest share for each part of the rest (see REST_NOTE), one line per ordering, to be read."""
    return pd.DataFrame(
        [
            {"ordering": entry["order"], "area %": percent_text(entry["auc"])}
            | {
                f"backfill for {100 * float(part):.0f} % of the rest": _share(need)
                for part, need in entry["needed"].items()
            }
            for entry in plan
        ]
    )


def threshold_table(shifts: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """What the deployed threshold lets through under every option, and the score to use instead."""
    return pd.DataFrame(
        [
            {
                "option": shift["option"],
                "deployed score": f"{shift['threshold']:.4f}",
                "wrong pairs accepted %": f"{100 * shift['false_accepts']:.3f}",
                "right pairs accepted %": percent_text(shift["true_accepts"]),
                "recalibrated score": f"{shift['recalibrated']:.4f}",
                "right pairs accepted there %": percent_text(shift["true_accepts_recalibrated"]),
            }
            for shift in shifts
        ]
    )


def index_table(effects: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Every option behind every index: recall against the exact search, first hits right, time of a query."""
    return pd.DataFrame(
        [
            {
                "option": effect["option"],
                "index": effect["index"],
                "recall@10 %": percent_text(effect["recall"]),
                "first hit right %": percent_text(effect["top_1"]),
                "exact search %": percent_text(effect["top_1_exact"]),
                "ms per query": f"{effect['ms']:.2f}",
            }
            for effect in effects
        ]
    )


def latency_table(latencies: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Time to map one vector, and vectors mapped per second in bulk, on the machine that decided."""
    return pd.DataFrame(
        [
            {"option": entry["option"], "p50, ms": f"{entry['p50_ms']:.3f}", "p99, ms": f"{entry['p99_ms']:.3f}",
             "vectors/s in bulk": f"{entry['rows_per_s']:,.0f}"}
            for entry in latencies
        ]
    )  # fmt: skip


def harm_table(harm: Sequence[Mapping[str, Any]], grouping: str, most: int | None = None) -> pd.DataFrame:
    """The groups of one grouping, worst first; ``most`` cuts the list."""
    entries = [entry for entry in harm if entry["grouping"] == grouping][:most]
    return pd.DataFrame(
        [
            {
                grouping: entry["group"],
                "queries": entry["num_queries"],
                "top hit right % before": percent_text(entry["before"]),
                "after": percent_text(entry["after"]),
                "lost / won %": f"{percent_text(entry['lost'])} / {percent_text(entry['won'])}",
                "change in AP, points (95 %)": _change(entry),
                "": "worse" if (entry["ci_high"] or 0.0) < 0 else "",
            }
            for entry in entries
        ]
    )


def groupings(harm: Sequence[Mapping[str, Any]]) -> list[str]:
    """The groupings there are, in order."""
    return list(dict.fromkeys(entry["grouping"] for entry in harm))


def add_studies(page: HtmlPage, studies: Studies, decided: Mapping[str, Any]) -> None:
    """The closer look, as sections of the page; nothing for a document without one."""
    metric = decided["config"]["metric"]
    if studies.get("pair_budget"):
        budget = studies["pair_budget"]
        page.heading("How many pairs", 3)
        page.paragraph(budget_sentence(budget))
        page.figure(budget_figure(budget), "Gain over the status quo against the number of pairs, with 95 % intervals")
    if studies.get("plan"):
        page.heading("How much to backfill", 3)
        page.figure(plan_figure(studies, decided), f"{metric} against the share backfilled, by ordering")
        page.note(choice_sentence(studies))
        page.table(frame_panel(plan_table(studies["plan"]), "Smallest share backfilled for a part of the rest (95 %)"))
        page.note(PLAN_NOTE)
    if studies.get("thresholds"):
        page.heading("The deployed threshold", 3)
        page.table(
            frame_panel(threshold_table(studies["thresholds"]), "Scores that accept as many wrong pairs as before")
        )
    if studies.get("indexes"):
        page.heading("Behind an approximate index", 3)
        page.table(frame_panel(index_table(studies["indexes"]), "HNSW and IVF-PQ against the exact search"))
        for reason in studies["indexes_left_out"]:
            page.note(reason)
    if decided.get("latencies"):
        page.heading("What the map alone takes", 3)
        page.table(frame_panel(latency_table(decided["latencies"]), "Latency of one vector, on the CPU that decided"))
    if studies.get("harm"):
        page.heading("Who gets worse", 3)
        page.paragraph(f"{studies['looked_at']} against the status quo, worst groups first.")
        for grouping in groupings(studies["harm"]):
            page.table(frame_panel(harm_table(studies["harm"], grouping, WORST), f"By {grouping}"))


def _share(need: Mapping[str, float | None]) -> str:
    if need["value"] is None:
        return MISSING
    if need["ci_low"] is None or need["ci_high"] is None:
        return f"{100 * need['value']:.0f} %"
    return f"{100 * need['value']:.0f} % ({100 * need['ci_low']:.0f} … {100 * need['ci_high']:.0f})"


def _change(entry: Mapping[str, Any]) -> str:
    return change_text(entry["change"], entry["ci_low"], entry["ci_high"])


def _rounded(count: int) -> str:
    """Two significant digits: an extrapolation has no more."""
    digits = len(str(count)) - 2
    return f"{round(count, -digits):,}" if digits > 0 else f"{count:,}"
