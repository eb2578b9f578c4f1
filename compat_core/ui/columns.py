"""Headings in words, number formats and help for the columns of result tables: files keep the short names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import streamlit as st

from compat_core.reports.backfill_curves import REMAINING

HEADINGS = {
    "order": ("ordering", None),
    "auc": ("area", "Plain mean of the curve's points."),
    "auc_ci_low": ("area, 95 % from", "Of one seed; empty for several."),
    "auc_ci_high": ("area, 95 % to", "Of one seed; empty for several."),
    "trapezoid": ("area, trapezoid rule", None),
    "share_90": ("backfill for 90 % of the rest", f"Smallest share of the gallery that gives 90 % of {REMAINING}."),
    "share_95": ("backfill for 95 % of the rest", f"Smallest share of the gallery that gives 95 % of {REMAINING}."),
    "share_99": ("backfill for 99 % of the rest", f"Smallest share of the gallery that gives 99 % of {REMAINING}."),
    "gap": ("gap (points)", "The best subgroup less the worst."),
    "gap_ci_low": ("gap, 95 % from", "Of one seed; empty for several."),
    "gap_ci_high": ("gap, 95 % to", "Of one seed; empty for several."),
    "num_queries": ("queries", None),
    "ci_low": ("95 % from", "Lower bound of the interval."),
    "ci_high": ("95 % to", "Upper bound of the interval."),
    "change": ("change (points)", "new/migrated − old/old"),
    "delta": ("difference (points)", "mean − baseline"),
    "n": ("seeds", None),
    "baseline_n": ("seeds of the baseline", None),
}


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
