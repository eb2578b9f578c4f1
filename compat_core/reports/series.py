"""What figures draw, taken out of results as plain numbers: no plotting library is needed here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from compat_core.errors import CompatError, unknown_name
from compat_core.reports.frames import Results, as_list, percent_text, records
from compat_core.reports.roles import CELLS
from compat_core.reports.shares import share_over_seeds, values_by_seed

SHARED_CELLS = ("old/old", "paragon")  # the same for every method of a run, unless a method trains its own old model
MAX_CURVE_POINTS = 1000
CORRECTNESS = {True: "right at rank 1", False: "wrong at rank 1", None: "not judged"}


@dataclass(frozen=True, slots=True)
class Value:
    """One number over seeds, a fraction.

    Attributes:
        mean: mean over seeds.
        low, high: where its whisker ends: the 95 % interval for one seed, mean ∓ one standard deviation for several;
            None where neither is known.
        n: number of seeds.
        per_seed: ``seed 0: 58.4 %`` and so on, for hover texts.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    per_seed: str


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve, the mean over ``n`` seeds: ``mean`` and ``std`` (zero for one seed) have the same length.

    ``run`` names its run where there are several, else it is empty.
    """

    label: str
    cell: str
    mean: np.ndarray
    std: np.ndarray
    n: int
    shared: bool
    run: str = ""


def labels_of(results: Results | Sequence[Results], methods: Sequence[str] | None = None) -> list[tuple[Results, str]]:
    """The (results, method) pairs to draw, in the order of ``methods`` or else of appearance.

    Raises:
        CompatError: when no results have one of ``methods``.
    """
    pairs = []
    known: dict[str, None] = {}
    for one in as_list(results):
        found = dict.fromkeys(row["method"] for row in one.get("rows", ()))
        known |= found
        pairs += [(one, method) for method in (found if methods is None else methods) if method in found]
    for method in methods or ():
        if method not in known:
            raise unknown_name("method in these results", method, known)
    if not pairs:
        raise CompatError("results", rule="hold no method", fix="choose a run that has finished and a method of it")
    return pairs


def label(results: Results | Sequence[Results], one: Results, method: str) -> str:
    """What a series is called: the method, with its run in front where there are several runs."""
    return f"{one.get('run', '')} · {method}" if len(as_list(results)) > 1 else method


def _of(one: Results, method: str) -> list[Mapping[str, Any]]:
    return [row for row in one.get("rows", ()) if row["method"] == method]


def cell_value(one: Results, method: str, cell: str, metric: str, seed: int | None = None) -> Value | None:
    """One method's number in one cell, or None where it was not measured.

    A share of the gain over several seeds is the share of their mean gain, as in
    :func:`~compat_core.reports.frames.aggregate`.
    """
    found = [
        row
        for row in _of(one, method)
        if row["cell"] == cell and row["metric"] == metric
        if (seed is None or row["seed"] == seed) and row["value"] is not None and not math.isnan(row["value"])
    ]
    if not found:
        return None
    values = np.array([row["value"] for row in found], dtype=np.float64)
    mean, low, high = float(values.mean()), found[0]["ci_low"], found[0]["ci_high"]
    if pd.isna(low) or pd.isna(high):
        low = high = None
    if len(values) > 1:
        spread = float(values.std(ddof=1))
        low, high = mean - spread, mean + spread
    share = None if seed is not None else share_over_seeds(metric, values_by_seed(_of(one, method)))
    if share is not None:
        if not share.seeds:
            return None
        mean, low, high = share.mean, share.mean - share.spread, share.mean + share.spread
    texts = [f"seed {row['seed']}: {percent_text(row['value'])} %" for row in found]
    return Value(mean, low, high, len(values), ", ".join(texts))


def curves(
    results: Results | Sequence[Results],
    key: str,
    methods: Sequence[str] | None = None,
    seed: int | None = None,
    cells: Sequence[str] = CELLS,
) -> list[Curve]:
    """The curves ``key`` (``cmc`` or ``precision_at_recall``) of each method and cell, averaged over seeds.

    Status quo and ceiling are the same for all methods of a run and come once; where a method has its own (because it
    trains its own old model) it comes again under the method's name.

    Raises:
        CompatError: when no curve is left to draw.
    """
    found: list[Curve] = []
    several = len(as_list(results)) > 1
    for one, method in labels_of(results, methods):
        for cell in cells:
            lines = [
                np.asarray(curve[key], dtype=np.float64)
                for curve in one.get("curves", ())
                if curve["method"] == method and curve["cell"] == cell and (seed is None or curve["seed"] == seed)
                if curve.get(key) is not None
            ]
            if not lines:
                continue
            values = np.stack(lines)
            mean = values.mean(axis=0)
            std = values.std(axis=0, ddof=1) if len(lines) > 1 else np.zeros_like(mean)
            name, shared = label(results, one, method), False
            run = str(one.get("run", "")) if several else ""
            if cell in SHARED_CELLS:
                drawn = [old for old in found if old.shared and old.cell == cell and old.label == run]
                if drawn and np.allclose(drawn[0].mean, mean):
                    continue
                if not drawn:
                    name, shared = run, True
            found.append(Curve(name, cell, mean, std, len(lines), shared, run))
    if not found:
        raise CompatError("results", value=seed, rule=f"hold no {key} curve of these methods and this seed")
    return found


TrainingCurves = dict[tuple[int | None, str, str], tuple[list[int], list[float]]]


def losses(events: Iterable[Mapping[str, Any]]) -> TrainingCurves:
    """Losses of the events of kind ``train`` as curves: (seed, training, loss name) → steps and values."""
    return _over_steps(events, "train", "losses")


def watched(events: Iterable[Mapping[str, Any]]) -> TrainingCurves:
    """mAP of the events of kind ``watch`` as curves: (seed, training, cell) → steps and values in [0, 1]."""
    return _over_steps(events, "watch", "values")


def _over_steps(events: Iterable[Mapping[str, Any]], kind: str, field: str) -> TrainingCurves:
    """Curves of at most 1,000 points. A resumed training repeats steps: the later event counts. Null is left out."""
    series: dict[tuple[int | None, str, str], dict[int, float]] = {}
    for event in events:
        if event.get("kind") != kind:
            continue
        for name, value in event.get(field, {}).items():
            if value is not None:
                key = (event.get("seed"), str(event.get("name", "training")), name)
                series.setdefault(key, {})[int(event["step"])] = float(value)
    thinned = {}
    for key, points in series.items():
        steps = sorted(points)
        stride = -(-len(steps) // MAX_CURVE_POINTS)
        chosen = steps[::stride] if steps[-1] in steps[::stride] else [*steps[::stride][:-1], steps[-1]]
        thinned[key] = (chosen, [points[step] for step in chosen])
    return thinned


def training_title(seed: int | None, name: str) -> str:
    """What a training is called; the runner's own names already begin with the seed."""
    prefix = f"seed {seed}: "
    return name if seed is None or name.startswith(prefix) else prefix + name


