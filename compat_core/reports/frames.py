"""Tidy result rows as pandas frames: aggregated over seeds, laid out as a matrix, compared with a baseline.

A tidy row is one number: ``run, dataset, method, seed, cell, metric, value, ci_low, ci_high, num_queries``, with
fractions in [0, 1]. ``results`` means the parsed ``results.json`` of one run, or a list of several.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from compat_core.errors import CompatError, unknown_name
from compat_core.reports.roles import CELLS
from compat_core.reports.shares import share_over_seeds, values_by_seed
from compat_core.spec import Spec

Row = Mapping[str, Any]
Results = Mapping[str, Any]

COLUMNS = ("run", "dataset", "method", "seed", "cell", "metric", "value", "ci_low", "ci_high", "num_queries")
_DTYPES = {"seed": "Int64", "num_queries": "Int64", "value": "float64", "ci_low": "float64", "ci_high": "float64"}
GROUP = ["run", "dataset", "method", "cell", "metric"]
MAIN_METRICS = ("mAP", "CMC@1")  # what a summary shows where no metric was asked for
MISSING = "–"  # what a table shows where nothing was measured
TINY = 1e-3  # amounts below are not told apart: in hours, days, gigabytes and money they are nothing anyone plans with


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The lines of ``frame`` as dicts with text keys."""
    return [{str(key): value for key, value in line.items()} for line in frame.to_dict("records")]


def as_list(results: Results | Sequence[Results]) -> list[Results]:
    """One results dict or several, always as a list."""
    return [results] if isinstance(results, Mapping) else list(results)


def result_rows(results: Results | Sequence[Results]) -> list[dict[str, Any]]:
    """The tidy rows of ``results``, each with its run and data set filled in from the top of the file."""
    return [
        {"run": one.get("run", ""), "dataset": one.get("dataset", ""), **row}
        for one in as_list(results)
        for row in one.get("rows", ())
    ]


def rows_frame(rows: Iterable[Row]) -> pd.DataFrame:
    """The tidy rows as a frame with the columns of :data:`COLUMNS`, in that order (any further ones behind them).

    Null values become NaN; ``seed`` and ``num_queries`` are nullable whole numbers.

    Raises:
        CompatError: when a row lacks a column.
    """
    rows = list(rows)
    for index, row in enumerate(rows):
        lacking = [column for column in COLUMNS if column not in row]
        if lacking:
            raise CompatError(f"result row {index}", value=dict(row), rule=f"lacks {', '.join(lacking)}")
    extra = list(dict.fromkeys(key for row in rows for key in row if key not in COLUMNS))
    frame = pd.DataFrame([dict(row) for row in rows], columns=[*COLUMNS, *extra])
    return frame.astype({column: _DTYPES.get(column, "str") for column in COLUMNS})


def aggregate(rows: Iterable[Row]) -> pd.DataFrame:
    """Mean, spread and count over seeds, one line per (run, dataset, method, cell, metric), in order of appearance.

    Columns behind the five keys: ``mean``; ``std``, the sample standard deviation (NaN for one seed); ``n``, the seeds
    with a value; ``ci_low`` and ``ci_high``, the seed's own interval where there is one seed, else NaN, since
    intervals of several seeds do not average into one. A share of the gain over several seeds is the share of their
    mean gain (:mod:`compat_core.reports.shares`), as long as the cells that it is made of are among the rows.
    """
    rows = list(rows)
    groups = rows_frame(rows).groupby(GROUP, sort=False, dropna=False)
    table = groups.agg(
        mean=("value", "mean"), std=("value", "std"), n=("value", "count"), ci_low=("ci_low", "first"),
        ci_high=("ci_high", "first"),
    )  # fmt: skip
    several = groups.size() > 1
    table.loc[several, ["ci_low", "ci_high"]] = float("nan")
    own: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        own[str(row["run"]), str(row["dataset"]), str(row["method"])].append(row)
    known = {whose: values_by_seed(part) for whose, part in own.items()}
    columns = [list(table.columns).index(name) for name in ("mean", "std", "n")]
    for place, (*whose, _, metric) in enumerate(table.index):
        share = share_over_seeds(metric, known[tuple(whose)])
        if share is not None:
            table.iloc[place, columns] = list(share)
    return table.reset_index()


def higher_is_better(metric: str) -> bool:
    """The direction of ``metric``: what the metrics registry says; of derived numbers, costs and negative flips are
    better when low."""
    from compat_core.metrics import METRICS, PROTOCOL_METRICS  # late: reading and exporting rows needs no torch

    for registry in (METRICS, PROTOCOL_METRICS):
        if metric.partition("=")[0] in registry:
            return registry.get(metric.partition("=")[0]).direction > 0
    return not metric.startswith(("cost_to_new", "negative_flips"))


