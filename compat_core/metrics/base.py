"""A metric is data: what it is called, what it means, its range and direction, and how to read it off scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from compat_core.errors import CompatError
from compat_core.metrics.scores import RetrievalScores
from compat_core.retrieval.ranking import RankBlock


@dataclass(frozen=True, slots=True)
class Metric:
    """One named number over a set of queries, the mean of a number per query.

    Attributes:
        name: how tables, files and the command line call it.
        title: how people call it, in full.
        low, high: its range; ``high`` is reached by a perfect ranking of a gallery that allows it.
        direction: +1: higher is better. Gains, verdicts and costs are differences of metrics and rest on it.
        formula: the definition, in plain characters.
        help: one or two sentences for someone who meets it for the first time.
        synonyms: other names it goes by; understood by ``resolve``.
        version: raised when the definition changes, so that numbers of different versions are not compared.
        reference: where the definition comes from.
        from_scores: scores -> (Nq,) float64 over *all* queries, NaN where a query was skipped; for a metric that can be
            read off what every evaluation counts.
        from_ranks: ranks of a block of B queries -> (B,) float64 on their device; for any other metric.
        chance: (n,) relevant items R and (n,) ranked items N of queries -> (n,) the value to expect of a random order;
            None where nobody worked it out; those of CMC, mAP and precision come from one place, ``chance_levels``.

    Raises:
        ValueError: for a direction that is not +1, or not exactly one of ``from_scores`` and ``from_ranks``.
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
    from_scores: Callable[[RetrievalScores], np.ndarray] | None = None
    from_ranks: Callable[[RankBlock], torch.Tensor] | None = None
    chance: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None

    def __post_init__(self) -> None:
        if self.direction != 1:
            raise ValueError(f"metric {self.name}: higher must be better; turn it round, as 1 − share or −distance")
        if (self.from_scores is None) == (self.from_ranks is None):
            raise ValueError(f"metric {self.name}: give one of from_scores and from_ranks")

    def per_query(self, scores: RetrievalScores) -> np.ndarray:
        """(Nq,) float64 over all queries, NaN exactly where one was skipped.

        Raises:
            CompatError: when that is not what the metric's own function gives.
        """
        found = self.from_scores(scores) if self.from_scores else scores.per_query.others[self.name]
        valid = scores.per_query.valid
        if not isinstance(found, np.ndarray) or found.shape != valid.shape or found.dtype.kind != "f":
            given = (found.shape, str(found.dtype)) if isinstance(found, np.ndarray) else type(found).__name__
            raise CompatError(
                f"metric {self.name}", value=given, rule=f"must give ({len(valid)},) floats, one per query"
            )
        if (np.isnan(found) == valid).any():
            raise CompatError(f"metric {self.name}", rule="must give NaN for skipped queries, and for no others")
        slack = 1e-9 * max(1.0, abs(self.high))
        if not ((found[valid] >= self.low - slack) & (found[valid] <= self.high + slack)).all():
            value = (float(found[valid].min()), float(found[valid].max()))
            raise CompatError(f"metric {self.name}", value=value, rule=f"must lie in {self.low:g} … {self.high:g}")
        return found

    def value(self, scores: RetrievalScores) -> float:
        """The metric: the mean over the queries that were not skipped, in [low, high]."""
        return float(self.per_query(scores)[scores.per_query.valid].mean())
