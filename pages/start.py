"""Start: what this is, the device, the demo at one press, recent runs, data sets."""

import streamlit as st

from compat_core.experiments import queue
from compat_core.experiments.presets import PRESETS
from compat_core.methods import METHODS
from compat_core.ui.frame import begin, page_link, shown_errors, store
from compat_core.ui.live import STATE_MARKS, controls, live_view
from compat_core.ui.overview import dataset_rows, latest_of_preset, recent_runs
from compat_core.ui.sidebar import device_line
from compat_core.ui.verdicts import headline_numbers, matrix, sentences
from compat_core.ui.words import literal

begin("CompatBench", "Upgrade an embedding model without re-indexing, and know what it costs you.")
st.markdown(
    "A better embedding model arrives, but the gallery holds millions of vectors from the old one. Swap the model and "
    "search breaks; re-embed everything and it takes weeks. CompatBench trains and fits the published ways out and "
    "measures each against the **status quo**, the **naive swap** and the **ceiling**."
)

demo = latest_of_preset(store(), "demo")
state = demo.status.state if demo else ""
with st.container(border=True):
    st.subheader("The demo")
    st.markdown(PRESETS.get("demo").summary)
    waiting = state in ("queued", "running")
    label = "Run the demo" if state != "done" else "Run the demo again"
    with shown_errors():
        if st.button(label, type="primary", icon=":material/play_arrow:", disabled=waiting, key="demo"):
            queue.enqueue(store(), PRESETS.get("demo").config)
            st.rerun()
    methods = len(PRESETS.get("demo").config.methods)
    st.caption(
        f"About a minute where nothing else runs, offline: {methods} of the {len(METHODS.names())} methods; "
        "Launch offers all of them."
    )
    if demo and state != "done":
        live_view(demo, "start-live")
        controls(demo, "start-live")
    if demo and state == "done":
        with shown_errors():
            results = demo.results()
            st.markdown(
                f"**The verdict**, on {results['num_queries']} queries that no model was trained on. *Compatible*: the "
                "new model searches the old gallery better than the old model did, by more than the choice of queries "
                "explains (95 % interval)."
            )
            if len(demo.config.seeds) == 1:
                st.caption("One training seed: how much another would differ is not measured here.")
            headline_numbers(results)
            st.caption("mAP in %, by query model / gallery model")
            matrix(results, "mAP", "start")
            with st.expander("In words, method by method"):
                sentences(results)
            page_link("compare", "See curves, costs and classes in Compare", run=demo.id)
            page_link("search", "Try a digit of your own in Search", run=demo.id)
            page_link("space", "See the two models' spaces in Space", run=demo.id)

left, right = st.columns([2, 3])
with left:
    st.subheader("Recent runs")
    rows = recent_runs(store())
    if rows:
        for row in rows:
            page_link("runs", f"{row['state']} · {row['created']} · {literal(row['run'])}", run=row["id"])
        page_link("runs", "All runs")
    else:
        st.caption("None yet. Run the demo above, or bring your own images:")
    page_link("launch", "Launch a run on your own images")
with right:
    st.subheader("Data sets")
    st.dataframe(
        dataset_rows(),
        hide_index=True,
        width="stretch",
        key="start-data",
        alt="Data sets and where they are",
    )
st.subheader("Device")
st.markdown(f"New runs use {device_line()}.")
with st.expander("What the run states mean"):
    st.markdown(" · ".join(STATE_MARKS.values()))
    st.caption("A lost run's process vanished (killed, or a reboot). Resume continues it from its last checkpoint.")
