"""How well any way of scoring gallery items answers queries: exact ranks of the relevant items, by counting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from compat_core.vectors.relevance import Relevance

BLOCK_SCORES = 2**23  # scores held at a time, 32 MB
METRICS = ("mAP", "CMC@1")

Scorer = Callable[[np.ndarray], torch.Tensor]  # query positions (B,) -> scores of every gallery item (B, G)


@dataclass(frozen=True, slots=True)
class Judged:
    """Per query ``(Q,)`` float64, NaN for a query without a relevant item.

    Attributes:
        average_precision: over the full ranking.
        top_1: 1.0 where the first item is relevant, else 0.0.
    """

    average_precision: np.ndarray
    top_1: np.ndarray

    def of(self, metric: str) -> np.ndarray:
        """The column of ``mAP`` or ``CMC@1``."""
        return {"mAP": self.average_precision, "CMC@1": self.top_1}[metric]


@torch.no_grad()
def judge(scorer: Scorer, relevance: Relevance, num_gallery: int) -> Judged:
    """Rank the gallery for every query by ``scorer`` and judge the ranking. Equal scores rank in gallery order.

    Args:
        scorer: scores of all gallery items for some queries, higher is better.
        relevance: which items are relevant, and which is the query itself (it is left out of its own ranking).
        num_gallery: G.
    """
    precision = np.full(len(relevance), np.nan)
    first = np.full(len(relevance), np.nan)
    step = max(1, BLOCK_SCORES // num_gallery)
    for begin in range(0, len(relevance), step):
        queries = np.arange(begin, min(begin + step, len(relevance)))
        scores = scorer(queries).float()
        itself = torch.from_numpy(relevance.itself[queries])
        inside = torch.nonzero(itself >= 0)[:, 0]
        scores[inside, itself[inside]] = float("-inf")
        for row, query in enumerate(queries):
            items = relevance.items[relevance.start[query] : relevance.start[query + 1]]
            if len(items):
                ranks = _ranks(scores[row], torch.from_numpy(items))
                precision[query] = float(np.mean(np.arange(1, len(ranks) + 1) / ranks))
                first[query] = float(ranks[0] == 1)
    return Judged(precision, first)


def _ranks(scores: torch.Tensor, items: torch.Tensor) -> np.ndarray:
    """1-based ranks, ascending, of ``items`` among ``scores (G,)``; equal scores rank in gallery order."""
    own = scores[items]
    # One sort of the row, then two look-ups per item: how many lie above it, and how many equals stand before it.
    ordered = scores.numpy().copy()
    ordered.sort()
    values = own.numpy()
    above = len(ordered) - np.searchsorted(ordered, values, side="right")
    equal = np.searchsorted(ordered, values, side="right") - np.searchsorted(ordered, values, side="left")
    ties = np.flatnonzero(equal > 1)
    before = np.zeros(len(values), dtype=np.int64)
    for place in ties:
        before[place] = int((scores[: int(items[place])] == own[place]).sum())
    return np.sort(above + before + 1)
