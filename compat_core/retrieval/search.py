"""Exact nearest neighbours, for looking at results: which items, in which order, with which score."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from compat_core.device import pick_device
from compat_core.errors import CompatError
from compat_core.retrieval.inputs import check_embeddings, check_ids, check_pair
from compat_core.retrieval.ranking import Relevance, exclude, relate, rows_per_block
from compat_core.retrieval.scores import prepare


class Neighbours(NamedTuple):
    """The nearest gallery items of every query.

    Attributes:
        indices: (Nq, K) int64 gallery rows, nearest first; −1 where a query has fewer than K items left to find.
        scores: (Nq, K) float32, higher is closer: cosine, dot product, or minus the Euclidean distance; −inf
            where the index is −1.
    """

    indices: np.ndarray
    scores: np.ndarray


@torch.no_grad()
def top_k(
    query_emb: Any,
    gallery_emb: Any,
    k: int,
    distance: str = "cosine",
    query_ids: Any = None,
    gallery_ids: Any = None,
    block: int | None = None,
    device: str = "auto",
) -> Neighbours:
    """The K = min(k, Ng) nearest gallery items of every query, exactly; equal scores in gallery order.

    Args:
        query_emb: (Nq, D) numbers, numpy or torch.
        gallery_emb: (Ng, D) numbers, numpy or torch.
        k: how many, >= 1; more than the gallery holds means all of it.
        distance: ``cosine``, ``l2`` or ``dot``.
        query_ids, gallery_ids: identities; an item of equal id is not found by that query. Both or neither.
        block: queries scored at a time; None chooses.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

    Raises:
        CompatError: for k below 1, or inputs that cannot be compared.
    """
    if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
        raise CompatError("k", value=k, rule="must be a whole number >= 1")
    query, gallery = check_embeddings("query_emb", query_emb), check_embeddings("gallery_emb", gallery_emb)
    check_pair(query, gallery)
    ids = check_ids(query_ids, gallery_ids, len(query), len(gallery))
    source = prepare(query, gallery, distance, pick_device(device).device)
    relevance = _no_labels(len(query), len(gallery), ids)
    count, step = min(int(k), len(gallery)), rows_per_block(source, block)
    indices = np.empty((len(query), count), dtype=np.int64)
    scores = np.empty((len(query), count), dtype=np.float32)
    for begin in range(0, len(query), step):
        numbers = np.arange(begin, min(begin + step, len(query)))
        rows = torch.from_numpy(numbers).to(source.query.device)
        row_scores = source.block(rows)
        exclude(row_scores, relevance, numbers)
        best, columns = largest(row_scores, count)
        columns = columns.masked_fill(best == float("-inf"), -1)
        indices[numbers] = columns.cpu().numpy()
        scores[numbers] = source.public(best, rows).cpu().numpy()
    return Neighbours(indices, scores)


def largest(scores: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The ``count`` largest of every row, equal ones by column; ``topk`` alone leaves the order of ties open."""
    reach = min(count + 1, scores.shape[1])  # one more shows whether a tie runs past the last place
    columns = torch.topk(scores, reach, dim=1).indices.sort(dim=1).values
    best, order = torch.sort(scores.gather(1, columns) + 0.0, dim=1, descending=True, stable=True)
    columns = columns.gather(1, order)
    if reach > count:
        cut = (best[:, count - 1] == best[:, count]) & (best[:, count] > float("-inf"))
        tied = cut.nonzero().view(-1)
        if len(tied):
            whole, order = torch.sort(scores[tied] + 0.0, dim=1, descending=True, stable=True)
            best[tied, :count], columns[tied, :count] = whole[:, :count], order[:, :count]
    return best[:, :count], columns[:, :count]


def _no_labels(num_query: int, num_gallery: int, ids: tuple[np.ndarray, np.ndarray] | None) -> Relevance:
    return relate(np.zeros(num_query, dtype=np.int64), np.zeros(num_gallery, dtype=np.int64), ids)
