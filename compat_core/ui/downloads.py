"""Every table can be taken along: one button per format, built only when it is clicked."""

from __future__ import annotations

import functools
from collections.abc import Callable

import streamlit as st

from compat_core.reports.tables import EXTENSION, FORMATS, MIME

LABELS = {"csv": "CSV", "json": "JSON", "parquet": "Parquet", "md": "Markdown", "latex": "LaTeX"}


def download_table(name: str, key: str, build: Callable[[str], bytes]) -> None:
    """A row of download buttons.

    Args:
        name: file name without its extension.
        key: unique on the page.
        build: format name -> file content.
    """
    with st.container(horizontal=True, gap="small"):
        for kind in FORMATS:
            st.download_button(
                LABELS.get(kind, kind),
                data=functools.partial(build, kind),
                file_name=f"{name}{EXTENSION[kind]}",
                mime=MIME[kind],
                key=f"{key}-{kind}",
                icon=":material/download:",
                on_click="ignore",
            )
