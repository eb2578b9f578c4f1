"""What every page begins with: the frame's guard, the title, the run store, and how errors are shown."""

from __future__ import annotations

import os
import runpy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import streamlit as st

from compat_core.errors import CompatError
from compat_core.experiments.store import ROOT_VARIABLE, RunStore
from compat_core.ui.words import error_box

ROOT = Path(__file__).parents[2]
FRAME_KEY = "frame"

PAGES = {
    "start": ("Start", ":material/home:"),
    "launch": ("Launch", ":material/rocket_launch:"),
    "runs": ("Runs", ":material/list_alt:"),
    "compare": ("Compare", ":material/table_chart:"),
    "space": ("Space", ":material/scatter_plot:"),
    "search": ("Search", ":material/image_search:"),
    "backfill": ("Backfill", ":material/sync_alt:"),
    "vectors": ("Vectors", ":material/database:"),
    "claims": ("Claims", ":material/fact_check:"),
    "methods": ("Methods", ":material/menu_book:"),
}


def begin(title: str, intro: str) -> None:
    """Draw a page's heading, after making sure that app.py drew the frame around it.

    Streamlit runs a page without app.py when a cold server is first visited at that page's own address. The frame is
    then run from here, which runs the page again, inside it.

    Args:
        title: the page's name.
        intro: one sentence under it.
    """
    if not st.session_state.pop(FRAME_KEY, False):
        runpy.run_path(str(ROOT / "app.py"), run_name="__main__")
        st.stop()
    st.title(title)
    st.caption(intro)


def store() -> RunStore:
    """The runs this app shows: ``$COMPATBENCH_RUNS``, else ``runs`` beside app.py."""
    return RunStore(os.environ.get(ROOT_VARIABLE) or ROOT / "runs")


def page_link(name: str, label: str = "", **query: str) -> None:
    """A link to one of the app's pages, with the ids it should show in the address."""
    title, icon = PAGES[name]
    st.page_link(f"pages/{name}.py", label=label or title, icon=icon, query_params=query or None)


@contextmanager
def shown_errors() -> Iterator[None]:
    """Show a CompatError of the block as an error box; the rest of the page goes on and keeps what was typed."""
    try:
        yield
    except CompatError as error:
        error_box(error)
