"""A decision on the Vectors page: progress, the answer, every option with its bill, and the closer look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from compat_core.experiments.files import json_text
from compat_core.reports import decision as report
from compat_core.reports import decision_studies as closer
from compat_core.reports.frames import percent_text
from compat_core.reports.tables import frame_to_format
from compat_core.reports.trade_off import trade_off_figure
from compat_core.ui.compare_parts import CHART
from compat_core.ui.downloads import download_table
from compat_core.ui.forms import config_fields
from compat_core.ui.frame import shown_errors
from compat_core.ui.migrate_parts import migrate
from compat_core.ui.words import literal
from compat_core.vectors.backfill_list import ORDER_FILE, order_sentence
from compat_core.vectors.bill import CostConfig
from compat_core.vectors.harm import changes_under
from compat_core.vectors.jobs import DECISION_FILE, PAGE_FILE, QUERIES_FILE, DecisionJob
from compat_core.vectors.lost_queries import COLUMNS, FOLDER, PICTURED, enlarged, lost_queries, read_thumbnails
from compat_core.vectors.next_step import in_document, next_steps
from compat_core.vectors.options import STATUS_QUO
from compat_core.vectors.outcome import with_costs

LISTED = 200  # lost queries shown
SHOWN_OPTIONS = 20  # rows of the table before it scrolls
THUMBNAIL_PX = 72


def show(job: DecisionJob) -> None:
    """Whatever there is of a decision."""
    state = job.state
    if state == "running":
        _waiting(job)
    elif state == "cancelled":
        st.info("This decision was cancelled.", icon=":material/cancel:")
        _again(job)
    elif state == "failed":
        st.error("This decision was not finished. Its last words:", icon=":material/error:")
        st.code(job.last_words, language=None, wrap_lines=True)
        _again(job)
    else:
        _decided(job)


@st.fragment(run_every="2s")
def _waiting(job: DecisionJob) -> None:
    with shown_errors():
        if job.state != "running":
            st.rerun()
        now = job.steps or "reading the vectors"
        st.info(f"At work on {now}. It goes on when you leave this page or reload it.", icon=":material/hourglass_top:")
        if st.button("Cancel", icon=":material/cancel:", key="decision-cancel"):
            job.cancel()
            st.rerun()


def _again(job: DecisionJob) -> None:
    with st.container(horizontal=True):
        if st.button("Try again", icon=":material/refresh:", key="decision-again"):
            job.start()
            st.rerun()
        _delete(job)


def _rename(job: DecisionJob) -> None:
    with st.popover("Rename", icon=":material/edit:"), st.form("decision-rename", border=False):
        title = st.text_input("Title", job.title, key=f"title-{job.id}")
        if st.form_submit_button("Rename it"):
            with shown_errors():
                job.rename(title)
                st.rerun()


def _delete(job: DecisionJob) -> None:
    with st.popover("Delete", icon=":material/delete:"):
        st.write("Its files are removed for good, uploads included.")
        if st.button("Delete it", key="decision-delete"):
            job.delete()
            st.rerun()


def _decided(job: DecisionJob) -> None:
    document = job.document()
    stored = document["decision"]
    decided = with_costs(stored, _costs(stored, job.id))
    answer = f"**{report.headline(decided)}** {decided['reason']}"
    if not decided["independent"]:  # an imitation of the new model is no proof that anything gets better
        st.info(answer, icon=":material/help:")
    elif not decided["recommended"]:
        st.warning(answer, icon=":material/do_not_disturb_on:")
    else:
        st.success(answer, icon=":material/check_circle:")
    if means := order_sentence(decided["recommended"] or decided["closest"]):
        st.caption(means)
    st.caption(report.facts(decided))
    for finding in document.get("checks") or ():
        {"warn": st.warning, "stop": st.error}.get(finding["severity"], st.caption)(literal(finding["sentence"]))
    metric = st.segmented_control(
        "Metric",
        ["mAP", "CMC@1"],
        default=decided["config"]["metric"],
        required=True,
        key="decision-metric",
        bind="query-params",
    )
    _options(decided, metric)
    st.caption(report.storage_note(decided))
    st.caption(f"If it goes wrong: {report.rollback(decided)}")
    studies = document.get("studies") or {}
    _budget(studies)
    _plan(studies, decided)
    _deployment(studies, decided)
    with shown_errors():  # what needs nothing of the numbers per query is shown without them
        _harm(job, studies, document)
    migrate(job, decided, studies)
    _take_along(job, _at_prices(job, document, decided))


def _costs(stored: Mapping[str, Any], key: str) -> CostConfig:
    """The bill's inputs, first as they were when it was decided."""
    before = CostConfig(**stored["config"]["costs"])
    items = st.number_input(
        "Items in production", 1, value=before.items or stored["num_items"], key=f"bill-{key}-items",
        bind="query-params", help="the bill is for so many; at first as many as vectors were given",
    )  # fmt: skip
    with st.expander("What things cost: change an input and the bill is worked out anew", icon=":material/payments:"):
        return CostConfig(items=items, **config_fields(before, f"bill-{key}", skip=("items",), columns=4, linked=True))