def arrow(metric: str) -> str:
    """``↑`` where higher is better, else ``↓``."""
    return "↑" if higher_is_better(metric) else "↓"


def percent_text(mean: float | None, std: float | None = None) -> str:
    """A fraction as percent with one decimal: ``58.4``, ``58.4 ± 0.3`` with a spread, or a dash for null."""
    if mean is None or pd.isna(mean):
        return MISSING
    shown = f"{100 * mean:.1f}".replace("-", "−")
    shown = "0.0" if shown == "−0.0" else shown
    return shown if std is None or pd.isna(std) else f"{shown} ± {100 * std:.1f}"


def points_text(fraction: float | None, decimals: int = 1) -> str:
    """A difference of fractions in points with its sign: ``+1.2``, ``−0.3``, ``0.0``, or a dash for null."""
    if fraction is None or pd.isna(fraction):
        return MISSING
    shown = f"{100 * fraction:+.{decimals}f}"
    return shown.replace("-", "−") if shown.strip("+-0.") else shown[1:]


def decimals_for(low: float | None, high: float | None) -> int:
    """Decimals of points, 1 … 3, at which an interval of fractions keeps its width and says on which side it lies."""
    if low is None or high is None or pd.isna(low) or pd.isna(high):
        return 1
    for decimals in (1, 2):
        unit = 0.1**decimals
        wide = low == high or 100 * (high - low) >= 2 * unit
        if wide and all(end == 0 or 100 * abs(end) >= unit / 2 for end in (low, high)):
            return decimals
    return 3


def change_text(value: float | None, low: float | None, high: float | None, decimals: int | None = None) -> str:
    """A difference of fractions in points with its interval, ``+1.2 (+0.8 … +1.6)``; without one, alone.

    Without ``decimals``, as many as :func:`decimals_for` the interval.
    """
    decimals = decimals_for(low, high) if decimals is None else decimals
    shown = points_text(value, decimals)
    if pd.isna(low) or pd.isna(high):
        return shown
    return f"{shown} ({points_text(low, decimals)} … {points_text(high, decimals)})"


def amount_text(amount: float) -> str:
    """Three significant digits, thousands whole: a small bill is not shown as nothing."""
    if amount == 0:
        return "0"
    if amount < TINY:
        return f"<{TINY:g}"
    return f"{amount:,.{max(0, 2 - math.floor(math.log10(amount)))}f}"


