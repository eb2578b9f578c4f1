"""Readable tables as Markdown and LaTeX: everything escaped, the best value of each column in bold."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from compat_core.reports.chains import compatible_shares
from compat_core.reports.frames import (
    GROUP,
    MAIN_METRICS,
    MISSING,
    Row,
    aggregate,
    arrow,
    cells_present,
    higher_is_better,
    of_metric,
    percent_text,
    records,
    rows_frame,
)
from compat_core.reports.verdicts import COMPATIBLE, MARKS, NOT_TESTED, pool_verdicts, verdicts_from_rows


@dataclass(frozen=True, slots=True)
class Panel:
    """A titled block of a table, as plain text that the writers escape.

    Attributes:
        title: what the block shows; empty for none.
        header: one text per column.
        lines: the body, each line as long as the header.
        bold: (line, column) positions of the best values.
        right: columns that hold numbers and are aligned right.
    """

    title: str
    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    bold: frozenset[tuple[int, int]] = frozenset()
    right: frozenset[int] = field(default_factory=frozenset)


# --- building panels ------------------------------------------------------------------------------------------------


def summary_panels(
    rows: Iterable[Row],
    metrics: Sequence[str] = MAIN_METRICS,
    verdicts: Sequence[Row] | None = None,
    marks: bool = True,
    chains: Sequence[Row] = (),
) -> list[Panel]:
    """One panel per metric, one line per method: every cell as percent ± std, recovered gain, cost, seeds, verdict.

    A mean over fewer seeds than the line has says over how many, and is not singled out beside means over all of them.
    Runs that answered unlike numbers of queries say so in a column, and the best value is looked for among those of
    the same data set and number. A chain of versions has no single verdict: its answer is AC, the share of compatible
    pairs, in a column of its own.

    Args:
        rows: tidy rows.
        metrics: which metrics, in order.
        verdicts: one per run, method, seed and metric; None reads them from the intervals of the ``gain(…)`` rows.
        marks: put ✓, ✗ or ? before the verdict's words.
        chains: what :func:`compat_core.reports.chains.stored_chains` gives of the runs among them that are chains.

    Raises:
        CompatError: when there are no rows, or none of a metric.
    """
    rows = list(rows)
    table = aggregate(rows)
    pooled = pool_verdicts(verdicts_from_rows(rows) if verdicts is None else verdicts)
    words = {(line["run"], line["method"], line["metric"]): line["verdict"] for line in records(pooled)}
    shares = compatible_shares(chains)
    seeds = rows_frame(rows).groupby(["run", "dataset", "method"], sort=False)["seed"].nunique()
    keys = [key for key in ("run", "dataset") if table[key].nunique() > 1]
    values = {tuple(line[key] for key in GROUP): (line["mean"], line["std"], line["n"]) for line in records(table)}
    panels = []
    for metric in metrics:
        part = of_metric(table, metric)
        queries = _queries(rows, metric)
        several = keys + ["queries"] * (len(set(queries.values())) > 1)
        known = list(dict.fromkeys(zip(part["run"], part["dataset"], part["method"], strict=True)))
        chained = {whose for whose in known if (*whose, metric) in shares}
        answers = {whose: (*shares[*whose, metric], seeds[whose]) for whose in chained}
        found = values | {(*whose, "", f"AC({metric})"): answer for whose, answer in answers.items()}
        wanted = _wanted(table, part, metric) + [("", f"AC({metric})", "AC ↑")] * bool(chained)
        lines: list[list[str]] = []
        means: list[tuple[str, list[float | None]]] = []
        compatible: set[int] = set()  # the lines that may be singled out for what they recover
        for run, dataset, method in known:
            numbers = [found.get((run, dataset, method, cell, name), (None, None, 0)) for cell, name, _ in wanted]
            count = int(seeds[run, dataset, method])
            asked = queries.get((run, dataset, method), MISSING)
            names = [{"run": run, "dataset": dataset, "queries": asked}[key] for key in several]
            word = MISSING if (run, dataset, method) in chained else words.get((run, method, metric), NOT_TESTED)
            compatible |= {len(lines)} if word == COMPATIBLE else set()
            verdict = f"{MARKS[word]} {word}" if marks and word in MARKS else word
            texts = [percent_text(mean, std) + _seeds_note(number, count) for mean, std, number in numbers]
            lines.append([*names, method, *texts, str(count), verdict])
            means.append(
                (f"{dataset}, {asked} queries", [mean if number == count else None for mean, _, number in numbers])
            )
        first = len(several) + 1
        bold: set[tuple[int, int]] = set()
        for place, (_, name, _) in enumerate(wanted):
            among = compatible if name.startswith("recovered_gain") else None
            column = [(dataset, mean[place]) for dataset, mean in means]
            bold |= {(line, first + place) for line in _best(column, higher_is_better(name), among=among)}
        header = [*several, "method", *(title for *_, title in wanted), "seeds", "verdict"]
        if len(chained) == len(known):
            header, lines = header[:-1], [line[:-1] for line in lines]
        right = frozenset(range(first, first + len(wanted) + 1))
        panels.append(Panel(f"{metric} (%) {arrow(metric)}", header, lines, frozenset(bold), right))
    return panels


def _queries(rows: Iterable[Row], metric: str) -> dict[tuple[str, str, str], str]:
    """(run, data set, method) -> how many queries its numbers are means over: of others they do not compare."""
    found: dict[tuple[str, str, str], set[int]] = {}
    for row in rows:
        if row["metric"] == metric and row["num_queries"]:
            found.setdefault((str(row["run"]), str(row["dataset"]), str(row["method"])), set()).add(row["num_queries"])
    return {whose: " or ".join(f"{count:,}" for count in sorted(counts)) for whose, counts in found.items()}


def _seeds_note(number: int, count: int) -> str:
    """Beside a mean over ``number`` of the line's ``count`` seeds; nothing where it is over all of them, or none."""
    return f" ({number} of {count} seeds)" if 0 < number < count else ""


