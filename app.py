"""The frame around every page: configuration, navigation, sidebar. Start it with ``streamlit run app.py``."""

import os

# As in compat_core/__main__.py, and before any page imports torch: the search of an uploaded picture multiplies with
# torch and counts with numpy, whose threads would wait for each other's to stop spinning.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import streamlit as st

from compat_core.ui.frame import FRAME_KEY, PAGES, ROOT
from compat_core.ui.sidebar import sidebar

st.set_page_config(page_title="CompatBench", page_icon=str(ROOT / "assets" / "icon.svg"), layout="wide")
st.logo(str(ROOT / "assets" / "logo.svg"), icon_image=str(ROOT / "assets" / "icon.svg"), size="large")

page = st.navigation(
    [
        st.Page(ROOT / "pages" / f"{name}.py", title=title, icon=icon, url_path=name, default=name == "start")
        for name, (title, icon) in PAGES.items()
    ],
    position="hidden",  # the sidebar draws the links
)
sidebar()
st.session_state[FRAME_KEY] = True
page.run()
