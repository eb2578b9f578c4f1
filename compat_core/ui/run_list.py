"""The table of runs and the selection in it, which lives in the address."""

from __future__ import annotations

from typing import Any

import streamlit as st

from compat_core.errors import CompatError
from compat_core.experiments.run import Run
from compat_core.experiments.store import RunStore
from compat_core.ui.frame import page_link


def choose(store: RunStore, rows: list[dict[str, Any]]) -> list[Run]:
    """Draw the table; returns the selected runs, or the one named in the address (``?run=ID``)."""
    if not rows:
        st.info("No run matches. Without any run yet: start the demo, or launch one on your own images.")
        page_link("start", "Run the demo")
        page_link("launch", "Launch a run")
    shown = [{key: value for key, value in row.items() if not key.startswith("_")} for row in rows]
    picked: list[int] = []
    if rows:
        event = st.dataframe(
            shown, hide_index=True, width="stretch", key="runs-table", on_select="rerun", selection_mode="multi-row",
            column_config={
                "progress": st.column_config.ProgressColumn("progress", format="percent", min_value=0, max_value=1),
            },
            alt="All runs with their state and verdicts",
        )  # fmt: skip
        picked = [place for place in event["selection"]["rows"] if place < len(rows)]
        st.caption("Select one row for its details, several for what differs between them.")
    ids = [rows[place]["id"] for place in picked]
    if ids:
        st.query_params["run"] = ids
    else:
        ids = st.query_params.get_all("run")
    found = []
    for run_id in ids:
        try:
            found.append(store.get(run_id))
        except CompatError as error:
            st.warning(f"{error}")
            st.query_params.pop("run", None)
    return found
