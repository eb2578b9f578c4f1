"""Claims: the papers' statements, what would refute each, and what the chosen runs say."""

import streamlit as st

from compat_core.ui import claim_parts as parts
from compat_core.ui.frame import begin, shown_errors, store
from compat_core.ui.pickers import pick_runs

begin("Claims", "Published statements put to your own runs: holds, does not hold, undecided, or not tested.")

runs = pick_runs(store(), "run")
if runs:
    with shown_errors():
        answers = parts.answered(tuple(run.id for run in runs))
        parts.overview(answers)
        parts.details(answers)
else:
    st.caption("Without a run there is nothing to put the claims to.")
