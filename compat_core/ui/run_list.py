"""The table of runs and the selection in it, which lives in the address."""

from __future__ import annotations

import hashlib
from typing import Any

import streamlit as st

from compat_core.errors import CompatError
from compat_core.experiments.run import Run
from compat_core.experiments.store import RunStore
from compat_core.ui.frame import page_link
from compat_core.ui.pickers import FINISHED, keep
from compat_core.ui.words import literal

DIALOG_OPEN = "runs-dialog-open"  # a full rerun would close the dialog under the reader's hand


def choose(store: RunStore, rows: list[dict[str, Any]]) -> list[Run]:
    """Draw the table; returns the runs selected in it, and those the address names (``?run=ID``) beyond its rows."""
    if not rows:
        st.info("No run matches. Without any run yet: start the demo, or launch one on your own images.")
        page_link("start", "Run the demo")
        page_link("launch", "Launch a run")
    named = st.query_params.get_all("run")
    listed = [row["id"] for row in rows]
    ids = _table(rows, named) if rows else []
    ids += [run_id for run_id in named if run_id not in listed]  # archived, filtered out, or no longer there
    found = []
    for run_id in ids:
        try:
            found.append(store.get(run_id))
        except CompatError as error:
            st.warning(literal(str(error)))
    chosen = [run.id for run in found]
    if chosen != named:
        st.query_params["run"] = chosen
    st.session_state["runs-address"] = chosen
    finished = [run.id for run in found if run.status.state in FINISHED]
    keep("run", finished, multiple=True)
    keep("run", finished[:1], multiple=False)
    return found


def _table(rows: list[dict[str, Any]], named: list[str]) -> list[str]:
    """The table itself; returns the ids of its selected rows.

    Streamlit keeps selected row *numbers* when the rows change: a new run on top would silently move the selection to
    its neighbour. The key therefore names the rows, and counts the links that were followed; a table with a new key
    begins with the rows that the address names.
    """
    if named != st.session_state.get("runs-address"):
        st.session_state["runs-links"] = st.session_state.get("runs-links", 0) + 1
    order = " ".join([str(st.session_state.get("runs-links", 0)), *(row["id"] for row in rows)])
    event = st.dataframe(
        [{key: value for key, value in row.items() if not key.startswith("_")} for row in rows],
        column_order=[key for key in rows[0] if not key.startswith("_") and _tells(key, rows)],
        hide_index=True, width="stretch", key=f"runs-table-{hashlib.sha256(order.encode()).hexdigest()[:12]}",
        on_select="rerun", selection_mode="multi-row",
        selection_default={"selection": {"rows": [place for place, row in enumerate(rows) if row["id"] in named]}},
        column_config={
            "verdicts (mAP, %)": st.column_config.TextColumn("verdicts (mAP, %)", width="medium"),
            "name": st.column_config.TextColumn("name", width="medium"),
            "stage": st.column_config.TextColumn("stage", width="medium"),
            "created": st.column_config.DatetimeColumn("created", format="distance"),
            "took": st.column_config.NumberColumn(
                "took", format="%.1f min", help="Its last sitting: what ran before it was resumed is not counted."
            ),
            "progress": st.column_config.ProgressColumn("progress", format="percent", min_value=0, max_value=1),
        },
        placeholder="–", alt="All runs with their state and verdicts",
    )  # fmt: skip
    st.caption("Select one row for its details, several for what differs between them.")
    return [rows[place]["id"] for place in event["selection"]["rows"] if place < len(rows)]


def _tells(column: str, rows: list[dict[str, Any]]) -> bool:
    """Whether a column says anything about these rows: where no run goes on, no stage and no progress does."""
    nothing = {"stage": "", "tags": "", "progress": 1.0}
    return any(row[column] != nothing.get(column) for row in rows)


def states(store: RunStore) -> dict[str, tuple[str, str]]:
    """State and stage of every run, by id."""
    found = {}
    for run in store.list():
        try:
            found[run.id] = (run.status.state, run.status.stage)
        except CompatError:  # deleted while the list was read
            continue
    return found


def follow(store: RunStore, drawn: dict[str, tuple[str, str]]) -> None:
    """Draw the page anew when a run starts, ends, appears or goes, compared with the :func:`states` it shows."""
    st.session_state[DIALOG_OPEN] = False  # a full run of the page has just closed any
    st.fragment(_follow, run_every="3s")(store, drawn)


def _follow(store: RunStore, drawn: dict[str, tuple[str, str]]) -> None:
    if not st.session_state.get(DIALOG_OPEN) and states(store) != drawn:
        st.rerun()
