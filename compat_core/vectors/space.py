"""One vector space with queries and a gallery in it: what most options come down to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F


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
        query = query[torch.from_numpy(self.queries)]
        if self.distance == "cosine":
            query, gallery = F.normalize(query), F.normalize(gallery)
        return Space(query, gallery, self.distance)


@dataclass(frozen=True, slots=True)
class Space:
    """One vector space that is searched: scores every gallery item for some queries.

    Attributes:
        query: ``(Q, D)``; gallery: ``(G, D)``; both of length 1 where the distance is ``cosine``.
        distance: ``cosine``, ``l2`` or ``dot``.
    """

    query: torch.Tensor
    gallery: torch.Tensor
    distance: str

    def __call__(self, positions: np.ndarray) -> torch.Tensor:
        products = self.query[torch.from_numpy(positions)] @ self.gallery.T  # (B, D) @ (D, G) -> (B, G)
        # −½‖q − g‖² ranks as −‖q − g‖ does, and loses a term that is the same for all of a query's items.
        return products - 0.5 * self.gallery.square().sum(dim=1) if self.distance == "l2" else products

    def public(self, positions: np.ndarray) -> torch.Tensor:
        """Scores as a user sees them, ``(B, G)``: cosine, dot product, or minus the Euclidean distance."""
        query = self.query[torch.from_numpy(positions)]
        return -torch.cdist(query, self.gallery) if self.distance == "l2" else query @ self.gallery.T
