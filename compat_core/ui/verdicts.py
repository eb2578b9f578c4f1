"""Verdicts in plain words and the query × gallery matrix, as the Start and Compare pages show them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from compat_core.reports.frames import matrix_table, records, result_rows, summary_table
from compat_core.reports.tables import READ, SUMMARY_NOTE, frame_to_format, results_to_format
from compat_core.reports.verdicts import COMPATIBLE, MARKS, claims_sentences, verdict_table
from compat_core.ui.downloads import download_table
from compat_core.ui.words import literal

CELL_HELP = {
    "old/old": "Status quo: old queries search the old gallery.",
    "new/old": "New queries search the untouched old gallery: the naive swap, or a trained method's cross test.",
    "new/migrated": "The method's own cross test: old rows as the method maps them; as new/old where it maps nothing.",
    "new/new": "The method's new model, gallery fully backfilled.",
    "paragon": "Ceiling: an unconstrained new model, gallery fully backfilled.",
}


def sentences(results: dict[str, Any] | Sequence[dict[str, Any]], metric: str = "mAP") -> None:
    """One line per method: compatible or not, by how much, how sure, and at what cost."""
    for sentence in claims_sentences(results, metric):
        head, _, rest = sentence.partition(": ")
        word = re.search(r": (not compatible|compatible)\b", sentence)
        mark = MARKS[word[1]] if word else "?"
        st.markdown(f"{mark} **{literal(head)}**: {literal(rest)}")


def headline_numbers(results: dict[str, Any], metric: str = "mAP") -> None:
    """Four numbers: the status quo, the naive swap, the best compatible method, the ceiling; of two versions."""
    means: dict[tuple[str, str], list[float]] = {}
    for row in results["rows"]:
        if row["metric"] == metric and row["value"] is not None:
            means.setdefault((row["method"], row["cell"]), []).append(row["value"])
    mean = {key: sum(values) / len(values) for key, values in means.items()}
    first = next((method for method, cell in mean if cell == "old/old"), None)
    if first is None:
        st.caption("A chain of versions has no single status quo: Compare shows every pair of its versions.")
        return
    table = verdict_table(results)
    good = table[(table["metric"] == metric) & (table["verdict"] == COMPATIBLE)]["method"].tolist()
    best = max(good, key=lambda method: mean[method, "new/migrated"], default=None)
    status_quo = mean[first, "old/old"]
    naive = mean.get(("independent", "new/old"))
    cards = [
        ("Status quo", status_quo, 0.0, CELL_HELP["old/old"]),
        ("Naive swap", naive, None if naive is None else naive - status_quo, CELL_HELP["new/old"]),
        (
            f"Best method: {best}" if best else "No method is compatible",
            mean[best, "new/migrated"] if best else None,
            mean[best, "new/migrated"] - status_quo if best else None,
            CELL_HELP["new/migrated"],
        ),
        ("Ceiling", mean[first, "paragon"], mean[first, "paragon"] - status_quo, CELL_HELP["paragon"]),
    ]
    for column, (label, value, change, help_text) in zip(st.columns(4), cards, strict=True):
        shown = "–" if value is None else f"{100 * value:.1f} %"
        delta = None if change is None else f"{100 * change:+.1f} points" if change else "the reference"
        column.metric(
            label, shown, delta, "off" if change == 0 else "normal", help=help_text, border=True,
            delta_arrow="auto" if change else "off",
        )  # fmt: skip


def matrix(results: dict[str, Any] | Sequence[dict[str, Any]], metric: str, key: str) -> None:
    """Methods × cells, with the pooled verdict, downloadable."""
    table = matrix_table(result_rows(results), metric)
    verdicts = verdict_table(results)
    words = {(row["run"], row["method"]): row["verdict"] for row in records(verdicts) if row["metric"] == metric}
    table["verdict"] = [
        f"{MARKS.get(word, '')} {word}".strip()
        for word in (words.get((row["run"], row["method"]), "") for row in records(table))
    ]
    shown = table.drop(columns=[name for name in ("run", "dataset") if name in table and table[name].nunique() == 1])
    columns = {name: st.column_config.TextColumn(name, help=text) for name, text in CELL_HELP.items()}
    st.dataframe(
        shown, hide_index=True, width="stretch", column_config=columns, key=f"{key}-matrix",
        alt=f"{metric} in percent of every method in every query/gallery cell, with its verdict",
    )  # fmt: skip
    download_table(f"matrix-{metric}", f"{key}-matrix-get", lambda kind: _matrix_file(results, words, metric, kind))


def _matrix_file(
    results: dict[str, Any] | Sequence[dict[str, Any]], words: Mapping[tuple[str, str], str], metric: str, kind: str
) -> bytes:
    """The matrix in a format: fractions for machines; for readers with the best in bold, arrows and aligned numbers."""
    if kind not in READ:
        numbers = summary_table(result_rows(results), [metric])
        numbers["verdict"] = [words.get((row["run"], row["method"]), "") for row in records(numbers)]
        return frame_to_format(numbers, kind)
    caption = f"{metric} by query model / gallery model. {SUMMARY_NOTE}"
    return results_to_format(results, kind, metrics=[metric], caption=caption)
