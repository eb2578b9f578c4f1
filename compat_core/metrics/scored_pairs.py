"""Every query × gallery pair with its score, block by block: what verification counts, never held at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from compat_core.device import pick_device
from compat_core.errors import CompatError
from compat_core.retrieval.inputs import check_embeddings, check_ids, check_keys, check_pair, shared_codes
from compat_core.retrieval.ranking import Relevance, exclude, is_compiled, relate, relevant_columns, rows_per_block
from compat_core.retrieval.scores import ScoreSource, prepare


@dataclass(frozen=True, slots=True)
class ScoredPairs:
    """All pairs' scores, block by block; the same blocks with the same scores every time."""

    source: ScoreSource
    relevance: Relevance
    ids: tuple[np.ndarray, np.ndarray] | None
    step: int
    compiled: bool

    def padded_blocks(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Scores (B, Ng padded) of all pairs and (B, P) of the genuine ones, −inf where there is no pair.

        They are overwritten by the next block.
        """
        device, num_queries = self.source.query.device, len(self.relevance.counts)
        room = self.source.room(min(self.step, num_queries))
        for begin in range(0, num_queries, self.step):
            queries = np.arange(begin, min(begin + self.step, num_queries))
            rows = torch.from_numpy(queries).to(device)
            scores = self.source.block(rows, room)
            exclude(scores, self.relevance, queries)
            scores = self.source.public(scores, rows).add_(0.0)  # turns −0.0 into 0.0, which is the same score
            columns, own = relevant_columns(self.relevance, queries)
            genuine = scores.gather(1, torch.from_numpy(columns).to(device))
            yield scores, genuine.masked_fill_(~torch.from_numpy(own).to(device), float("-inf"))

    def blocks(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Scores (B, Ng padded), −inf where there is no pair, and the genuine ones among them (N,)."""
        for scores, genuine in self.padded_blocks():
            yield scores, genuine[genuine > float("-inf")]


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
    pairs = ScoredPairs(source, relevance, ids, rows_per_block(source, block_rows), compiles)
    return pairs, num_genuine, num_pairs
