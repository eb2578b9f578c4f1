"""The sections of the Compare page, each one subject: what is drawn, its caption, its download."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from compat_core.experiments.run import Run
from compat_core.methods import METHODS
from compat_core.metrics import FEWEST, METRICS
from compat_core.reports import figures
from compat_core.reports.alt import alt_text
from compat_core.reports.backfill import CURVES_NOTE, backfill_figure, backfill_table
from compat_core.reports.html import html_report
from compat_core.reports.pareto import pareto_figure
from compat_core.reports.tables import (
    baseline_deltas,
    frame_to_format,
    per_class_table,
    results_to_format,
    summary_table,
    verdict_table,
)
from compat_core.ui.columns import headings
from compat_core.ui.downloads import download_table
from compat_core.ui.pickers import follow_choice, in_address, run_title, touched

Results = Sequence[dict[str, Any]]

# the mode bar's camera saves what is on the screen as SVG
CHART = {"toImageButtonOptions": {"format": "svg", "filename": "compatbench"}, "displaylogo": False}


def labels(results: Results) -> list[str]:
    """Method labels of all runs, once each, in the order of the runs."""
    return list(dict.fromkeys(row["method"] for one in results for row in one["rows"]))


def lettered(results: Results) -> Results:
    """``results`` as figures name them: several runs by letter, since their ids would cover the figure."""
    if len(results) < 2:
        return results
    return [one | {"run": letter(place)} for place, one in enumerate(results)]


def letter(place: int) -> str:
    """A, B, … Z, then numbers."""
    return chr(ord("A") + place) if place < 26 else str(place + 1)


def _draw(figure: go.Figure, key: str, alt: str) -> None:
    st.plotly_chart(figure, width="stretch", key=key, config=CHART, alt=alt)


def metric_help(metric: str, results: Results) -> None:
    """What the metric means, its range, and what chance would give on each run's gallery."""
    entry = METRICS.get(metric)
    with st.expander(f"About {metric}"):
        st.markdown(entry.help)
        st.code(entry.formula, language=None)
        better = "higher is better" if entry.direction > 0 else "lower is better"
        st.caption(f"Range {entry.low:g} to {entry.high:g}, {better}. {entry.reference}")
    for place, one in enumerate(results):
        chance = one.get("chance", {}).get(metric)
        parts = [
            f"In figures, {letter(place)} is {one.get('run', '')}" if len(results) > 1 else "",
            f"{one['num_queries']:,} queries",
            f"{one['num_skipped']:,} skipped (nothing relevant in the gallery)" if one.get("num_skipped") else "",
            f"{one['distance']} distance",
            f"chance {100 * chance:.1f} %" if chance is not None else "",
            "intervals: paired bootstrap over queries, 95 %"
            if one["num_queries"] >= FEWEST
            else f"too few queries for an interval or a verdict: {FEWEST} at the least",
        ]
        st.caption(" · ".join(filter(None, parts)))


def matrices(results: Results, metric: str) -> None:
    """The query × gallery matrix of one method as a picture, one per run that has it, two side by side."""
    chosen = st.selectbox(
        "Matrix of", labels(results), index=len(labels(results)) - 1, key="matrix-method", bind="query-params"
    )
    having = [one for one in results if chosen in labels([one])]
    columns = st.columns(min(2, len(having)))
    for place, one in enumerate(having):
        with columns[place % 2]:
            if len(results) > 1:
                st.caption(f"{letter(results.index(one))}: {one.get('run', '')}")
            figure = figures.matrix_heatmap(one, chosen, metric)
            _draw(figure, f"matrix-{place}", alt_text("matrix", one, method=chosen, metric=metric))


def bars(results: Results, metric: str) -> None:
    """Every cell of every method with its interval, against status quo and ceiling."""
    results = lettered(results)
    figure = figures.metric_bars(results, metric, methods=labels(results))
    _draw(figure, "bars", alt_text("bars", results, metric=metric))


