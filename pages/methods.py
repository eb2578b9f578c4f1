"""Methods: everything the registries know, with formulas, papers and parameters."""

import streamlit as st

from compat_core.ui import catalogue
from compat_core.ui.frame import begin

begin("Methods", "Every method, adapter, loss, metric, ordering, data set, backbone and preset, as registered.")

text = st.text_input("Find", key="find", placeholder="a name, a paper, a word", bind="query-params")
sections = catalogue.SECTIONS
if text.strip():
    counts = {name: len(catalogue.matching(entries, text)) for name, (entries, _) in sections.items()}
    st.caption("Found: " + (" · ".join(f"{name} {count}" for name, count in counts.items() if count) or "nothing"))
# The key and the address keep the open tab, so that a link leads to it; what is behind the others is not drawn.
tabs = st.tabs(list(sections), key="section", bind="query-params")
for tab, (_, draw) in zip(tabs, sections.values(), strict=True):
    if tab.open:
        with tab:
            draw(text)