def _wanted(table: pd.DataFrame, part: pd.DataFrame, metric: str) -> list[tuple[str, str, str]]:
    """The number columns of a panel as (cell, metric, heading): every cell of ``part``, then what derives from them."""
    wanted: list[tuple[str, str, str]] = [(cell, metric, cell) for cell in cells_present(part)]
    for name, cell, title in (("recovered_gain", "new/migrated", "recovered"), ("cost_to_new", "new/new", "cost")):
        derived = f"{name}({metric})"
        if ((table["metric"] == derived) & (table["cell"] == cell)).any():
            wanted.append((cell, derived, f"{title} {arrow(derived)}"))
    return wanted


def frame_panel(
    frame: pd.DataFrame, caption: str = "", percent: Sequence[str] = (), best: Mapping[str, bool] | None = None
) -> Panel:
    """Any frame as a panel: ``percent`` columns as percent with one decimal, other numbers with four digits.

    Args:
        frame: the table; its index is not shown.
        caption: the panel's title.
        percent: columns that hold fractions.
        best: columns whose best value is bold → whether higher is better; they get an arrow.
    """
    best = best or {}
    header, bold, right = [], set(), set()
    for place, column in enumerate(frame.columns):
        header.append(f"{column}{' (%)' if column in percent else ''}{_best_arrow(best, column)}")
        if pd.api.types.is_numeric_dtype(frame[column]) and not pd.api.types.is_bool_dtype(frame[column]):
            right.add(place)
        if column in best:
            numbers = [("", None if pd.isna(value) else float(value)) for value in frame[column]]
            bold |= {(line, place) for line in _best(numbers, best[column], 1 if column in percent else None)}
    columns = [[_text(value, column in percent) for value in frame[column].tolist()] for column in frame.columns]
    lines = [list(line) for line in zip(*columns, strict=True)]
    return Panel(caption, header, lines, frozenset(bold), frozenset(right))


def _best_arrow(best: Mapping[str, bool], column: str) -> str:
    return "" if column not in best else " ↑" if best[column] else " ↓"


def _best(
    values: Sequence[tuple[str, float | None]],
    higher: bool,
    percent_decimals: int | None = 1,
    among: Collection[int] | None = None,
) -> set[int]:
    """The places of the best values among those that compare, ties (as shown) included; none where all are equal.

    Args:
        values: what may be compared with what (equal texts), and the value, of every place.
        higher: whether higher is better.
        percent_decimals: with how many decimals of a percent values are shown; None: they are told apart as they are.
        among: the places that may be the best; None: any.
    """
    places: set[int] = set()
    for group in dict.fromkeys(name for name, _ in values):
        shown = {
            place: value if percent_decimals is None else round(100 * value, percent_decimals)
            for place, (name, value) in enumerate(values)
            if name == group and value is not None and not math.isnan(value)
        }
        if len(set(shown.values())) > 1:
            fit = {place: value for place, value in shown.items() if among is None or place in among}
            top = (max if higher else min)(fit.values(), default=None)
            places |= {place for place, value in fit.items() if value == top}
    return places


