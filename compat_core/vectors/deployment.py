"""What an option does to a deployed system beside the metric: score thresholds and the latency of the mapping alone."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch

from compat_core.adapters import VectorMap
from compat_core.vectors.options import STATUS_QUO, Option
from compat_core.vectors.relevance import Relevance
from compat_core.vectors.space import Space

FALSE_ACCEPTS = 1e-3  # of the status quo's threshold where none is given
LATENCY_ROUNDS = 300
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
    deployed = threshold if threshold is not None else _cut(wrong, FALSE_ACCEPTS)
    accepted = float((wrong >= deployed).mean())
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


def _cut(scores: np.ndarray, share: float) -> float:
    """The smallest score at or above which at most ``share`` of the scores lie."""
    count = int(np.floor(share * len(scores)))
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


def map_latency(option: str, fitted: VectorMap, rows: torch.Tensor, rounds: int = LATENCY_ROUNDS) -> MapLatency:
    """Time the map on single vectors, one after the other, and on all of them at once.

    Args:
        option: a name for the table.
        fitted: a map without side-information.
        rows: ``(N, D)`` to take vectors from.
        rounds: single vectors timed, after a few to warm up.
    """
    times = []
    with torch.inference_mode():
        for turn in range(rounds + 10):
            row = rows[turn % len(rows)][None]
            started = time.perf_counter()
            fitted(row)
            times.append(time.perf_counter() - started)
        started = time.perf_counter()
        fitted(rows)
        whole = time.perf_counter() - started
    half, slow = np.quantile(times[10:], [0.5, 0.99]) * 1000
    return MapLatency(option, float(half), float(slow), len(rows) / max(whole, 1e-9))
