"""A chain of versions as tables: the C matrix of a method for readers and as numbers, and its summary.

An *entry* is one line of ``results.json`` under ``chain``: a method, seed and metric with its matrix.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from compat_core.reports.frames import Results, as_list, percent_text
from compat_core.reports.verdicts import MARKS

Entry = Mapping[str, Any]

MATRIX_NOTE = (
    "In %, rows: query version, columns: gallery version. Each version was trained against the one before it alone. A "
    "mark says whether the newer query beats the gallery's own version, with its 95 % interval; one per seed."
)
AC_NOTE = "AC: share of pairs where the newer version beats the older gallery's own."
SUMMARY_NOTE = (
    f"{AC_NOTE} AM: mean of the lower triangle. BC: newest queries against older galleries, gain over their own. FC: "
    "each version on the gallery before, against itself. Gains: BCT's update gain, with the paragon of the step that "
    "first replaced the gallery."
)


def chain_entries(results: Results, metric: str) -> dict[str, list[Entry]]:
    """Method -> its entries in ``metric``, one per seed; empty for a run that is no chain."""
    found: dict[str, list[Entry]] = {}
    for entry in results.get("chain", ()):
        if entry["metric"] == metric:
            found.setdefault(entry["method"], []).append(entry)
    return found


def stored_chains(results: Results | Sequence[Results]) -> list[dict[str, Any]]:
    """The chain entries that ``results`` hold, each with its run and data set."""
    return [
        {"run": one.get("run", ""), "dataset": one.get("dataset", ""), **entry}
        for one in as_list(results)
        for entry in one.get("chain", ())
    ]


def compatible_shares(entries: Iterable[Entry]) -> dict[tuple[str, str, str, str], tuple[float, float]]:
    """(run, data set, method, metric) -> AC, its mean and sample standard deviation over seeds (NaN for one seed).

    Args:
        entries: what :func:`stored_chains` returns.
    """
    found: dict[tuple[str, str, str, str], list[float]] = {}
    for entry in entries:
        key = (entry["run"], entry["dataset"], entry["method"], entry["metric"])
        found.setdefault(key, []).append(entry["AC"])
    return {key: (pd.Series(shares).mean(), pd.Series(shares).std()) for key, shares in found.items()}


def chain_matrix(entries: Sequence[Entry]) -> pd.DataFrame:
    """One method's matrix as text: the mean over seeds in percent and, off the diagonal, the seeds' marks.

    Columns: query (``v2``), then one per gallery version (``gallery v1``); empty where the gallery is the newer one.
    """
    versions = range(1, len(entries[0]["matrix"]) + 1)
    return pd.DataFrame(
        [
            {"query": f"v{later}"}
            | {
                f"gallery v{earlier}": _cell(entries, later, earlier) if earlier <= later else ""
                for earlier in versions
            }
            for later in versions
        ]
    )


def _cell(entries: Sequence[Entry], later: int, earlier: int) -> str:
    values = [entry["matrix"][later - 1][earlier - 1] for entry in entries]
    pairs = [pair for entry in entries for pair in entry["pairs"] if pair["cell"] == f"v{later}/v{earlier}"]
    marks = "".join(MARKS[pair["outcome"]] for pair in pairs)
    return f"{percent_text(sum(values) / len(values))} {marks}".strip()


def chain_cells(entries: Sequence[Entry]) -> pd.DataFrame:
    """The same in numbers, one line per seed and cell.

    Columns: method, seed, metric, query, gallery, value; and outcome, difference, ci_low, ci_high against the gallery's
    own version, empty on the diagonal. Fractions in [0, 1].
    """
    lines = []
    for entry in entries:
        pairs = {pair["cell"]: pair for pair in entry["pairs"]}
        for later, row in enumerate(entry["matrix"], start=1):
            for earlier, value in enumerate(row[:later], start=1):
                line = {key: entry[key] for key in ("method", "seed", "metric")}
                line |= {"query": f"v{later}", "gallery": f"v{earlier}", "value": value}
                pair = pairs.get(f"v{later}/v{earlier}", {})
                lines.append(line | {key: pair.get(key) for key in ("outcome", "difference", "ci_low", "ci_high")})
    return pd.DataFrame(lines)


def chain_numbers(entries: Sequence[Entry]) -> pd.DataFrame:
    """One line per method and seed: AC, AM, BC, FC, and every update gain (see :data:`SUMMARY_NOTE`); fractions."""
    return pd.DataFrame(
        [
            {"method": entry["method"], "seed": entry["seed"]}
            | {name: entry[name] for name in ("AC", "AM", "BC", "FC")}
            | {f"gain {pair}": gain for pair, gain in entry["update_gains"].items()}
            for entry in entries
        ]
    )
