"""Which gallery items answer a query: from labels, from relevance judgements, or, weaker, from the new model itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from compat_core.errors import CompatError
from compat_core.retrieval.search import top_k

NEIGHBOURS = 10


@dataclass(frozen=True, slots=True)
class Relevance:
    """The relevant gallery items of Q queries over G gallery items, as rows of a sparse matrix.

    Attributes:
        start: ``(Q + 1,)`` int64; the relevant items of query q are ``items[start[q] : start[q + 1]]``.
        items: ``(R,)`` int64 positions in the gallery.
        itself: ``(Q,)`` int64 position of the query's own item in the gallery, −1 where it is not there.
        source: where the truth comes from, for people.
        independent: False where it comes from the new model, so that it cannot say whether that model is better.
    """

    start: np.ndarray
    items: np.ndarray
    itself: np.ndarray
    source: str
    independent: bool

    def __len__(self) -> int:
        return len(self.itself)

    @property
    def counts(self) -> np.ndarray:
        """``(Q,)`` relevant items per query."""
        return np.diff(self.start)


class NothingRelevant(CompatError):
    """No query has a relevant item."""


def _relevance(lists: list[np.ndarray], itself: np.ndarray, source: str, independent: bool) -> Relevance:
    start = np.concatenate([[0], np.cumsum([len(part) for part in lists])]).astype(np.int64)
    items = np.concatenate(lists).astype(np.int64) if lists else np.empty(0, dtype=np.int64)
    if not len(items):
        rule = f"no query has a relevant item ({source})"
        raise NothingRelevant("relevance", rule=rule, fix="check labels or judgements")
    return Relevance(start, items, itself, source, independent)


def from_labels(query_labels: np.ndarray, gallery_labels: np.ndarray, itself: np.ndarray) -> Relevance:
    """Items of the query's own label are relevant, itself excepted.

    Args:
        query_labels: ``(Q,)``; gallery_labels: ``(G,)``, whole numbers or texts.
        itself: ``(Q,)`` the query's own position in the gallery, −1 where it is not there.
    """
    order = np.argsort(gallery_labels, kind="stable")
    ordered = gallery_labels[order]
    low, high = (np.searchsorted(ordered, query_labels, side=side) for side in ("left", "right"))
    lists = [
        part[part != own]
        for own, part in zip(itself, (order[a:b] for a, b in zip(low, high, strict=True)), strict=True)
    ]
    return _relevance(lists, itself, "labels", True)


def from_judgements(
    judged: Mapping[str, Mapping[str, float]], query_ids: np.ndarray, gallery_ids: np.ndarray, itself: np.ndarray
) -> Relevance:
    """Items judged relevant (above 0) for a query, as in a TREC qrels file; items that nobody judged are not relevant.

    Args:
        judged: query id -> item id -> relevance.
        query_ids: ``(Q,)``; gallery_ids: ``(G,)`` texts.
        itself: as in :func:`from_labels`.
    """
    place = {str(name): position for position, name in enumerate(gallery_ids)}
    lists = []
    for name, own in zip(query_ids, itself, strict=True):
        wanted = [place[item] for item, value in judged.get(str(name), {}).items() if value > 0 and item in place]
        lists.append(np.array([item for item in wanted if item != own], dtype=np.int64))
    return _relevance(lists, itself, "relevance judgements", True)


def from_new_model(
    query_new: torch.Tensor, gallery_new: torch.Tensor, itself: np.ndarray, distance: str, count: int = NEIGHBOURS
) -> Relevance:
    """The new model's own nearest neighbours: says how well an option imitates the new model, not whether it is right.

    Args:
        query_new: ``(Q, D)``; gallery_new: ``(G, D)``, both of the new model.
        itself: as in :func:`from_labels`.
        count: neighbours taken as relevant.
    """
    ids = np.arange(len(gallery_new)).astype(str)
    own = np.array([ids[place] if place >= 0 else f"query {row}" for row, place in enumerate(itself)])
    found = top_k(query_new, gallery_new, count, distance, own, ids)
    lists = [row[row >= 0] for row in found.indices]
    return _relevance(lists, itself, f"the new model's own {count} nearest neighbours: a weaker truth", False)
