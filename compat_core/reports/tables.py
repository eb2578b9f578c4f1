"""Every table as CSV, JSON, Parquet, Markdown or LaTeX; the one module to import for tables.

CSV, JSON and Parquet hold the tidy rows, complete and exact. Markdown and LaTeX hold a readable summary: method × cell
for the main metrics, mean ± std over seeds in percent, with the verdict.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from compat_core.errors import CompatError, unknown_name
from compat_core.reports.chains import AC_NOTE, stored_chains
from compat_core.reports.frames import (
    CELLS,
    COLUMNS,
    MAIN_METRICS,
    Results,
    Row,
    aggregate,
    baseline_deltas,
    config_diff,
    matrix_table,
    per_class_table,
    result_rows,
    rows_frame,
    summary_table,
)
from compat_core.reports.held import check_held, measured_in
from compat_core.reports.markup import frame_panel, latex, latex_escape, markdown, markdown_escape, summary_panels
from compat_core.reports.verdicts import claims_sentences, stored_verdicts, verdict_table, verdicts_from_rows

__all__ = [
    "CELLS", "COLUMNS", "EXTENSION", "FORMATS", "MIME", "READ", "Results", "Row", "aggregate", "baseline_deltas",
    "claims_sentences", "config_diff", "frame_to_format", "latex_escape", "markdown_escape", "matrix_table",
    "per_class_table", "result_rows", "results_to_format", "rows_frame", "summary_table", "to_format", "verdict_table",
    "verdicts_from_rows",
]  # fmt: skip

FORMATS = ("csv", "json", "parquet", "md", "latex")
READ = ("md", "latex")  # by people, who want few digits; the others hold numbers as they are
MIME = {
    "csv": "text/csv",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
    "md": "text/markdown",
    "latex": "application/x-latex",
}
EXTENSION = {"csv": ".csv", "json": ".json", "parquet": ".parquet", "md": ".md", "latex": ".tex"}
SUMMARY_NOTE = (
    "Percent; mean ± sample standard deviation over seeds. recovered: share of the mean gain from old/old to the "
    "paragon. cost: points that new/new lies below the paragon. Best value of each column in bold where methods "
    "differ; of what is recovered, the best of the compatible ones."
)


def to_format(
    rows: Iterable[Row],
    format: str,
    *,
    metrics: Sequence[str] = MAIN_METRICS,
    verdicts: Sequence[Row] | None = None,
    chains: Sequence[Row] = (),
    caption: str = "",
) -> bytes:
    """Tidy rows in ``format``, encoded as UTF-8 (Parquet: binary).

    Args:
        rows: tidy rows.
        format: ``csv``, ``json`` or ``parquet`` for the tidy rows themselves (JSON is exactly the rows, NaN as null);
            ``md`` or ``latex`` for the summary.
        metrics: the summary's metrics.
        verdicts: the summary's verdicts; None reads them from the intervals of the ``gain(…)`` rows.
        chains: the summary's answers of chains of versions, see :func:`compat_core.reports.chains.stored_chains`.
        caption: the LaTeX caption; empty writes one that names the runs and the data sets.

    Raises:
        CompatError: for an unknown format, a row that lacks a column, or a summary of rows without its metrics.
    """
    _check(format)
    rows = list(rows)
    if format == "json":
        rows_frame(rows)  # refuse incomplete rows here as in every other format
        return _json(rows)
    if format in ("csv", "parquet"):
        return frame_to_format(rows_frame(rows), format)
    panels = summary_panels(rows, metrics, verdicts, format == "md", chains)  # LaTeX's own fonts lack ✓ and ✗
    note = f"{SUMMARY_NOTE} {AC_NOTE}" if chains else SUMMARY_NOTE
    if format == "md":
        return markdown(panels, note).encode()
    frame = rows_frame(rows)
    names = [", ".join(dict.fromkeys(frame[key])) for key in ("run", "dataset")]
    caption = caption or f"Compatibility results of {names[0]} on {names[1]}. {note}"
    comment = "CompatBench summary, method x cell. The tidy rows, complete, are in the CSV, JSON and Parquet exports."
    return latex(panels, caption, comment).encode()


def results_to_format(
    results: Results | Sequence[Results], format: str, *, metrics: Sequence[str] | None = None, caption: str = ""
) -> bytes:
    """:func:`to_format` of whole runs: their rows, with their own verdicts and, of chains, their own answers.

    Args:
        results: one run's results, or several runs'.
        format: as there.
        metrics: only these, with the numbers derived from them (``gain(mAP)``); None or empty: every row, and a summary
            in :data:`MAIN_METRICS`.
        caption: as there.

    Raises:
        CompatError: as there, and naming the runs that lack one of ``metrics``.
    """
    rows = result_rows(results)
    if metrics:
        check_held(results, metrics)
        rows = [row for row in rows if measured_in(row["metric"]) in metrics]
    return to_format(
        rows, format, metrics=metrics or MAIN_METRICS, verdicts=stored_verdicts(results),
        chains=stored_chains(results), caption=caption,
    )  # fmt: skip


def frame_to_format(
    frame: pd.DataFrame,
    format: str,
    caption: str = "",
    *,
    percent: Sequence[str] = (),
    best: Mapping[str, bool] | None = None,
) -> bytes:
    """Any table in ``format``; its index is left out.

    Args:
        frame: the table.
        format: one of :data:`FORMATS`.
        caption: a title, shown in Markdown and LaTeX.
        percent: columns of fractions that Markdown and LaTeX show as percent with one decimal.
        best: columns whose best value Markdown and LaTeX set in bold → whether higher is better.

    Raises:
        CompatError: for an unknown format, or for Parquet without pyarrow.
    """
    _check(format)
    if format == "csv":
        return frame.to_csv(index=False, lineterminator="\n").encode()
    if format == "json":
        return _json(frame.astype(object).where(frame.notna(), None).to_dict("records"))
    if format == "parquet":
        return _parquet(frame)
    panel = frame_panel(frame, caption if format == "md" else "", percent, best)
    return (markdown([panel]) if format == "md" else latex([panel], caption)).encode()


def _check(format: str) -> None:
    if format not in FORMATS:
        raise unknown_name("table format", format, FORMATS)


def _json(records: Sequence[Any]) -> bytes:
    return (json.dumps([_plain(record) for record in records], indent=1, ensure_ascii=False) + "\n").encode()


def _plain(value: Any) -> Any:
    """``value`` as JSON types: numpy scalars as numbers, NaN and infinities (which JSON lacks) as null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _parquet(frame: pd.DataFrame) -> bytes:
    try:
        import pyarrow  # noqa: F401  (only the export needs it; a bare machine computes without it)
    except ImportError as error:
        raise CompatError(
            "table format", value="parquet", rule="needs pyarrow", fix="pip install pyarrow, or choose csv"
        ) from error
    mixed = [
        column for column in frame.columns
        if frame[column].dtype == object and len({type(value) for value in frame[column].dropna()}) > 1
    ]  # fmt: skip
    frame = frame.copy()
    for column in mixed:  # a Parquet column has one type
        frame[column] = [None if value is None else str(value) for value in frame[column]]
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False, engine="pyarrow")
    return buffer.getvalue()
