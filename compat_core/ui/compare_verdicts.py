"""Verdicts of the Compare page on every metric at once, each with its interval; and what runs do not share."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from compat_core.errors import CompatError
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.run import Run
from compat_core.metrics import METRICS
from compat_core.reports.frames import percent_text
from compat_core.reports.held import left_out, shared_metrics
from compat_core.reports.seed_groups import merge_seeds
from compat_core.reports.tables import READ, frame_to_format
from compat_core.reports.verdicts import MARKS, pooled_verdict
from compat_core.ui.downloads import download_table
from compat_core.ui.words import literal

Results = Sequence[Mapping[str, Any]]


def finished_results(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The results of ``runs``; a run without any is named, not left out in silence."""
    found = {run.id: run.results() or {} for run in runs}
    empty = [run_id for run_id, results in found.items() if not results.get("rows")]
    if empty:
        st.warning(f"No results to show (deleted, or not written): {', '.join(empty)}.", icon=":material/warning:")
    return [results for results in found.values() if results.get("rows")]


def seeds_together(runs: Sequence[Run], results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """``results``, on request with runs that differ only in seeds as one; nothing is asked where there are none."""
    merged = merge_seeds(results, _configs(runs))
    if len(merged) == len(results) or not st.toggle(
        "Merge runs that differ only in seeds", key="merge-seeds", bind="query-params"
    ):
        return results
    st.caption("Merged runs are shown as one, mean ± std over their seeds. The HTML report shows each by itself.")
    return merged


def _configs(runs: Sequence[Run]) -> dict[str, ExperimentConfig]:
    """Configurations by run; a run of another version of the program, whose file cannot be read, has none."""
    found = {}
    for run in runs:
        with contextlib.suppress(CompatError):
            found[run.id] = run.config
    return found


def comparable(results: Results) -> None:
    """Say what several runs do not share, since their numbers then do not compare."""
    for what in ("dataset", "distance", "num_queries"):
        values = list(dict.fromkeys(str(one.get(what)) for one in results))
        if len(values) > 1:
            name = {"dataset": "data sets", "distance": "distances", "num_queries": "numbers of queries"}[what]
            st.warning(
                f"These runs have different {name} ({', '.join(values)}): compare each with its own status quo and "
                "ceiling, not value with value.",
                icon=":material/warning:",
            )


def pick_metric(results: Results) -> str:
    """One of the metrics that all of ``results`` hold; what is left out is said, with the runs that lack it.

    Raises:
        CompatError: when they have no metric in common.
    """
    shared, sentence = shared_metrics(results), left_out(results)
    if not shared:
        raise CompatError("metric", rule="the chosen runs have none in common", fix="choose fewer of them")
    first = shared.index("mAP") if "mAP" in shared else 0
    metric = st.selectbox("Metric", shared, index=first, key="metric", bind="query-params")
    if sentence:
        st.caption(literal(sentence))
    return metric


def verdict_lines(results: Results) -> pd.DataFrame:
    """One line per run, method, metric and seed: the verdict, the difference to the status quo and its interval."""
    columns = ["run", "method", "metric", "seed", "outcome", "difference", "ci_low", "ci_high"]
    lines = [{"run": one.get("run", ""), **verdict} for one in results for verdict in one.get("verdicts", ())]
    return pd.DataFrame(lines, columns=columns)


def verdict_grid(lines: pd.DataFrame) -> pd.DataFrame:
    """Methods × metrics as text: mark, difference in points, and its interval (one seed) or ± over seeds.

    Args:
        lines: what :func:`verdict_lines` returns.
    """
    metrics = [name for name in METRICS.names() if name in set(lines["metric"])]
    table = []
    for (run, method), part in lines.groupby(["run", "method"], sort=False):
        cells = {metric: _cell(part[part["metric"] == metric]) for metric in metrics}
        table.append({"run": run, "method": method} | cells)
    return pd.DataFrame(table, columns=["run", "method", *metrics])


def _cell(part: pd.DataFrame) -> str:
    if part.empty:
        return "–"
    mark = MARKS.get(pooled_verdict(list(part["outcome"])), "")
    mean = part["difference"].mean()
    sign = "+" if mean > 0 else ""
    if len(part) == 1:
        low, high = part["ci_low"].iloc[0], part["ci_high"].iloc[0]
        spread = f" [{percent_text(low)}, {percent_text(high)}]"
    else:
        spread = f" ± {100 * part['difference'].std():.1f}, n={len(part)}"
    return f"{mark} {sign}{percent_text(mean)}{spread}".strip()


def every_metric(results: Results) -> None:
    """The grid, with its caption and its numbers to take along."""
    lines = verdict_lines(results)
    if lines.empty:
        return
    st.subheader("Verdict per metric")
    st.caption(
        "new/migrated − old/old in percentage points, the same queries. ✓ compatible: the whole 95 % interval is above "
        "zero (over seeds: in every seed). ✗ not compatible: none of it is. ? undecided, or the seeds disagree. "
        "In brackets the interval of one seed; over several seeds ± one standard deviation."
    )
    grid = verdict_grid(lines)
    shown = grid.drop(columns="run") if grid["run"].nunique() == 1 else grid
    helps = {name: st.column_config.TextColumn(name, help=METRICS.get(name).help) for name in grid.columns[2:]}
    st.dataframe(
        shown, hide_index=True, width="stretch", key="verdict-grid", column_config=helps,
        alt="Verdict and difference to the status quo, per method and metric",
    )  # fmt: skip
    download_table(
        "verdict-per-metric", "verdict-grid-get", lambda kind: frame_to_format(_export(lines, grid, kind), kind)
    )


def _export(lines: pd.DataFrame, grid: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Numbers per seed for machines, the grid for readers (Markdown, LaTeX)."""
    return grid if kind in READ else lines
