"""Headings in words for the columns of result tables, the same on pages and in reports: files keep the short names."""

from __future__ import annotations

from compat_core.reports.backfill_curves import REMAINING

# column -> its heading, and what it means where that needs a sentence
HEADINGS = {
    "order": ("ordering", None),
    "auc": ("area", "Plain mean of the curve's points."),
    "auc_ci_low": ("area, 95 % from", "Of one seed; empty for several."),
    "auc_ci_high": ("area, 95 % to", "Of one seed; empty for several."),
    "trapezoid": ("area, trapezoid rule", None),
    "share_90": ("backfill for 90 % of the rest", f"Smallest share of the gallery that gives 90 % of {REMAINING}."),
    "share_95": ("backfill for 95 % of the rest", f"Smallest share of the gallery that gives 95 % of {REMAINING}."),
    "share_99": ("backfill for 99 % of the rest", f"Smallest share of the gallery that gives 99 % of {REMAINING}."),
    "gaining": ("seeds that gain", "Seeds in which a full backfill adds something: the shares are means over these."),
    "gap": ("gap (points)", "The best subgroup less the worst, of the means shown."),
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


def heading(column: str) -> str:
    """A column's heading; one without a heading of its own keeps its name."""
    return HEADINGS[column][0] if column in HEADINGS else column