def of_metric(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The part of an aggregated table about ``metric``. Raises CompatError, with a suggestion, when it has none."""
    if table.empty:
        raise CompatError("result rows", rule="there are none", fix="choose a run that has finished")
    if metric not in set(table["metric"]):
        raise unknown_name("metric in these results", metric, set(table["metric"]))
    return table[table["metric"] == metric]


def cells_present(table: pd.DataFrame) -> list[str]:
    """The cells in ``table`` in their usual order, unknown ones last."""
    found = list(dict.fromkeys(table["cell"]))
    return [cell for cell in CELLS if cell in found] + [cell for cell in found if cell not in CELLS]


def matrix_table(rows: Iterable[Row], metric: str) -> pd.DataFrame:
    """One line per method: each cell as text in percent, ``mean ± std`` over seeds, and ``n``, the number of seeds.

    Where cells were measured on different numbers of seeds, ``n`` is a range (``1–2``). Raises CompatError for a
    metric that the rows do not have.
    """
    table = of_metric(aggregate(rows), metric)
    cells = cells_present(table)
    lines = []
    for (run, dataset, method), part in table.groupby(["run", "dataset", "method"], sort=False, dropna=False):
        texts = {line["cell"]: percent_text(line["mean"], line["std"]) for line in records(part)}
        counts = sorted(set(part["n"]))
        seeds = str(counts[0]) if len(counts) == 1 else f"{counts[0]}–{counts[-1]}"
        line = {"run": run, "dataset": dataset, "method": method}
        lines.append(line | {cell: texts.get(cell, MISSING) for cell in cells} | {"n": seeds})
    return pd.DataFrame(lines, columns=["run", "dataset", "method", *cells, "n"])


def summary_table(rows: Iterable[Row], metrics: Sequence[str] = MAIN_METRICS) -> pd.DataFrame:
    """One line per (run, dataset, method) and, as numbers for sorting, ``"<metric> <cell>"`` and its ``… std``.

    Fractions in [0, 1]; a further column ``seeds`` counts the seeds. Raises CompatError for a metric that the rows do
    not have.
    """
    rows = list(rows)
    table = aggregate(rows)
    keys = ["run", "dataset", "method"]
    seeds = rows_frame(rows).groupby(keys, sort=False, dropna=False)["seed"].nunique().rename("seeds")
    columns = [seeds]
    for metric in metrics:
        part = of_metric(table, metric)
        for cell in cells_present(part):
            lines = part[part["cell"] == cell].set_index(keys)
            columns += [lines["mean"].rename(f"{metric} {cell}"), lines["std"].rename(f"{metric} {cell} std")]
    return pd.concat(columns, axis=1).reset_index()


def per_class_table(
    results: Results | Sequence[Results], metric: str = "mAP", cell: str = "new/migrated"
) -> pd.DataFrame:
    """Each method's classes, worst first: mean over seeds of ``metric`` in ``cell``, beside the status quo's.

    Columns: run, method, class, num_queries, ``cell``, ``old/old``, ``change`` (fractions). Empty when the results
    hold no per-class numbers. Raises CompatError for a metric they do not hold.
    """
    lines = [{"run": one.get("run", ""), **line} for one in as_list(results) for line in one.get("per_class", ())]
    columns = ["run", "method", "class", "num_queries", cell, "old/old", "change"]
    if not lines:
        return pd.DataFrame(columns=columns)
    frame = pd.DataFrame(lines)
    keys = ["run", "method", "class"]
    if metric not in frame.columns:
        raise unknown_name("per-class metric", metric, set(frame.columns) - {*keys, "seed", "cell", "num_queries"})
    means = frame.pivot_table(index=keys, columns="cell", values=metric, aggfunc="mean", sort=False)
    means = means.reindex(columns=list(dict.fromkeys([cell, "old/old"]))).astype("float64")
    means["num_queries"] = frame.groupby(keys, sort=False)["num_queries"].max()
    means["change"] = means[cell] - means["old/old"]
    table = means.reset_index()[columns if cell != "old/old" else [c for c in columns if c != "old/old"] + ["old/old"]]
    table.columns.name = None
    return table.sort_values(["run", "method", cell], kind="stable", ignore_index=True)


def baseline_deltas(rows_by_run: Mapping[str, Iterable[Row]], baseline_run: str) -> pd.DataFrame:
    """Every other run's means minus the baseline run's, per data set, method, cell and metric.

    Columns: run, dataset, method, cell, metric, mean, baseline, delta (fractions), n, baseline_n. A line without a
    counterpart in the baseline (another data set, a method it did not run) has a null baseline and delta.

    Raises:
        CompatError: when ``baseline_run`` is not one of the runs.
    """
    if baseline_run not in rows_by_run:
        raise unknown_name("baseline run", baseline_run, rows_by_run)
    tables = {run: aggregate({**row, "run": run} for row in rows) for run, rows in rows_by_run.items()}
    baseline = tables.pop(baseline_run).rename(columns={"mean": "baseline", "n": "baseline_n"})
    keys = [key for key in GROUP if key != "run"]
    columns = [*GROUP, "mean", "baseline", "delta", "n", "baseline_n"]
    if not tables:
        return pd.DataFrame(columns=columns)
    others = pd.concat(tables.values(), ignore_index=True)
    table = others.merge(baseline[[*keys, "baseline", "baseline_n"]], on=keys, how="left")
    table["delta"] = table["mean"] - table["baseline"]
    table["baseline_n"] = table["baseline_n"].fillna(0).astype("int64")
    return table[columns]


def config_diff(configs: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """The settings in which runs differ: a line per dotted key (``new.train.epochs``), a column per run, as text.

    Lists are compared whole; a named thing with parameters is shown as on the command line (``fct:side=simclr``). A
    key that a run does not have shows a dash. One run, or equal ones, give an empty table.
    """
    flat = {run: _flatten(config) for run, config in configs.items()}
    keys = dict.fromkeys(key for values in flat.values() for key in values)
    lines = [{"key": key} | {run: values.get(key, MISSING) for run, values in flat.items()} for key in keys]
    differing = [line for line in lines if len({text for column, text in line.items() if column != "key"}) > 1]
    return pd.DataFrame(differing, columns=["key", *flat], dtype="str")


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value and not _is_spec(value):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = _setting_text(value)
    return flat


def _is_spec(value: Any) -> bool:
    return isinstance(value, Mapping) and {"name", "params"} <= set(value) <= {"name", "params", "alias"}


def _setting_text(value: Any) -> str:
    if _is_spec(value):
        return Spec(**value).text
    if isinstance(value, (list, tuple)):
        return ", ".join(_setting_text(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value, default=str)
