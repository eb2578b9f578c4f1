"""Space: old, migrated and new vectors in one UMAP; what is near what, and what really is."""

import streamlit as st

from compat_core.ui import space_parts as parts
from compat_core.ui.frame import begin, shown_errors, store
from compat_core.ui.pickers import pick_method, pick_seed, pick_upgrade

begin("Space", "Old, migrated and new vectors of the same items in one UMAP: do the clouds lie on top of each other?")

run = pick_upgrade(store(), "run")
if run is not None:
    with shown_errors():
        left, right = st.columns(2)
        with left:
            method = pick_method(run, "method")
        with right:
            seed = pick_seed(run, "seed")
        config = parts.parameters(method, seed)
        parts.show(run, config)
