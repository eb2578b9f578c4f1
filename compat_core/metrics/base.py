"""A metric is data: what it is called, what it means, its range and direction, and how to read it off scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from compat_core.metrics.scores import RetrievalScores


@dataclass(frozen=True, slots=True)
class Metric:
    """One named number over a set of queries, the mean of a number per query.

    Attributes:
        name: how tables, files and the command line call it.
        title: how people call it, in full.
        low, high: its range; ``high`` is reached by a perfect ranking of a gallery that allows it.
        direction: +1 where higher is better, −1 where lower is.
        formula: the definition, in plain characters.
        help: one or two sentences for someone who meets it for the first time.
        synonyms: other names it goes by; understood by ``resolve``.
        version: raised when the definition changes, so that numbers of different versions are not compared.
        reference: where the definition comes from.
        per_query: scores -> (Nq,) float64 over *all* queries, NaN where a query was skipped.
    """

    name: str
    title: str
    low: float
    high: float
    direction: int
    formula: str
    help: str
    synonyms: tuple[str, ...]
    version: int
    reference: str
    per_query: Callable[[RetrievalScores], np.ndarray]

    def value(self, scores: RetrievalScores) -> float:
        """The metric: the mean over the queries that were not skipped, in [low, high]."""
        return float(self.per_query(scores)[scores.per_query.valid].mean())
