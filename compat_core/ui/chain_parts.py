"""Chains of versions on the Compare page: the matrix of every method, and what it says as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import streamlit as st

from compat_core.reports.frames import percent_text
from compat_core.reports.tables import frame_to_format
from compat_core.reports.verdicts import MARKS
from compat_core.ui.downloads import download_table


def chains(results: Sequence[dict[str, Any]], metric: str) -> None:
    """The C matrix of each chain in ``results`` (query version × gallery version), mean over seeds."""
    for one in results:
        entries = [entry for entry in one.get("chain", ()) if entry["metric"] == metric]
        if entries:
            _chain(one, entries, metric)


def _chain(one: dict[str, Any], entries: list[dict[str, Any]], metric: str) -> None:
    st.subheader(f"Chain {one['run']}")
    st.caption(
        f"{metric} in %, rows: query version, columns: gallery version. Each version was trained against the one "
        "before it alone. A mark says whether the newer query beats the gallery's own version, with its 95 % interval."
    )
    methods = list(dict.fromkeys(entry["method"] for entry in entries))
    for method in methods:
        chosen = [entry for entry in entries if entry["method"] == method]
        st.markdown(f"**{method}**")
        st.dataframe(
            _matrix(chosen), width="stretch", key=f"chain-{one['run']}-{method}", alt=f"Chain matrix of {method}"
        )
    summary = pd.DataFrame(
        [
            {"method": entry["method"], "seed": entry["seed"]}
            | {name: entry[name] for name in ("AC", "AM", "BC", "FC")}
            | {f"gain {pair}": gain for pair, gain in entry["update_gains"].items()}
            for entry in entries
        ]
    )
    percent = st.column_config.NumberColumn(format="percent")
    numbers = {name: percent for name in summary.columns if name not in ("method", "seed")}
    st.caption(
        "AC: share of pairs where the newer version beats the older gallery's own. AM: mean of the lower triangle. BC: "
        "newest queries against older galleries, gain over their own. FC: each version on the gallery before, against "
        "itself. Gains: BCT's update gain, with the paragon of the step that first replaced the gallery."
    )
    st.dataframe(
        summary, hide_index=True, width="stretch", key=f"chain-{one['run']}-summary", column_config=numbers,
        alt="Chain summary per method and seed",
    )  # fmt: skip
    download_table("chain", f"chain-{one['run']}-get", lambda kind: frame_to_format(summary, kind, f"chain, {metric}"))


def _matrix(entries: list[dict[str, Any]]) -> pd.DataFrame:
    """Cells as text: the mean over seeds and, off the diagonal, the seeds' verdicts."""
    versions = range(1, len(entries[0]["matrix"]) + 1)
    lines: dict[str, dict[str, str]] = {}
    for later in versions:
        line = lines[f"query v{later}"] = {}
        for earlier in versions:
            values = [entry["matrix"][later - 1][earlier - 1] for entry in entries]
            if earlier > later:
                line[f"gallery v{earlier}"] = ""
                continue
            outcomes = [
                pair["outcome"]
                for entry in entries
                for pair in entry["pairs"]
                if pair["cell"] == f"v{later}/v{earlier}"
            ]
            marks = "".join(MARKS[outcome] for outcome in outcomes)
            line[f"gallery v{earlier}"] = f"{percent_text(sum(values) / len(values))} {marks}".strip()
    return pd.DataFrame(lines).T
