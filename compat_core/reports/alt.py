"""One sentence per figure for people who do not see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd

from compat_core.errors import unknown_name
from compat_core.reports import series
from compat_core.reports.frames import Results, percent_text
from compat_core.reports.roles import CELLS

RATE = 0.01  # the false rate at which a curve of rates is read out, as near as its points come


def alt_text(kind: str, data: Any, **options: Any) -> str:
    """One sentence that says what a figure shows, for screen readers.

    Args:
        kind: ``matrix``, ``cmc``, ``precision-recall``, ``pareto``, ``bars``, ``backfill``, ``rates``, ``subgroups``,
            ``loss`` or ``umap``.
        data: what the figure was drawn from (results, events, or the frame of points).
        options: the figure's own options: ``method``, ``metric``, ``methods``, ``seed``, ``colour_by``, ``protocol``,
            ``order``; ``curve`` is the kind of a figure of rates.

    Raises:
        CompatError: for an unknown kind, method or metric.
    """
    if kind not in _KINDS:
        raise unknown_name("figure", kind, _KINDS)
    return _KINDS[kind](data, options)


def _cells(one: Results, method: str, metric: str, seed: int | None = None) -> str:
    found = [(cell, series.cell_value(one, method, cell, metric, seed)) for cell in CELLS]
    return ", ".join(f"{cell} {percent_text(value.mean)} %" for cell, value in found if value is not None)


def _matrix(results: Results, options: dict[str, Any]) -> str:
    method, metric = options["method"], options.get("metric", "mAP")
    series.labels_of(results, [method])
    cells = _cells(results, method, metric, options.get("seed"))
    return f"Query by gallery matrix of {metric} for {method}: {cells or 'not measured'}."


def _curves(key: str, what: str, at: int, where: str) -> Callable[[Any, dict[str, Any]], str]:
    def sentence(results: Any, options: dict[str, Any]) -> str:
        drawn = series.curves(results, key, options.get("methods"), options.get("seed"))
        texts = [
            f"{' '.join(filter(None, (curve.label, curve.cell)))} {percent_text(float(curve.mean[at]))} %"
            for curve in drawn
            if len(curve.mean) > at
        ]
        return f"{what}, {len(drawn)} curves; {where}: {', '.join(texts)}."

    return sentence


def _pareto(results: Any, options: dict[str, Any]) -> str:
    metric, texts = options.get("metric", "mAP"), []
    for one, method in series.labels_of(results, options.get("methods")):
        gain = series.cell_value(one, method, "new/migrated", f"recovered_gain({metric})")
        cost = series.cell_value(one, method, "new/new", f"cost_to_new({metric})")
        name = series.label(results, one, method)
        if gain is None or cost is None:
            texts.append(f"{name} not defined")
        else:
            texts.append(f"{name} recovers {percent_text(gain.mean)} % at a cost of {percent_text(cost.mean)} points")
    return f"Cost to the new model against recovered gain in {metric}: {'; '.join(texts)}."


def _bars(results: Any, options: dict[str, Any]) -> str:
    metric = options.get("metric", "mAP")
    pairs = series.labels_of(results, options.get("methods"))
    texts = [
        f"{series.label(results, one, method)} {_cells(one, method, metric, options.get('seed'))}"
        for one, method in pairs
    ]
    return f"Bars of {metric} per method: {'; '.join(texts)}."


def _backfill(results: Results, options: dict[str, Any]) -> str:
    method, metric = options["method"], options.get("metric", "mAP")
    orders: dict[str, list[Any]] = {}
    for entry in results.get("backfill", ()):
        if (entry["method"], entry["metric"]) == (method, metric):
            orders.setdefault(entry["order"], []).append(entry)
    texts = []
    for order, entries in orders.items():
        ends = [_mean(entry["values"][place] for entry in entries) for place in (0, -1)]
        area = _mean(entry["auc"] for entry in entries)
        texts.append(f"{order} from {percent_text(ends[0])} to {percent_text(ends[1])} %, area {percent_text(area)} %")
    return f"{metric} of {method} against the share of the gallery backfilled, per ordering: {'; '.join(texts)}."


def _rates(results: Results, options: dict[str, Any]) -> str:
    method, protocol, curve = options["method"], options["protocol"], options.get("curve", "roc")
    entries = [
        entry for entry in results.get("protocols", ())
        if (entry["protocol"], entry["method"]) == (protocol, method) and entry["x"]
    ]  # fmt: skip
    texts = []
    for cell in (cell for cell in CELLS if cell in {entry["cell"] for entry in entries}):
        own = [entry for entry in entries if entry["cell"] == cell]
        place = min(range(len(own[0]["x"])), key=lambda at: abs(own[0]["x"][at] - RATE))
        rate, found = own[0]["x"][place], _mean(entry["y"][place] for entry in own)
        shown = found if curve == "roc" else 1 - found
        texts.append(f"{cell} {percent_text(shown)} % at {percent_text(rate)} %")
    what = f"{curve.upper()} of {method}, {protocol}; share {'right' if curve == 'roc' else 'missed'}"
    return f"{what} at the false rate nearest to {percent_text(RATE)} %: {', '.join(texts) or 'not measured'}."


def _subgroups(results: Results, options: dict[str, Any]) -> str:
    method, order, metric = options["method"], options.get("order", "random"), options.get("metric", "mAP")
    entries = [
        entry for entry in results.get("backfill", ())
        if (entry["method"], entry["order"], entry["metric"]) == (method, order, metric) and "subgroups" in entry
    ]  # fmt: skip
    lines = {name: [entry["subgroups"][name] for entry in entries] for name in entries[0]["subgroups"]}
    lines["gap"] = [entry["gap"] for entry in entries]
    ends = {name: [percent_text(_mean(line[at] for line in drawn)) for at in (0, -1)] for name, drawn in lines.items()}
    texts = [f"{name} from {low} to {high} {'points' if name == 'gap' else '%'}" for name, (low, high) in ends.items()]
    return f"{metric} per subgroup of {method} along the {order} backfill: {', '.join(texts)}."


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


def _loss(events: Any, options: dict[str, Any]) -> str:
    found = series.losses(events)
    texts = [
        f"{series.training_title(seed, name)} from {values[0]:.3g} to {values[-1]:.3g}"
        for (seed, name, part), (_, values) in found.items()
        if part == "total"
    ]
    return f"Training loss per optimiser step: {', '.join(texts) or 'no training steps yet'}."


def _umap(frame: pd.DataFrame, options: dict[str, Any]) -> str:
    counts = ", ".join(f"{count} {version}" for version, count in frame["version"].value_counts(sort=False).items())
    colour_by = options.get("colour_by", "version")
    return f"Two-dimensional UMAP of {len(frame)} embeddings ({counts}), coloured by {colour_by}."


_KINDS: dict[str, Callable[[Any, dict[str, Any]], str]] = {
    "matrix": _matrix,
    "cmc": _curves("cmc", "CMC at k from 1 to 50", 0, "at k = 1"),
    "precision-recall": _curves("precision_at_recall", "Precision against recall", 50, "precision at 50 % recall"),
    "pareto": _pareto,
    "bars": _bars,
    "backfill": _backfill,
    "rates": _rates,
    "subgroups": _subgroups,
    "loss": _loss,
    "umap": _umap,
}