def curves(results: Results) -> None:
    """CMC and precision–recall curves of old, naive, migrated, new and ceiling, overlaid."""
    st.subheader("Curves")
    results, known = lettered(results), labels(results)
    chosen = st.multiselect("Methods drawn", known, default=known[-1:], key="curve-methods", bind="query-params")
    if not chosen:
        st.caption("Choose at least one method.")
        return
    # one below the other where several runs would fill half a page's width with their legend
    left, right = st.columns(2) if len(results) == 1 else (st.container(), st.container())
    with left:
        figure = figures.cmc_figure(results, chosen, order=METHODS.names())
        _draw(figure, "cmc", alt_text("cmc", results, methods=chosen))
    with right:
        figure = figures.precision_recall_figure(results, chosen, order=METHODS.names())
        _draw(figure, "precision-recall", alt_text("precision-recall", results, methods=chosen))


def trade_off(results: Results, metric: str) -> None:
    """What compatibility costs the new model against what it recovers of the upgrade's gain."""
    measured = {row["metric"] for one in results for row in one["rows"]}
    st.subheader("Cost against gain")
    if f"recovered_gain({metric})" not in measured:
        st.caption(f"Cost and recovered gain are not measured in {metric}: shown in mAP.")
        metric = "mAP"
    st.caption(
        "Right: the new model itself loses accuracy to be compatible. Up: more of the full upgrade's gain without "
        "backfilling. 100 % is the ceiling, 0 % the status quo; below it the upgrade hurts."
    )
    named = lettered(results)
    figure = pareto_figure(named, metric, labels(named), METHODS.names())
    _draw(figure, "pareto", alt_text("pareto", named, metric=metric))
    table = summary_table([row for one in results for row in one["rows"]], (metric,))
    download_table(f"summary-{metric}", "summary-get", lambda kind: frame_to_format(table, kind, f"summary, {metric}"))


def backfill(results: Results) -> None:
    """Search quality while the gallery is re-embedded, by the order in which that is done, run by run."""
    known = list(dict.fromkeys(method for one in results for method in _backfilled(one)))
    if not known:
        return
    st.subheader("Along the backfill")
    left, right = st.columns(2)
    with left:
        method = st.selectbox("Method", known, index=len(known) - 1, key="backfill-method", bind="query-params")
    with right:
        metric = st.selectbox("Metric", ["mAP", "CMC@1"], key="backfill-metric", bind="query-params")
    for place, one in enumerate(results):
        if method in _backfilled(one):
            whose = f"{letter(place)}: {one.get('run', '')} · " if len(results) > 1 else ""
            st.caption(f"{whose}{one['backfill'][0]['num_queries']:,} queries of the new model")
            _backfill_of(one, method, metric, f"backfill-{place}")
    st.caption(CURVES_NOTE)
    table = pd.concat([_with_run(one, backfill_table(one)) for one in results if one.get("backfill")])
    download_table("backfill", "backfill-get", lambda kind: frame_to_format(table, kind))


def _backfilled(one: dict[str, Any]) -> list[str]:
    """The methods of a run that have curves."""
    return list(dict.fromkeys(entry["method"] for entry in one.get("backfill", ())))


