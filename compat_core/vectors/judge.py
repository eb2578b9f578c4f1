"""How well any way of scoring gallery items answers queries: exact ranks of the relevant items, by counting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from compat_core.retrieval.ranking import ranks_among
from compat_core.vectors.relevance import Relevance

BLOCK_SCORES = 2**21  # scores held at a time; larger blocks fall out of the processor's cache
METRICS = ("mAP", "CMC@1")

Scorer = Callable[[np.ndarray], torch.Tensor]  # query positions (B,) -> scores of every gallery item (B, G)


@dataclass(frozen=True, slots=True)
class Judged:
    """Per query ``(Q,)`` float64, NaN for a query without a relevant item.

    Attributes:
        average_precision: over the full ranking.
        top_1: 1.0 where the first item is relevant, else 0.0.
        first_item: ``(Q,)`` int64 gallery position of the first item, −1 for a query without a relevant item.
    """

    average_precision: np.ndarray
    top_1: np.ndarray
    first_item: np.ndarray

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
    found = np.full(len(relevance), -1, dtype=np.int64)
    # Queries in the order of their number of relevant items, so that a block needs little padding.
    order = np.argsort(relevance.counts, kind="stable")
    order = order[np.searchsorted(relevance.counts[order], 1) :]
    step = max(1, BLOCK_SCORES // num_gallery)
    for begin in range(0, len(order), step):
        queries = order[begin : begin + step]
        scores = scorer(queries).float()
        itself = torch.from_numpy(relevance.itself[queries])
        inside = torch.nonzero(itself >= 0)[:, 0]
        scores[inside, itself[inside]] = float("-inf")
        columns, own = _padded(relevance, queries)
        ranks = ranks_among(scores, torch.from_numpy(columns), torch.from_numpy(own)).numpy()
        ranks = np.sort(np.where(own, ranks, np.iinfo(np.int64).max), axis=1).astype(np.float64)
        hits = np.arange(1, columns.shape[1] + 1)
        precision[queries] = np.where(np.sort(~own, axis=1), 0.0, hits / ranks).sum(axis=1) / own.sum(axis=1)
        first[queries] = ranks[:, 0] == 1
        found[queries] = scores.numpy().argmax(axis=1)
    return Judged(precision, first, found)


def _padded(relevance: Relevance, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The relevant items of some queries ``(B, P)``, padded with the last one, and which entries are not padding."""
    start, stop = relevance.start[queries], relevance.start[queries + 1]
    reach = start[:, None] + np.arange(int((stop - start).max()))[None, :]
    own = reach < stop[:, None]
    return relevance.items[np.where(own, reach, stop[:, None] - 1)], own
