"""Sections of the Compare page beside retrieval: verification, identification, subgroups, scores over test sets."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import streamlit as st

from compat_core.metrics.protocols import PROTOCOL_METRICS
from compat_core.reports.alt import alt_text
from compat_core.reports.protocols import (
    TITLES,
    curve_methods,
    operating_points,
    points_note,
    protocols_of,
    rate_figure,
    refusals,
)
from compat_core.reports.subgroups import subgroup_figure, subgroup_table, subgroups_note
from compat_core.reports.tables import frame_to_format
from compat_core.reports.upgrade_scores import num_test_sets, upgrade_score_table
from compat_core.ui.columns import headings
from compat_core.ui.compare_parts import CHART
from compat_core.ui.downloads import download_table

Results = Sequence[dict[str, Any]]


def protocols(results: Results) -> None:
    """Operating points with verdicts, and ROC and DET curves, of every run that has a protocol."""
    drawn = [one for one in results if protocols_of(one)]
    if not drawn:
        return
    st.subheader("Verification and identification")
    method = st.selectbox(
        "Method", curve_methods(drawn), index=len(curve_methods(drawn)) - 1, key="protocol-method", bind="query-params"
    )
    for place, one in enumerate(drawn):
        for protocol in protocols_of(one):
            _protocol(one, place, protocol, method)


def _protocol(one: dict[str, Any], place: int, protocol: str, method: str) -> None:
    st.markdown(f"**{TITLES[protocol]}** · {one['run']}")
    st.caption(points_note(one, protocol))
    table = operating_points(one, protocol)
    key = f"{protocol}-{place}"
    shown = table[table["method"] == method].drop(columns="method")
    helps = "  \n".join(f"**{m.name}**: {m.help}" for m in PROTOCOL_METRICS if m.protocol == protocol)
    st.dataframe(
        shown, hide_index=True, width="stretch", key=f"{key}-table", alt=f"{TITLES[protocol]} of {method}, every cell",
        column_config={"metric": st.column_config.TextColumn(help=helps)},
    )  # fmt: skip
    for sentence in refusals(one, protocol):
        st.caption(f"Refused: {sentence}")
    left, right = st.columns(2)
    if any(e["x"] for e in one["protocols"] if (e["protocol"], e["method"]) == (protocol, method)):
        for column, kind in ((left, "roc"), (right, "det")):
            with column:
                figure = rate_figure(one, method, protocol, kind)
                alt = alt_text("rates", one, method=method, protocol=protocol, curve=kind)
                st.plotly_chart(figure, width="stretch", key=f"{key}-{kind}", config=CHART, alt=alt)
    download_table(protocol, f"{key}-get", lambda kind: frame_to_format(table, kind))


def subgroups(results: Results, metric: str) -> None:
    """Whom each method serves worse, now and along the backfill."""
    metric = metric if metric in ("mAP", "CMC@1") else "mAP"
    drawn = [one for one in results if one.get("subgroups")]
    if not drawn:
        return
    st.subheader("Subgroups")
    st.caption(subgroups_note(metric))
    for place, one in enumerate(drawn):
        table = subgroup_table(one, metric).dropna(axis="columns", how="all")
        gaps = [name for name in ("gap", "gap_ci_low", "gap_ci_high") if name in table]
        shown = table.assign(**{name: 100 * table[name] for name in gaps})
        groups = set(table.columns) - {"method", "cell", "seeds", *gaps}
        st.caption(one["run"])
        st.dataframe(
            shown, hide_index=True, width="stretch", key=f"subgroups-{place}",
            column_config=headings(shown.columns, percent=groups, plain=gaps),
            alt=f"{metric} per subgroup, method and cell, with the gap",
        )  # fmt: skip
        curves = [entry for entry in one.get("backfill", ()) if "subgroups" in entry]
        if curves:
            left, right = st.columns(2)
            methods = list(dict.fromkeys(entry["method"] for entry in curves))
            method = left.selectbox("Method", methods, index=len(methods) - 1, key=f"subgroup-method-{place}")
            orders = list(dict.fromkeys(entry["order"] for entry in curves if entry["method"] == method))
            order = right.selectbox("Ordering", orders, key=f"subgroup-order-{place}")
            figure = subgroup_figure(one, method, order, metric)
            alt = alt_text("subgroups", one, method=method, order=order, metric=metric)
            st.plotly_chart(figure, width="stretch", key=f"subgroup-curve-{place}", config=CHART, alt=alt)
        download_table("subgroups", f"subgroups-{place}-get", functools.partial(frame_to_format, table))


def scores_over_sets(results: Results, metric: str) -> None:
    """AdvBCT's three numbers over the selected runs."""
    if not results:
        return
    table = upgrade_score_table(results, metric)
    if table.empty:
        return
    sets = num_test_sets(results)
    over = f"{sets} test set{'s' if sets > 1 else ''}" + (f", {len(results)} runs" if len(results) > sets else "")
    with st.expander(f"P_up, P_comp and P_1 over {over}"):
        if len(results) > sets:
            st.warning("Several of these runs are judged on the same images: means over runs, not over test sets.")
        st.caption(
            "AdvBCT's summary, meant for runs that are each judged on a test set of their own. "
            "P_up: mean of σ((new/new − paragon)/paragon); P_comp: "
            "mean of σ((new/migrated − old/old)/(paragon − old/old)); P_1: mean harmonic mean of both. 50 % is the "
            "paragon's own level for P_up and the status quo's for P_comp. Runs whose paragon does not beat the old "
            "model are left out."
        )
        percent = st.column_config.NumberColumn(format="percent")
        st.dataframe(
            table, hide_index=True, width="stretch", key="upgrade-scores", alt="P_up, P_comp and P_1 per method",
            column_config=dict.fromkeys(("P_up", "P_comp", "P_1"), percent),
        )  # fmt: skip
        download_table("upgrade-scores", "upgrade-scores-get", lambda kind: frame_to_format(table, kind))