def _with_run(one: dict[str, Any], table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(run=one.get("run", ""))[["run", *table.columns]]


def _backfill_of(one: dict[str, Any], method: str, metric: str, key: str) -> None:
    """One run's curves, and the area and shares of every ordering."""
    figure = backfill_figure(one, method, metric)
    _draw(figure, key, alt_text("backfill", one, method=method, metric=metric))
    table = backfill_table(one)
    shown = table[(table["method"] == method) & (table["metric"] == metric)].drop(columns=["method", "metric"])
    shown = shown.dropna(axis="columns", how="all")  # no intervals over several seeds
    columns = headings(shown.columns, percent=set(shown.columns) - {"order", "seeds", "gaining"})
    alt = "Area and share needed per ordering"
    st.dataframe(shown, hide_index=True, width="stretch", key=f"{key}-table", column_config=columns, alt=alt)


def flips(results: Results) -> None:
    """Queries whose first hit turned wrong or right, against the status quo."""
    st.subheader("Flips")
    rows = [
        {"run": one["run"], "method": row["method"], "seed": row["seed"], "what": row["metric"].replace("_", " ")}
        | {key: None if row[key] is None else 100 * row[key] for key in ("value", "ci_low", "ci_high")}
        for one in results
        for row in one["rows"]
        if row["metric"] in ("negative_flips", "positive_flips")
    ]
    st.caption(
        "Share of queries, in %: right at rank 1 under old/old and wrong under new/migrated (negative), or reverse."
    )
    names = ("run", "method", "seed", "what", "value", "ci_low", "ci_high")
    st.dataframe(
        rows, hide_index=True, width="stretch", key="flips", alt="Negative and positive flips per method",
        column_config=headings(names, plain=("value", "ci_low", "ci_high")),
    )  # fmt: skip
    download_table("flips", "flips-get", lambda kind: frame_to_format(pd.DataFrame(rows), kind, "flips, % of queries"))


def classes(results: Results, metric: str) -> None:
    """Per-class change against the status quo, worst first; in mAP where the metric is not kept per class."""
    st.subheader("Classes, worst first")
    method = st.selectbox(
        "Method", labels(results), index=len(labels(results)) - 1, key="class-method", bind="query-params"
    )
    kept = {name for one in results for line in one.get("per_class", ()) for name in line}
    asked, metric = metric, metric if metric in kept else "mAP"
    table = per_class_table(results, metric)
    table = table[table["method"] == method].sort_values("change")
    shown = table.assign(change=100 * table["change"])
    why = "" if asked == metric else f" ({asked} is not kept per class)"
    st.caption(f"{metric} of the class's queries{why}, mean over seeds: new/migrated, old/old, and the change.")
    st.dataframe(
        shown, hide_index=True, width="stretch", key="classes", alt=f"{metric} per class, worst change first",
        column_config=headings(shown.columns, percent=("new/migrated", "old/old"), plain=("change",)),
    )  # fmt: skip
    download_table(f"classes-{method}".replace(":", "-"), "classes-get", lambda kind: frame_to_format(table, kind))


def baseline(results: Results, runs: Sequence[Run]) -> None:
    """Differences of all ``results`` to one of them; ``runs`` say how a run is called."""
    if len(results) < 2:
        return
    st.subheader("Against a baseline run")
    titles = {run.id: run_title(run) for run in runs}
    rows = {one["run"]: one["rows"] for one in results}
    widget = in_address("baseline", list(rows))
    chosen = st.selectbox(
        "Baseline", list(rows), format_func=lambda id: titles.get(id, id), key=widget, on_change=touched,
        args=("baseline",),
    )  # fmt: skip
    follow_choice("baseline", chosen)
    deltas = baseline_deltas(rows, chosen)
    deltas = deltas[deltas["metric"].isin(METRICS.names()) & (deltas["run"] != chosen)]
    shown = deltas.assign(delta=100 * deltas["delta"])
    st.dataframe(
        shown, hide_index=True, width="stretch", key="deltas", alt="Differences to the baseline run",
        column_config=headings(shown.columns, percent=("mean", "baseline"), plain=("delta",)),
    )  # fmt: skip
    download_table("deltas", "deltas-get", lambda kind: frame_to_format(deltas, kind))


def take_along(results: Results, runs: Sequence[Run]) -> None:
    """All tidy rows and verdicts of ``results``, and the self-contained report about ``runs``."""
    st.subheader("Take it along")
    st.caption("All result rows: one per run, method, seed, cell and metric (Markdown and LaTeX: the summary)")
    download_table("results", "results-get", lambda kind: results_to_format(results, kind))
    verdicts = verdict_table(results)
    st.caption("All verdicts")
    download_table("verdicts", "verdicts-get", lambda kind: frame_to_format(verdicts, kind))
    st.download_button(
        "HTML report", data=lambda: html_report(list(runs), METHODS.names()).encode(), file_name="report.html",
        mime="text/html", key="html-get", icon=":material/description:", on_click="ignore",
    )  # fmt: skip