def _at_prices(job: DecisionJob, document: Mapping[str, Any], decided: Mapping[str, Any]) -> dict[str, Any]:
    """The document with the answer, the bills and the next command that are on the screen."""
    option = decided["recommended"] or decided["closest"]
    listed = document.get("backfill_order")
    steps = next_steps(option, job.files, job.path, decided["config"], listed, decided["rows"])
    return {**document, "decision": decided, **in_document(steps)}


def _options(decided: Mapping[str, Any], metric: str) -> None:
    table = report.shown_table(decided, metric)
    height_px = 35 * (min(len(table), SHOWN_OPTIONS) + 1) + 3
    st.dataframe(
        table, hide_index=True, width="stretch", height=height_px, key="decision-options",
        alt=f"Every option by its gain in {metric}, with the bill",
    )  # fmt: skip
    for sentence in report.left_out(decided):
        st.caption(sentence)
    raw = report.option_table(decided, metric)
    download_table(f"options-{metric}", "options-get", lambda kind: frame_to_format(raw, kind))
    figure = trade_off_figure(raw, metric)
    st.plotly_chart(
        figure, width="stretch", key="decision-trade-off", config=CHART,
        alt=f"Money of every option against its gain in {metric}",
    )  # fmt: skip


def _budget(studies: Mapping[str, Any]) -> None:
    budget = studies.get("pair_budget")
    if not budget:
        return
    st.subheader("How many pairs")
    st.markdown(closer.budget_sentence(budget))
    st.plotly_chart(
        closer.budget_figure(budget), width="stretch", key="decision-budget", config=CHART,
        alt="Gain over the status quo against the number of pairs",
    )  # fmt: skip


def _plan(studies: Mapping[str, Any], decided: Mapping[str, Any]) -> None:
    plan = studies.get("plan")
    if not plan:
        return
    st.subheader("How much to backfill")
    figure = closer.plan_figure(studies, decided)
    alt = f"{decided['config']['metric']} against the share backfilled, by ordering"
    st.plotly_chart(figure, width="stretch", key="decision-plan", config=CHART, alt=alt)
    st.caption(closer.choice_sentence(studies))
    table = closer.plan_table(plan)
    st.dataframe(table, hide_index=True, width="stretch", key="decision-plan-table", alt="Shares needed by ordering")
    st.caption(closer.PLAN_NOTE)
    download_table("backfill-plan", "plan-get", lambda kind: frame_to_format(table, kind))


def _deployment(studies: Mapping[str, Any], decided: Mapping[str, Any]) -> None:
    shifts, latencies = studies.get("thresholds"), decided.get("latencies")
    if shifts:
        st.subheader("The deployed threshold")
        st.caption(
            "A score that accepts a pair means something else in another space: what it lets through unchanged, and "
            "the score that accepts as many wrong pairs as before."
        )
        table = closer.threshold_table(shifts)
        st.dataframe(table, hide_index=True, width="stretch", key="decision-thresholds", alt="Thresholds by option")
    if studies.get("indexes"):
        st.subheader("Behind an approximate index")
        table = closer.index_table(studies["indexes"])
        st.dataframe(table, hide_index=True, width="stretch", key="decision-indexes", alt="Recall by option and index")
        for reason in studies["indexes_left_out"]:
            st.caption(reason)
    if latencies:
        with st.expander("Latency of the mapping alone"):
            table = closer.latency_table(latencies)
            st.dataframe(table, hide_index=True, width="stretch", key="decision-latency", alt="Latency by map")


