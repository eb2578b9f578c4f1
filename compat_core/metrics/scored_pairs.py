"""Every query × gallery pair with its score, block by block: what verification counts, never held at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

from compat_core.device import pick_device
from compat_core.errors import CompatError
from compat_core.retrieval.inputs import check_embeddings, check_ids, check_keys, check_pair, shared_codes
from compat_core.retrieval.ranking import Relevance, each_block, exclude, is_compiled, relate, relevant_columns
from compat_core.retrieval.scores import ScoreSource, prepare

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """All pairs' scores, block by block; the same scores every time."""

    source: ScoreSource
    relevance: Relevance
    ids: tuple[np.ndarray, np.ndarray] | None
    block_rows: int | None
    compiled: bool

    def of_padded_blocks(self, work: Callable[[torch.Tensor, torch.Tensor], Result]) -> Iterator[Result]:
        """``work`` of every block: scores (B, Ng padded) of all its pairs and (B, P) of the genuine ones.

        Both hold −inf where there is no pair. The scores are overwritten once ``work`` is done; several blocks may be
        worked on at a time.
        """
        device = self.source.query.device

        def scored(queries: np.ndarray, room: torch.Tensor) -> Result:
            rows = torch.from_numpy(queries).to(device)
            scores = self.source.block(rows, room)
            exclude(scores, self.relevance, queries)
            scores = self.source.public(scores, rows).add_(0.0)  # turns −0.0 into 0.0, which is the same score
            columns, own = relevant_columns(self.relevance, queries)
            genuine = scores.gather(1, torch.from_numpy(columns).to(device))
            return work(scores, genuine.masked_fill_(~torch.from_numpy(own).to(device), float("-inf")))

        every = np.arange(len(self.relevance.counts))
        return each_block(self.source, self.relevance, every, scored, self.compiled, self.block_rows)

    def of_blocks(self, work: Callable[[torch.Tensor, torch.Tensor], Result]) -> Iterator[Result]:
        """The same with the genuine scores as a list (N,) of those that there are."""
        return self.of_padded_blocks(lambda scores, genuine: work(scores, genuine[genuine > float("-inf")]))


def all_pairs(
    query_emb: Any,
    query_labels: Any,
    gallery_emb: Any,
    gallery_labels: Any,
    query_ids: Any,
    gallery_ids: Any,
    distance: str,
    device: str,
    block_rows: int | None,
) -> tuple[ScoredPairs, int, int]:
    """The checked pairs, how many of them are genuine, and how many there are."""
    query, gallery = check_embeddings("query_emb", query_emb), check_embeddings("gallery_emb", gallery_emb)
    check_pair(query, gallery)
    labels = shared_codes(
        "labels",
        check_keys("query_labels", query_labels, len(query), "query_emb"),
        check_keys("gallery_labels", gallery_labels, len(gallery), "gallery_emb"),
    )
    ids = check_ids(query_ids, gallery_ids, len(query), len(gallery))
    relevance = relate(*labels, ids)
    num_genuine, num_pairs = int(relevance.counts.sum()), int(relevance.candidates.sum())
    if num_genuine in (0, num_pairs):
        kind, both = ("genuine", "equal") if not num_genuine else ("impostor", "different")
        raise CompatError(
            "verification",
            rule=f"none of {num_pairs} pairs is {kind} (of {both} label)",
            fix="check that both label files belong together and hold at least two classes",
        )
    source = prepare(query, gallery, distance, pick_device(device).device)
    compiles = is_compiled(source.query.device, len(query) * len(gallery))
    return ScoredPairs(source, relevance, ids, block_rows, compiles), num_genuine, num_pairs
