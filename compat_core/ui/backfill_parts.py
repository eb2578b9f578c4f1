"""The sections of the Backfill page: whose curves, at which prices, and what most of a full backfill takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from compat_core.errors import CompatError
from compat_core.experiments.artefacts import Artefacts
from compat_core.experiments.run import Run
from compat_core.experiments.store import RunStore
from compat_core.reports.backfill import references
from compat_core.reports.backfill_bill import (
    AXES,
    Priced,
    needed_lines,
    needed_table,
    orders_without_gain,
    priced_figure,
)
from compat_core.reports.backfill_curves import Curve, curve_of_run, curves_of_plan
from compat_core.reports.decision_studies import levels_of_decision
from compat_core.reports.tables import READ, frame_to_format
from compat_core.ui.compare_parts import CHART
from compat_core.ui.downloads import download_table
from compat_core.ui.forms import config_fields
from compat_core.ui.pickers import available_runs, follow_choice, in_address, nothing_yet, run_title, touched
from compat_core.vectors.bill import CostConfig
from compat_core.vectors.jobs import DecisionJob, DecisionStore
from compat_core.vectors.options import CEILING, STATUS_QUO

ITEMS = 1_000_000  # a production gallery to begin with; a benchmark's few thousand images cost nothing


@dataclass(frozen=True, slots=True)
class Source:
    """Curves to show, and what prices need of them."""

    title: str
    metric: str
    curves: Sequence[Curve]
    references: dict[str, float]
    old_dim: int
    new_dim: int
    mapped: bool
    num_queries: int
    note: str


def pick_source(store: RunStore) -> Source | None:
    """The curves of a run's method, or of a decision about vectors; None, with what to do next, without any."""
    finished = available_runs(store)
    runs = {run.id: run for run in finished if run.derive(_has_curves)}
    bare = {run.id: f"{run.id} has no backfill curves." for run in finished if run.id not in runs}
    jobs = {job.id: job for job in DecisionStore(store.root).list() if job.state == "done"}
    jobs = {name: job for name, job in jobs.items() if _has_plan(job)}
    names = [*runs, *jobs]
    if not names:
        nothing_yet()
        return None
    chosen = st.selectbox(
        "Run or decision about vectors", names, key=in_address("source", names, shared="run", elsewhere=bare),
        format_func=lambda name: run_title(runs[name]) if name in runs else f"{jobs[name].title} · vectors {name}",
        on_change=touched, args=("source",),
    )  # fmt: skip
    follow_choice("source", chosen, shared="run")
    return _of_run(runs[chosen]) if chosen in runs else _of_decision(jobs[chosen])


def _has_curves(results: dict[str, Any]) -> bool:
    return bool(results.get("backfill"))


def _has_plan(job: DecisionJob) -> bool:
    """Whether there are curves; a decision of another version of the program has none that can be read."""
    try:
        return bool((job.document().get("studies") or {}).get("plan"))
    except CompatError:
        return False


def costs(source: Source) -> tuple[CostConfig, int]:
    """The cost model's inputs, all on screen."""
    with st.expander("Cost model: every input", icon=":material/payments:", expanded=True):
        default = CostConfig(items=ITEMS)
        elsewhere = ("training_gpu_hours", "queries_per_day")  # a backfill neither trains nor asks two spaces
        values = config_fields(default, "backfill-costs", skip=elsewhere, bounded=False, linked=True)
        return CostConfig(**{name: getattr(default, name) for name in elsewhere} | values), ITEMS


def show(source: Source, costs: CostConfig, items: int) -> None:
    """The curves against the chosen axis, and the shares needed with their bill."""
    priced = Priced(costs, items, source.old_dim, source.new_dim, source.mapped)
    axis = st.segmented_control(
        "Axis", list(AXES), default="share", required=True, format_func=AXES.__getitem__, key="backfill-axis",
        bind="query-params",
    )  # fmt: skip
    orders = [curve.order for curve in source.curves]
    chosen = st.multiselect("Orderings", orders, key="backfill-orders", bind="query-params", placeholder="all")
    curves = [curve for curve in source.curves if not chosen or curve.order in chosen]
    figure = priced_figure(curves, priced, axis or "share", source.metric, source.title, source.references)
    alt = f"{source.metric} of {source.title} against {AXES[axis or 'share']}, per ordering"
    st.plotly_chart(figure, width="stretch", key="backfill-curves", config=CHART, alt=alt)
    st.caption(
        f"New queries ({source.num_queries:,}); a gallery that is partly new and partly {source.note}. Area: plain "
        "mean of the 22 points (FastFill). Oracle needs the new vectors: the rows farthest from theirs come first. The "
        "band spans the repetitions of the random ordering."
    )
    st.subheader("How much to backfill for most of what a full backfill would still add")
    st.caption(
        "Counted from the method at 0 % backfilled to its full backfill. Not the recovered gain of Compare, which "
        "counts from the status quo to the ceiling."
    )
    numbers = needed_lines(curves, priced)
    gainless = orders_without_gain(curves)
    if gainless:
        st.info(
            f"Here a full backfill adds nothing that these queries can show to a gallery {source.note}, so no share "
            f"is named for {', '.join(gainless)}.",
            icon=":material/check:",
        )
    table = needed_table(numbers)
    st.dataframe(table, hide_index=True, width="stretch", key="backfill-needed", alt="Shares needed, with their bill")
    download_table(
        "share-needed", "backfill-get",
        lambda kind: frame_to_format(table if kind in READ else numbers, kind),
    )  # fmt: skip


def _of_run(run: Run) -> Source:
    results = run.results() or {}
    entries = results["backfill"]
    left, middle, right = st.columns(3)
    methods = list(dict.fromkeys(entry["method"] for entry in entries))
    with left:
        method = st.selectbox("Method", methods, index=len(methods) - 1, key="backfill-method", bind="query-params")
    with middle:
        metric = st.selectbox("Metric", ["mAP", "CMC@1"], key="backfill-metric", bind="query-params")
    seeds = [entry["seed"] for entry in entries if entry["method"] == method]
    with right:
        seed = st.selectbox("Seed", list(dict.fromkeys(seeds)), key="backfill-seed", bind="query-params")
    wanted = [one for one in entries if (one["method"], one["metric"], one["seed"]) == (method, metric, seed)]
    files = Artefacts(run.path)
    old = files.embedding(seed, "old", "old")
    migrated, new = (files.embedding(seed, method, kind) for kind in ("gallery_old", "gallery_new"))
    mapped = files.maps_old(seed, method)
    return Source(
        f"{metric} along the backfill: {method}, seed {seed}", metric, [curve_of_run([entry]) for entry in wanted],
        references(results, method, metric, seed),
        old.shape[1], new.shape[1], mapped, wanted[0]["num_queries"],
        f"mapped by {method}" if mapped else f"old, as {method} leaves them ({migrated.shape[1]}-d)",
    )  # fmt: skip


def _of_decision(job: DecisionJob) -> Source:
    document = job.document()
    decided, studies = document["decision"], document["studies"]
    metric = decided["config"]["metric"]
    work = {row["name"]: row["work"] for row in decided["rows"]}
    return Source(
        f"{metric} along the backfill: {studies['plan_map']}", metric, curves_of_plan(studies["plan"]),
        levels_of_decision(decided), work[STATUS_QUO]["dimension"], work[CEILING]["dimension"], True,
        decided["num_queries"], f"mapped by {studies['plan_map']}",
    )  # fmt: skip