def _text(value: Any, percent: bool) -> str:
    """One value of any frame as text."""
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, default=str)
    if value is None or pd.isna(value):
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if percent and isinstance(value, (int, float)):
        return percent_text(float(value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# --- Markdown -------------------------------------------------------------------------------------------------------


def markdown_escape(text: str) -> str:
    """``text`` so that Markdown shows it literally inside a table cell, HTML included."""
    text = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    for mark in "\\`*_[]|~$":  # $ because several renderers, Streamlit among them, read it as mathematics
        text = text.replace(mark, f"\\{mark}")
    return text


def markdown(panels: Sequence[Panel], note: str = "") -> str:
    """The panels as Markdown pipe tables under their titles."""
    blocks = []
    for panel in panels:
        if panel.title:
            blocks.append(f"**{markdown_escape(panel.title)}**")
        rule = ["---:" if place in panel.right else "---" for place in range(len(panel.header))]
        body = [
            [f"**{markdown_escape(cell)}**" if (row, place) in panel.bold else markdown_escape(cell)
             for place, cell in enumerate(line)]
            for row, line in enumerate(panel.lines)
        ]  # fmt: skip
        header = [markdown_escape(title) for title in panel.header]
        blocks.append("\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *body)))
    return "\n\n".join([*blocks, *([markdown_escape(note)] if note else [])]) + "\n"


# --- LaTeX ----------------------------------------------------------------------------------------------------------

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "[": "{[}", "]": "{]}", "±": r"$\pm$", "↑": r"$\uparrow$",
    "↓": r"$\downarrow$", "→": r"$\rightarrow$", "←": r"$\leftarrow$", "×": r"$\times$", "−": "$-$", "–": "--",
    "…": r"\ldots{}", "·": r"$\cdot$", "≤": r"$\leq$", "≥": r"$\geq$", "β": r"$\beta$", "λ": r"$\lambda$",
    "σ": r"$\sigma$", "ℓ": r"$\ell$", "²": r"$^2$", "✓": "", "✗": "", "\u00a0": "~",
}  # fmt: skip


def latex_escape(text: str) -> str:
    """``text`` as LaTeX sets it literally; ±, arrows and the like become mathematics, the verdict marks are left out.

    Line ends become spaces, so that no name can step out of a row or a comment. Brackets are grouped, since ``\\\\``
    at the end of a row would read one after it as its optional argument.
    """
    return "".join(_LATEX.get(letter, letter) for letter in " ".join(text.split())).strip()


def latex(panels: Sequence[Panel], caption: str, comment: str = "") -> str:
    """One booktabs table: panels with the same header are stacked under one header, others follow as tables.

    Needs ``\\usepackage{booktabs}`` only.
    """
    out = [f"% {' '.join(comment.split())}"] if comment else []
    out.append(r"% needs \usepackage{booktabs}")
    groups: list[list[Panel]] = []
    for panel in panels:
        if groups and list(groups[-1][0].header) == list(panel.header):
            groups[-1].append(panel)
        else:
            groups.append([panel])
    for group in groups:
        header, right = group[0].header, group[0].right
        shape = "".join("r" if place in right else "l" for place in range(len(header)))
        out += [r"\begin{table}[t]", r"  \centering"]
        out += [rf"  \caption{{{latex_escape(caption)}}}"] if caption else []
        out += [rf"  \begin{{tabular}}{{{shape}}}", r"    \toprule", f"    {_latex_line(header)}"]
        for panel in group:
            out.append(r"    \midrule")
            if panel.title:
                title = rf"\multicolumn{{{len(header)}}}{{l}}{{\textit{{{latex_escape(panel.title)}}}}}"
                out.append(rf"    {title} \\")
            out += [f"    {_latex_line(line, panel.bold, row)}" for row, line in enumerate(panel.lines)]
        out += [r"    \bottomrule", r"  \end{tabular}", r"\end{table}"]
    return "\n".join(out) + "\n"


def _latex_line(cells: Sequence[str], bold: frozenset[tuple[int, int]] = frozenset(), row: int = -1) -> str:
    texts = [
        rf"\textbf{{{latex_escape(cell)}}}" if (row, place) in bold else latex_escape(cell)
        for place, cell in enumerate(cells)
    ]
    return rf"{' & '.join(texts)} \\"
