"""What an option does to a deployed system beside the metric: thresholds, approximate indexes, latency of the map."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
import torch

from compat_core.adapters import VectorMap
from compat_core.errors import CompatError
from compat_core.metrics.operating_points import allowed
from compat_core.retrieval.index import KINDS, build_index, recall
from compat_core.vectors.options import STATUS_QUO, Option
from compat_core.vectors.relevance import Relevance
from compat_core.vectors.space import Space

FALSE_ACCEPTS = 1e-3  # of the status quo's threshold where none is given
LATENCY_ROUNDS = 300
RECALLED, TIMED_QUERIES = 10, 50
FEWEST_ACCEPTED = 10  # wrong pairs below which an operating point cannot be resolved


@dataclass(frozen=True, slots=True)
class ThresholdShift:
    """One option under the threshold that the old system uses.

    Attributes:
        option: its name.
        threshold: the deployed score; pairs at or above it are accepted.
        false_accepts, true_accepts: shares of wrong and of right pairs that it accepts under this option.
        recalibrated: the score with the status quo's share of false accepts under this option.
        true_accepts_recalibrated: share of right pairs accepted there.
    """

    option: str
    threshold: float
    false_accepts: float
    true_accepts: float
    recalibrated: float
    true_accepts_recalibrated: float


@dataclass(frozen=True, slots=True)
class MapLatency:
    """Milliseconds to map one vector on this CPU: half of the calls are faster than p50, 1 % are slower than p99."""

    option: str
    p50_ms: float
    p99_ms: float
    rows_per_s: float


def check_threshold(threshold: float, distance: str) -> None:
    """Raise CompatError for a score that no pair can have under ``distance``: it would accept all of them, or none."""
    low, high, scores = {
        "cosine": (-1.0, 1.0, "cosines, from -1 to 1"),
        "l2": (-math.inf, 0.0, "minus the Euclidean distance, at most 0"),
        "dot": (-math.inf, math.inf, "dot products"),
    }[distance]
    if not (low <= threshold <= high and math.isfinite(threshold)):
        rule = f"must be a finite score that a pair can have: under {distance} scores are {scores}"
        raise CompatError("--threshold", value=threshold, rule=rule)


def threshold_shifts(
    options: list[Option], relevance: Relevance, threshold: float | None = None
) -> list[ThresholdShift]:
    """How the deployed threshold behaves under every option that scores in one space; status quo first.

    Args:
        options: judged options, the status quo among them.
        relevance: right pairs; all other pairs of a query and a gallery item are wrong.
        threshold: the deployed score; None: the status quo's at one false accept per thousand wrong pairs.

    Returns:
        nothing when there are too few wrong pairs to resolve that operating point.
    """
    base = next(option for option in options if option.name == STATUS_QUO)
    right, wrong = _pair_scores(base, relevance)
    if len(wrong) * FALSE_ACCEPTS < FEWEST_ACCEPTED:
        return []
    deployed = threshold if threshold is not None else _cut(wrong, allowed(FALSE_ACCEPTS, len(wrong)))
    accepted = int((wrong >= deployed).sum())
    found = []
    for option in options:
        if not isinstance(option.scorer, Space):
            continue
        right, wrong = _pair_scores(option, relevance)
        moved = _cut(wrong, accepted)
        found.append(
            ThresholdShift(
                option.name, deployed, float((wrong >= deployed).mean()), float((right >= deployed).mean()), moved,
                float((right >= moved).mean()),
            )
        )  # fmt: skip
    return found


def _cut(scores: np.ndarray, count: int) -> float:
    """The smallest score at or above which at most ``count`` of the scores lie."""
    if count >= len(scores):
        return float(scores.min())
    ordered = np.partition(scores, len(scores) - count - 1)[len(scores) - count - 1 :]
    # Just above the first score that would be one too many.
    return float(np.nextafter(ordered.min(), np.float32(np.inf), dtype=np.float32))


def _pair_scores(option: Option, relevance: Relevance) -> tuple[np.ndarray, np.ndarray]:
    """Public scores of right and wrong pairs: cosine, dot product, or minus the Euclidean distance."""
    space = option.scorer
    if not isinstance(space, Space):
        raise ValueError(f"{option.name} does not score in one space")
    queries = np.arange(len(relevance))
    scores = space.public(queries)
    kind = np.zeros(scores.shape, dtype=np.int8)
    rows = np.repeat(queries, relevance.counts)
    kind[rows, relevance.items] = 1
    inside = np.flatnonzero(relevance.itself >= 0)
    kind[inside, relevance.itself[inside]] = 2
    values = scores.numpy()
    return values[kind == 1], values[kind == 0]


def map_latency(
    option: str, fitted: VectorMap, rows: torch.Tensor, side: torch.Tensor | None = None, rounds: int = LATENCY_ROUNDS
) -> MapLatency:
    """Time the map on single vectors, one after the other, and on all of them at once.

    Args:
        option: a name for the table.
        fitted: the map.
        rows: ``(N, D)`` to take vectors from.
        side: their side-information, for a map that wants it: at least N rows.
        rounds: single vectors timed, after a few to warm up.
    """
    times = []
    beside = side[: len(rows)] if side is not None and fitted.side_dim else None
    with torch.inference_mode():
        for turn in range(rounds + 10):
            at = slice(turn % len(rows), turn % len(rows) + 1)
            row, more = rows[at], None if beside is None else beside[at]
            started = time.perf_counter()
            fitted(row, more)
            times.append(time.perf_counter() - started)
        started = time.perf_counter()
        fitted(rows, beside)
        whole = time.perf_counter() - started
    half, slow = np.quantile(times[10:], [0.5, 0.99]) * 1000
    return MapLatency(option, float(half), float(slow), len(rows) / max(whole, 1e-9))


@dataclass(frozen=True, slots=True)
class IndexEffect:
    """One option behind one kind of index.

    Attributes:
        option, index: their names.
        recall: share of the exact search's ten nearest items that it finds.
        top_1: share of queries whose first item is relevant, through this index.
        top_1_exact: the same through the exact search.
        ms: time of one query, searched one at a time, median.
    """

    option: str
    index: str
    recall: float
    top_1: float
    top_1_exact: float
    ms: float


def index_effects(options: list[Option], relevance: Relevance, seed: int = 0) -> tuple[list[IndexEffect], list[str]]:
    """Every option behind HNSW and IVF-PQ, and the reasons where one could not be built.

    The query itself is left out of what is found, as everywhere.

    Args:
        options: judged options; those that do not score in one space are passed over.
        relevance: of the same queries and items.
        seed: of the indexes.
    """
    found, reasons = [], []
    for option in options:
        space = option.scorer
        if not isinstance(space, Space):
            continue
        exact_items = exact_first = None
        for kind in KINDS:
            try:
                index = build_index(kind, space.gallery, space.distance, seed=seed)
            except CompatError as error:
                reasons.append(str(error))
                continue
            items = _without(index.search(space.query, RECALLED + 1).indices, relevance.itself, RECALLED)
            right = _first_right(items, relevance)
            if exact_items is None or exact_first is None:
                exact_items, exact_first = items, right
            times = []
            for row in space.query[:TIMED_QUERIES]:
                started = time.perf_counter()
                index.search(row[None], RECALLED)
                times.append(time.perf_counter() - started)
            found.append(
                IndexEffect(
                    option.name, kind, recall(items, exact_items), float(right.mean()), float(exact_first.mean()),
                    1000 * float(np.median(times)),
                )
            )  # fmt: skip
    return found, list(dict.fromkeys(reasons))


def _without(items: np.ndarray, itself: np.ndarray, count: int) -> np.ndarray:
    """The first ``count`` of every row's items that are not the query itself: ``(Q, count + 1)`` → ``(Q, count)``."""
    order = np.argsort(items == itself[:, None], axis=1, kind="stable")
    return np.take_along_axis(items, order, axis=1)[:, :count]


def _first_right(items: np.ndarray, relevance: Relevance) -> np.ndarray:
    """Whether the first item is relevant, for the queries that have one: ``(valid,)`` float64."""
    valid = np.flatnonzero(relevance.counts > 0)
    return np.array(
        [items[q, 0] in relevance.items[relevance.start[q] : relevance.start[q + 1]] for q in valid], dtype=np.float64
    )
