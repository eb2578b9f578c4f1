"""Number formats, headings and help for the columns of result tables on pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import streamlit as st

from compat_core.reports.headings import HEADINGS


def headings(columns: Iterable[str], percent: Iterable[str] = (), plain: Iterable[str] = ()) -> dict[str, Any]:
    """The column configuration of a table.

    Args:
        columns: the table's columns; one without a heading of its own keeps its name.
        percent: those that hold fractions, shown as percent.
        plain: those that hold percent or points already, shown with one decimal.
    """
    percent, plain = set(percent), set(plain)
    configured: dict[str, Any] = {}
    for name in columns:
        label, help_text = HEADINGS.get(name, (name, None))
        if name in percent or name in plain:
            format = "percent" if name in percent else "%.1f"
            configured[name] = st.column_config.NumberColumn(label, format=format, help=help_text)
        elif name in HEADINGS:
            configured[name] = st.column_config.Column(label, help=help_text)
    return configured
