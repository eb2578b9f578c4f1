"""The report's sections beside retrieval: along the backfill, verification and identification, subgroups."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

from compat_core.reports.alt import alt_text
from compat_core.reports.backfill import CURVES_NOTE, backfill_figure, backfill_table
from compat_core.reports.frames import Results, percent_text
from compat_core.reports.headings import heading
from compat_core.reports.html_page import HtmlPage
from compat_core.reports.markup import frame_panel
from compat_core.reports.protocols import (
    TITLES,
    operating_points,
    points_note,
    protocols_of,
    rate_figure,
    refusals,
)
from compat_core.reports.subgroups import subgroup_figure, subgroup_table, subgroups_note

RATE_FIGURES = ("roc", "det")


def in_metrics(page: HtmlPage, asked: Sequence[str], held: Collection[str], what: str) -> list[str]:
    """The metrics that a section is shown in: of those asked for, what it is measured in; else mAP, which is said.

    Args:
        page: where it is said.
        asked: the report's metrics.
        held: those that the section's subject is measured in; empty leaves ``asked`` as they are.
        what: the subject with its verb, as ``Subgroups are``.
    """
    shown = [metric for metric in asked if metric in held or not held]
    if shown:
        return shown
    other = "mAP" if "mAP" in held else next(iter(held))
    page.note(f"{what} not measured in {', '.join(asked)}: shown in {other}.")
    return [other]


def add_backfill(page: HtmlPage, results: Results, metrics: Sequence[str]) -> None:
    """A figure per method in the first metric, and the areas and shares of every ordering; nothing without curves."""
    table = backfill_table(results)
    if table.empty:
        return
    page.heading("Along the backfill", 3)
    shown = in_metrics(page, metrics, list(dict.fromkeys(table["metric"])), "Backfill curves are")
    drawn = dict.fromkeys(table.loc[table["metric"] == shown[0], "method"])
    page.pairs(
        (backfill_figure(results, method, shown[0]), alt_text("backfill", results, method=method, metric=shown[0]))
        for method in drawn
    )
    for metric in shown:
        part = table[table["metric"] == metric].drop(columns="metric").dropna(axis="columns", how="all")
        part = part.rename(columns=heading)
        counts = ("method", heading("order"), "seeds", heading("gaining"))
        percent = [name for name in part.columns if name not in counts]
        page.table(frame_panel(part, f"{metric} along the backfill", percent))
    page.note(CURVES_NOTE)


def add_protocols(page: HtmlPage, results: Results) -> None:
    """Operating points with verdicts, and ROC beside DET of every method; nothing for a run without a protocol."""
    for protocol in protocols_of(results):
        page.heading(TITLES[protocol], 3)
        page.note(points_note(results, protocol))
        panel = frame_panel(operating_points(results, protocol))
        numbers = frozenset(
            place for place, name in enumerate(panel.header) if name not in ("method", "metric", "verdict")
        )
        page.table(dataclasses.replace(panel, right=numbers))
        for sentence in refusals(results, protocol):
            page.note(f"Refused: {sentence}")
        drawn = dict.fromkeys(
            entry["method"] for entry in results["protocols"] if entry["protocol"] == protocol and entry["x"]
        )
        page.pairs(
            (
                rate_figure(results, method, protocol, kind),
                alt_text("rates", results, method=method, protocol=protocol, curve=kind),
            )
            for method in drawn
            for kind in RATE_FIGURES
        )


def add_subgroups(page: HtmlPage, results: Results, metrics: Sequence[str]) -> None:
    """Every subgroup and the gap, now and along the backfill in its first ordering; nothing without subgroups."""
    entries = results.get("subgroups", ())
    if not entries:
        return
    page.heading("Subgroups", 3)
    shown = in_metrics(page, metrics, list(dict.fromkeys(entry["metric"] for entry in entries)), "Subgroups are")
    for metric in shown:
        page.note(subgroups_note(metric))
        table = subgroup_table(results, metric).dropna(axis="columns", how="all")
        gaps = [name for name in ("gap", "gap_ci_low", "gap_ci_high") if name in table]
        groups = [name for name in table.columns if name not in ("method", "cell", "seeds", *gaps)]
        for name in gaps:  # points, which are not percent of anything
            table[name] = [percent_text(value) for value in table[name]]
        panel = frame_panel(table.rename(columns=heading), f"{metric} per subgroup", groups)
        page.table(dataclasses.replace(panel, right=frozenset(range(2, len(panel.header)))))
    orders = {
        entry["method"]: entry["order"] for entry in reversed(results.get("backfill", ()))
        if "subgroups" in entry and entry["metric"] == shown[0]
    }  # fmt: skip
    page.pairs(
        (
            subgroup_figure(results, method, order, shown[0]),
            alt_text("subgroups", results, method=method, order=order, metric=shown[0]),
        )
        for method, order in reversed(orders.items())
    )