def _harm(job: DecisionJob, studies: Mapping[str, Any], document: Mapping[str, Any]) -> None:
    st.subheader("Who gets worse")
    found = job.per_query()
    names = [name for name in found["options"].tolist() if name != STATUS_QUO]
    looked = studies.get("looked_at")
    option = st.selectbox(
        "Option", names, index=names.index(looked) if looked in names else 0, key=f"harm-{job.id}",
        help="lists the queries whose first item was right under the status quo and is wrong under this option",
    )  # fmt: skip
    harm = studies.get("harm") if option == looked else [asdict(change) for change in changes_under(found, option)]
    if harm:
        grouping = st.segmented_control(
            "Groups", closer.groupings(harm), default=harm[0]["grouping"], required=True, key="harm-grouping"
        )
        table = closer.harm_table(harm, grouping)
        st.dataframe(table, hide_index=True, width="stretch", key="harm-table", alt=f"Change by {grouping}")
        download_table(f"by-{grouping}", "harm-get", lambda kind: frame_to_format(table, kind))
    lost = lost_queries(found, option)
    valid = int((~np.isnan(found["average_precision"][0])).sum())
    st.markdown(
        f"{len(lost)} of {valid} queries lose their right first item ({percent_text(len(lost) / max(valid, 1))} %)."
    )
    if len(lost):
        st.dataframe(lost.head(LISTED), hide_index=True, width="stretch", key="lost", alt="Queries that got worse")
        download_table("lost-queries", "lost-get", lambda kind: frame_to_format(lost, kind))
        _pictures(job, lost)


def _pictures(job: DecisionJob, lost: pd.DataFrame) -> None:
    """The first few lost queries as pictures, where there are some."""
    shown = lost.head(PICTURED)
    thumbnails = read_thumbnails(job.path / FOLDER, np.unique(shown[list(COLUMNS)].to_numpy()))
    for line in shown.to_dict("records"):
        found = {words: thumbnails.get(int(line[column])) for column, words in COLUMNS.items()}
        if not all(found.values()):
            continue
        with st.container(horizontal=True, vertical_alignment="center"):
            for words, one in found.items():
                if one is not None:
                    st.image(
                        enlarged(one.png), width=THUMBNAIL_PX, caption=f"{words}: {one.caption}",
                        alt=f"{words}: {one.caption}",
                    )  # fmt: skip


def _take_along(job: DecisionJob, document: Mapping[str, Any]) -> None:
    """Page, document and numbers per query to download; ``document`` is at the prices that are on the screen."""
    st.subheader("Take along")
    files: list[tuple[str, str, Callable[[], bytes]]] = [
        (DECISION_FILE, "application/json", lambda: json_text(document).encode())
    ]
    if (job.path / QUERIES_FILE).is_file():  # the page is made of it
        page = (PAGE_FILE, "text/html", lambda: report.page_of_folder(document, job.per_query(), job.path).encode())
        files = [page, *files, (QUERIES_FILE, "application/octet-stream", (job.path / QUERIES_FILE).read_bytes)]
    if (job.path / ORDER_FILE).is_file():
        files.append((ORDER_FILE, "text/csv", (job.path / ORDER_FILE).read_bytes))
    with st.container(horizontal=True):
        for name, mime, build in files:
            st.download_button(
                name, data=build, file_name=f"{job.id}-{name}", mime=mime, key=f"get-{name}",
                icon=":material/download:", on_click="ignore",
            )  # fmt: skip
        _rename(job)
        _delete(job)
    for line in report.order_lines(document):
        st.caption(literal(line))
    steps = report.next_lines(document)
    if steps:
        st.caption("What carries it out:")
        st.code("\n".join(steps), language=None, wrap_lines=True)
    st.caption("The same from the command line:")
    st.code(job.command(_changed_costs(job, document["decision"])), language="bash")


def _changed_costs(job: DecisionJob, decided: Mapping[str, Any]) -> dict[str, str]:
    """The bill's inputs on the screen that differ from those it was decided with, as options of ``decide``."""
    stored = job.document()["decision"]
    before, now = stored["config"]["costs"], decided["config"]["costs"]
    before = before | {"items": before["items"] or stored["num_items"]}
    return {name.replace("_", "-"): str(value) for name, value in now.items() if value != before[name]}
