"""The sections of the Claims page."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pandas as pd
import streamlit as st

from compat_core.reports.claims import CLAIMS, OUTCOMES, answer
from compat_core.reports.frames import decimals_for, points_text
from compat_core.reports.tables import frame_to_format
from compat_core.ui.downloads import download_table
from compat_core.ui.frame import store
from compat_core.ui.words import literal

MARKS = {
    "holds": "✓ holds",
    "does not hold": "✗ does not hold",
    "undecided": "? undecided",
    "not tested": "– not tested",
}


@st.cache_data(max_entries=16, show_spinner="Resampling queries …")
def answered(run_ids: tuple[str, ...]) -> list[dict[str, Any]]:
    """All claims put to finished runs; finished runs do not change, so the answer is kept by their ids."""
    runs = [store().get(run_id) for run_id in run_ids]
    return [answer(claim, runs).to_dict() for claim in CLAIMS]


def overview(answers: list[dict[str, Any]]) -> None:
    """How many hold, which runs say nothing that could, and the table to take along."""
    counts = Counter(entry["outcome"] for entry in answers)
    for column, outcome in zip(st.columns(len(OUTCOMES)), OUTCOMES, strict=True):
        column.metric(outcome, counts.get(outcome, 0), border=True)
    st.caption(
        "A claim holds when the whole paired 95 % interval of its difference, mean over seeds, is on the claimed side "
        "and every seed agrees, and does not when all of these are on the other; one run that refutes it is enough. It "
        "is tested at the training budget of the chosen runs, no other."
    )
    for sentence in dict.fromkeys(sentence for entry in answers for sentence in entry["passed_over"]):
        st.warning(literal(sentence), icon=":material/warning:")
    rows = [
        {
            "claim": entry["statement"],
            "outcome": entry["outcome"],
            "difference": finding.get("what", ""),
            "value": finding.get("value"),
            "ci_low": finding.get("ci_low"),
            "ci_high": finding.get("ci_high"),
            "budget": finding.get("budget", ""),
            "run": finding.get("run", ""),
            "source": entry["source"],
        }
        for entry in answers
        for finding in (entry["findings"] or [{}])
    ]
    download_table("claims", "claims-get", lambda kind: frame_to_format(pd.DataFrame(rows), kind, "claims"))


def details(answers: list[dict[str, Any]]) -> None:
    """Every claim; those that the runs cannot speak to are folded away."""
    silent = [entry for entry in answers if not entry["findings"]]
    for entry in answers:
        if entry["findings"]:
            detail(entry)
    if silent:
        with st.expander(f"Not tested by these runs ({len(silent)})"):
            for entry in silent:
                detail(entry)


def detail(entry: dict[str, Any]) -> None:
    """One claim: its outcome, source, what would refute it, and the findings."""
    with st.container(border=True):
        st.markdown(f"**{MARKS[entry['outcome']]}** · {entry['statement']}")
        st.caption(f"{entry['source']} · refuted by: {entry['refuted_by']}")
        if not entry["findings"] and entry["takes"]:
            st.caption(literal(f"It takes {entry['takes']}."))
        for finding in entry["findings"]:
            decimals = decimals_for(finding["ci_low"], finding["ci_high"])
            seeds = ", ".join(points_text(value, decimals) for value in finding["per_seed"])
            value, low, high = (points_text(finding[key], decimals) for key in ("value", "ci_low", "ci_high"))
            count = f"{finding['num_queries']:,} {finding['unit']}"
            st.markdown(
                f"{MARKS[finding['outcome']]}: {finding['what']} = **{value} points** "
                f"({low} … {high}; seeds {seeds}; {count}) · at {finding['budget']} · `{finding['run']}`"
            )
