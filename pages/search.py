"""Search: one query image, ranked lists of every gallery side by side."""

import streamlit as st

from compat_core.ui import search_parts as parts
from compat_core.ui.frame import begin, shown_errors, store
from compat_core.ui.pickers import pick_method, pick_seed, pick_upgrade

begin("Search", "One query against the status quo, the naive swap, a half-migrated gallery and the full backfill.")

run = pick_upgrade(store(), "run")
if run is not None:
    with shown_errors():
        left, right = st.columns(2)
        with left:
            method = pick_method(run, "method", skip=("independent",))
        with right:
            seed = pick_seed(run, "seed")
        session = parts.opened(run.id, seed, method)
        query = parts.choose_query(session)
        share, count, index = parts.settings()
        if query is not None:
            parts.results(session, query, share, count, index)
