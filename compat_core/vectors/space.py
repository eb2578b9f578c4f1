"""One vector space with queries and a gallery in it: what most options come down to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from compat_core.retrieval.scores import ScoreSource, prepare


@dataclass(frozen=True, slots=True)
class Judging:
    """The held-out items that options are judged on.

    Attributes:
        old, new: ``(G, D_old)``, ``(G, D_new)`` float32 of the gallery items.
        queries: ``(Q,)`` positions of the queries among them.
        distance: ``cosine``, ``l2`` or ``dot``.
        side: ``(G, D_side)`` float32 side-information stored with the old vectors, or None.
    """

    old: torch.Tensor
    new: torch.Tensor
    queries: np.ndarray
    distance: str
    side: torch.Tensor | None = None

    def space(self, query: torch.Tensor, gallery: torch.Tensor) -> Space:
        """Scores of ``gallery (G, D)`` for rows of ``query (G, D)`` that are queries."""
        return Space(prepare(query[torch.from_numpy(self.queries)], gallery, self.distance, query.device))


@dataclass(frozen=True, slots=True)
class Space:
    """One vector space that is searched: scores every gallery item for some queries, to the bit as evaluation does."""

    source: ScoreSource

    def __call__(self, positions: np.ndarray) -> torch.Tensor:
        scores = self.source.block(torch.from_numpy(positions))  # (B, G padded)
        return scores[:, : self.source.num_gallery].contiguous()

    def public(self, positions: np.ndarray) -> torch.Tensor:
        """Scores as a user sees them, ``(B, G)``: cosine, dot product, or minus the Euclidean distance."""
        return self.source.public(self(positions), torch.from_numpy(positions))

    @property
    def query(self) -> torch.Tensor:
        """``(Q, D)``, of length 1 where the distance is ``cosine``, shifted as the gallery is under ``l2``."""
        return self.source.query

    @property
    def gallery(self) -> torch.Tensor:
        """``(G, D)``, as ``query``."""
        return self.source.gallery[: self.source.num_gallery]

    @property
    def distance(self) -> str:
        """``cosine``, ``l2`` or ``dot``."""
        return self.source.distance