def segments(frame: pd.DataFrame, start: str, end: str) -> tuple[list[float | None], list[float | None]]:
    """Lines from each item's ``start`` version to its ``end`` version, as x and y with None between two lines.

    Args:
        frame: columns ``id``, ``version``, ``x``, ``y``; an id is unique within a version.
        start, end: two versions; items that lack one of them get no line.
    """
    columns = ["id", "x", "y"]
    parts = [frame.loc[frame["version"] == version, columns] for version in (start, end)]
    both = parts[0].merge(parts[1], on="id", suffixes=("_start", "_end"))
    xs: list[float | None] = []
    ys: list[float | None] = []
    for line in records(both):
        xs += [line["x_start"], line["x_end"], None]
        ys += [line["y_start"], line["y_end"], None]
    return xs, ys


def error_bar(value: Value | None) -> dict[str, Any] | None:
    """A plotly error bar in percent; None where the value has neither interval nor spread."""
    if value is None or value.low is None or value.high is None:
        return None
    bars = {"array": [100 * (value.high - value.mean)], "arrayminus": [100 * (value.mean - value.low)]}
    return {"type": "data", "symmetric": False, **bars}


def mean_std_text(value: Value) -> str:
    """A mean with its spread where there are several seeds; an interval is the whisker's business."""
    return percent_text(value.mean, value.high - value.mean if value.n > 1 and value.high is not None else None)


def hover_text(name: str, value: Value | None, what: str) -> str:
    """Hover text: method, value with interval or spread, and each seed's own value."""
    if value is None:
        return f"{escape(name)}<br>{escape(what)}: not measured"
    numbers = f"{mean_std_text(value)} %"
    if value.n == 1 and value.low is not None and value.high is not None:
        numbers += f" (95 % interval {percent_text(value.low)}…{percent_text(value.high)})"
    parts = [escape(name), f"{escape(what)}: {numbers}", escape(value.per_seed)]
    return "<br>".join(filter(None, parts))


def template_text(text: str) -> str:
    """``text`` inside a hover template: neither HTML nor a ``%{…}`` of its own."""
    return escape(text).replace("{", "&#123;")


def by_correctness(points: pd.DataFrame, split: bool) -> list[tuple[bool | None, pd.DataFrame]]:
    """The points as they are, or split into right, wrong and not judged ones (one symbol each: WebGL needs that)."""
    if not split:
        return [(None, points)]
    hits = points["correct"].map(_hit).to_numpy(dtype=object)
    parts = [(hit, points[[one is hit for one in hits]]) for hit in CORRECTNESS]
    return [(hit, part) for hit, part in parts if len(part)]


def point_texts(points: pd.DataFrame) -> list[str]:
    """Hover texts of points: id, class, version, and whether the first hit was right."""
    return [
        f"{escape(str(line['id']))}<br>{escape(str(line['label']))}<br>"
        f"{escape(str(line['version']))}, {CORRECTNESS[_hit(line['correct'])]}"
        for line in records(points)
    ]


def _hit(value: Any) -> bool | None:
    return None if pd.isna(value) else bool(value)
