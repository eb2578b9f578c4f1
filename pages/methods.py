"""Methods: everything the registries know, with formulas, papers and parameters."""

import streamlit as st

from compat_core.ui import catalogue
from compat_core.ui.frame import begin

begin("Methods", "Every method, adapter, loss, metric, data set, backbone and preset, read from the registries.")

text = st.text_input("Find", key="find", placeholder="a name, a paper, a word", bind="query-params")
tabs = st.tabs(["Methods", "Adapters", "Losses", "Metrics", "Protocols", "Data sets", "Backbones", "Presets"])
sections = (
    catalogue.methods,
    catalogue.adapters,
    catalogue.losses,
    catalogue.metrics,
    catalogue.protocol_metrics,
    catalogue.datasets,
    catalogue.backbones,
    catalogue.presets,
)
for tab, section in zip(tabs, sections, strict=True):
    with tab:
        section(text)
