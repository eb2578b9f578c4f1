"""The sections of the Compare page, each one subject: what is drawn, its caption, its download."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from compat_core.experiments.run import Run
from compat_core.methods import METHODS
from compat_core.metrics import METRICS
from compat_core.reports import figures
from compat_core.reports.alt import alt_text
from compat_core.reports.backfill import backfill_figure, backfill_table
from compat_core.reports.html import html_report
from compat_core.reports.tables import (
    baseline_deltas,
    frame_to_format,
    per_class_table,
    summary_table,
    to_format,
    verdict_table,
)
from compat_core.ui.downloads import download_table
from compat_core.ui.pickers import run_title

Results = Sequence[dict[str, Any]]

# the mode bar's camera saves what is on the screen as SVG
CHART = {"toImageButtonOptions": {"format": "svg", "filename": "compatbench"}, "displaylogo": False}


def labels(results: Results) -> list[str]:
    """Method labels of all runs, once each, in the order of the runs."""
    return list(dict.fromkeys(row["method"] for one in results for row in one["rows"]))


def _draw(figure: go.Figure, key: str, alt: str) -> None:
    st.plotly_chart(figure, width="stretch", key=key, config=CHART, alt=alt)


def metric_help(metric: str, results: Results) -> None:
    """What the metric means, its range, and what chance would give on this gallery."""
    entry = METRICS.get(metric)
    chance = results[0].get("chance", {}).get(metric)
    with st.expander(f"About {metric}"):
        st.markdown(entry.help)
        st.code(entry.formula, language=None)
        better = "higher is better" if entry.direction > 0 else "lower is better"
        st.caption(f"Range {entry.low:g} to {entry.high:g}, {better}. {entry.reference}")
    first = results[0]
    parts = [
        f"{first['num_queries']:,} queries",
        f"{first['num_skipped']:,} skipped (nothing relevant in the gallery)" if first.get("num_skipped") else "",
        f"{first['distance']} distance",
        f"chance {100 * chance:.1f} %" if chance is not None else "",
        "intervals: paired bootstrap over queries, 95 %",
    ]
    st.caption(" · ".join(filter(None, parts)))


def matrices(results: Results, metric: str) -> None:
    """The query × gallery matrix of one method as a picture."""
    chosen = st.selectbox(
        "Matrix of", labels(results), index=len(labels(results)) - 1, key="matrix-method", bind="query-params"
    )
    columns = st.columns(len(results[:2]))
    for place, (column, one) in enumerate(zip(columns, results, strict=False)):
        if chosen in labels([one]):
            with column:
                figure = figures.matrix_heatmap(one, chosen, metric)
                _draw(figure, f"matrix-{place}", alt_text("matrix", one, method=chosen, metric=metric))


def bars(results: Results, metric: str) -> None:
    """Every cell of every method with its interval, against status quo and ceiling."""
    figure = figures.metric_bars(results, metric, methods=labels(results))
    _draw(figure, "bars", alt_text("bars", results, metric=metric))


def curves(results: Results) -> None:
    """CMC and precision–recall curves of old, naive, migrated, new and ceiling, overlaid."""
    st.subheader("Curves")
    known = labels(results)
    chosen = st.multiselect("Methods drawn", known, default=known[-1:], key="curve-methods")
    if not chosen:
        st.caption("Choose at least one method.")
        return
    left, right = st.columns(2)
    with left:
        figure = figures.cmc_figure(results, chosen, order=METHODS.names())
        _draw(figure, "cmc", alt_text("cmc", results, methods=chosen))
    with right:
        figure = figures.precision_recall_figure(results, chosen, order=METHODS.names())
        _draw(figure, "precision-recall", alt_text("precision-recall", results, methods=chosen))


def trade_off(results: Results, metric: str) -> None:
    """What compatibility costs the new model against what it recovers of the upgrade's gain."""
    if f"recovered_gain({metric})" not in {row["metric"] for row in results[0]["rows"]}:
        metric = "mAP"
    st.subheader("Cost against gain")
    st.caption(
        "Right: the new model itself loses accuracy to be compatible. Up: more of the full upgrade's gain without "
        "backfilling. 100 % is the ceiling, 0 % the status quo; below it the upgrade hurts."
    )
    figure = figures.pareto_figure(results, metric, labels(results), METHODS.names())
    _draw(figure, "pareto", alt_text("pareto", results, metric=metric))
    table = summary_table([row for one in results for row in one["rows"]], (metric,))
    download_table(f"summary-{metric}", "summary-get", lambda kind: frame_to_format(table, kind, f"summary, {metric}"))


