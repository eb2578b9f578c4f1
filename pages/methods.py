"""Methods: everything the registries know, with formulas, papers and parameters."""

import streamlit as st

from compat_core.ui import catalogue
from compat_core.ui.frame import begin

begin("Methods", "Every method, adapter, loss, metric, ordering, data set, backbone and preset, as registered.")

text = st.text_input("Find", key="find", placeholder="a name, a paper, a word", bind="query-params")
sections = catalogue.SECTIONS
counts = {name: len(catalogue.matching(entries, text)) for name, (entries, _) in sections.items()}
tabs = st.tabs([f"{name} ({counts[name]})" if text.strip() else name for name in sections])
for tab, (_, draw) in zip(tabs, sections.values(), strict=True):
    with tab:
        draw(text)
