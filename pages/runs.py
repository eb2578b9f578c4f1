"""Runs: what ran, runs and waits; one run in detail; several against each other."""

import streamlit as st

from compat_core.reports.tables import config_diff, frame_to_format
from compat_core.ui.downloads import download_table
from compat_core.ui.frame import begin, page_link, shown_errors, store
from compat_core.ui.live import ACTIVE, STATE_MARKS, controls, live_view, training_curves
from compat_core.ui.overview import run_rows
from compat_core.ui.pickers import run_name
from compat_core.ui.run_card import data_card, notebook, reproducibility, results_summary
from compat_core.ui.run_list import choose, follow, states
from compat_core.ui.words import literal

begin("Runs", "Every run is a folder; deleting the folder deletes the run. Runs go on when this page is closed.")

with st.container(horizontal=True):
    text = st.text_input("Filter", key="runs-text", placeholder="name, tag, data set, method", bind="query-params")
    wanted = st.multiselect(
        "State", list(STATE_MARKS), key="runs-states", bind="query-params", placeholder="all states"
    )
archived = st.toggle("Show archived", key="runs-archived", bind="query-params")

drawn = states(store())
chosen = choose(store(), run_rows(store(), text, wanted, archived))
follow(store(), drawn)
if len(chosen) > 1:
    st.subheader("What differs")
    with shown_errors():
        diff = config_diff({run.id: run.config_dict() for run in chosen})
        if len(diff):
            st.dataframe(diff, hide_index=True, width="stretch", key="runs-diff", alt="Configuration differences")
            download_table("config-diff", "runs-diff-get", lambda kind: frame_to_format(diff, kind))
        else:
            st.caption("The configurations are equal.")
        page_link("compare", "Compare the results of these runs")
elif chosen:
    run = chosen[0]
    with shown_errors():
        st.subheader(literal(run_name(run)))
        st.caption(literal(f"{run.id} · {run.path}"))
        active = run.status.state in ACTIVE
        live_view(run, "runs-live", curves=active)
        controls(run, "runs-live")
        with shown_errors():  # of damaged results: what can be done about them is below
            results_summary(run)
        if not active:
            with st.expander("Training"):
                training_curves(run, "runs-live")
        notebook(run)
        if not run.has_damaged_results():
            data_card(run)
        with st.expander("Log", expanded=run.status.state == "failed"):
            st.code(run.log_tail(60) or "nothing yet", language=None)
            if run.status.error and run.status.error.traceback:
                st.code(run.status.error.traceback, language=None)
        with st.expander("Reproducibility card"):
            reproducibility(run)
