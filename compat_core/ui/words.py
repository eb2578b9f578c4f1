"""Words that people chose, on screen as they wrote them."""

from __future__ import annotations

import re

import streamlit as st

from compat_core.reports.tables import markdown_escape

# Streamlit looks for emoji, its logo and its icons in the text that is left when Markdown's escapes are gone: only a
# letter between keeps them apart, one that nobody sees. Times like 12:30:45 are none of its codes.
_CODE = re.compile(r":(?=(?!\d\d:)[\w+-]+:|material/)")
_DIRECTIVE = re.compile(r":(?=[^\W\d_])")
_WORD_JOINER = "\u2060"


def literal(text: str) -> str:
    """``text`` so that Streamlit shows it as it is: no Markdown, no ``:red[…]``, no ``:smile:`` or ``:material/x:``."""
    return _DIRECTIVE.sub(r"\\:", markdown_escape(_CODE.sub(f":{_WORD_JOINER}", text)))


def error_box(message: object) -> None:
    """An error in a box of its own, with whatever it repeats of somebody's input as it was typed."""
    st.error(literal(str(message)), icon=":material/error:")