def backfill(results: Results) -> None:
    """Search quality while the gallery is re-embedded, by the order in which that is done."""
    drawn = [one for one in results if one.get("backfill")]
    if not drawn:
        return
    st.subheader("Along the backfill")
    known = labels(drawn)
    left, right = st.columns(2)
    with left:
        method = st.selectbox("Method", known, index=len(known) - 1, key="backfill-method")
    with right:
        metric = st.selectbox("Metric", ["mAP", "CMC@1"], key="backfill-metric")
    one = next(one for one in drawn if method in labels([one]))
    figure = backfill_figure(one, method, metric)
    _draw(figure, "backfill", f"{metric} of {method} against the share of the gallery backfilled, per ordering")
    st.caption(
        f"New queries ({one['backfill'][0]['num_queries']:,} of them), a gallery that is partly new and partly as the "
        "method leaves old rows. Area: plain mean of the 22 points (FastFill). Oracle needs the new vectors and is an "
        "upper reference. The band spans three random orders."
    )
    table = backfill_table(one)
    shown = table[(table["method"] == method) & (table["metric"] == metric)].drop(columns=["method", "metric"])
    percent = st.column_config.NumberColumn(format="percent")
    numbers = {name: percent for name in shown.columns if name not in ("order", "seeds")}
    alt = "Area and share needed per ordering"
    st.dataframe(shown, hide_index=True, width="stretch", key="backfill-table", column_config=numbers, alt=alt)
    download_table("backfill", "backfill-get", lambda kind: frame_to_format(table, kind))


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
    format = st.column_config.NumberColumn(format="%.1f")
    st.dataframe(
        rows, hide_index=True, width="stretch", key="flips", alt="Negative and positive flips per method",
        column_config={"value": format, "ci_low": format, "ci_high": format},
    )  # fmt: skip


def classes(results: Results) -> None:
    """Per-class change against the status quo, worst first."""
    st.subheader("Classes, worst first")
    method = st.selectbox("Method", labels(results), index=len(labels(results)) - 1, key="class-method")
    table = per_class_table(results)
    table = table[table["method"] == method].sort_values("change")
    percent = st.column_config.NumberColumn(format="percent")
    st.caption("mAP of the class's queries: new/migrated, old/old, and the change (first seed first).")
    st.dataframe(
        table, hide_index=True, width="stretch", key="classes", alt="mAP per class, worst change first",
        column_config={"new/migrated": percent, "old/old": percent, "change": percent},
    )  # fmt: skip
    download_table(f"classes-{method}".replace(":", "-"), "classes-get", lambda kind: frame_to_format(table, kind))


def baseline(runs: Sequence[Run]) -> None:
    """Differences of all runs to one of them."""
    if len(runs) < 2:
        return
    st.subheader("Against a baseline run")
    by_id = {run.id: run for run in runs}
    chosen = st.selectbox("Baseline", list(by_id), format_func=lambda id: run_title(by_id[id]), key="baseline")
    deltas = baseline_deltas({run.id: run.rows() for run in runs}, chosen)
    deltas = deltas[deltas["metric"].isin(METRICS.names()) & (deltas["run"] != chosen)]
    percent = st.column_config.NumberColumn(format="percent")
    st.dataframe(
        deltas, hide_index=True, width="stretch", key="deltas", alt="Differences to the baseline run",
        column_config={"mean": percent, "baseline": percent, "delta": percent},
    )  # fmt: skip
    download_table("deltas", "deltas-get", lambda kind: frame_to_format(deltas, kind))


def take_along(runs: Sequence[Run]) -> None:
    """All tidy rows, the verdicts, and the self-contained report."""
    st.subheader("Take it along")
    rows = [row for run in runs for row in run.rows()]
    st.caption("All result rows: one per run, method, seed, cell and metric (Markdown and LaTeX: the summary)")
    download_table("results", "results-get", lambda kind: to_format(rows, kind))
    verdicts = verdict_table([run.results() or {} for run in runs])
    st.caption("All verdicts")
    download_table("verdicts", "verdicts-get", lambda kind: frame_to_format(verdicts, kind))
    st.download_button(
        "HTML report", data=lambda: html_report(list(runs), METHODS.names()).encode(), file_name="report.html",
        mime="text/html", key="html-get", icon=":material/description:", on_click="ignore",
    )  # fmt: skip
