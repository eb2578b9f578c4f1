"""One query image against every gallery of a finished run: the ranked lists that the Search page shows."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from compat_core.data.decode import decode_upload
from compat_core.experiments.artefacts import Artefacts, Gallery
from compat_core.experiments.run import Run
from compat_core.methods import Upgrade, match_dim
from compat_core.models import load_module
from compat_core.retrieval.index import ExactIndex, SearchIndex, build_index, recall
from compat_core.retrieval.mixed import backfilled_mask, mixed_gallery
from compat_core.retrieval.search import Neighbours
from compat_core.training.embedding import embed

REPEATS = 5
TIMING_BUDGET_S = 0.05  # per list; four lists are timed before any is shown
LISTS = ("old/old", "naive swap", "method", "new/new")


@dataclass(frozen=True, slots=True)
class RankedList:
    """The nearest gallery items of one query.

    Attributes:
        name: one of LISTS.
        rows: ``(K,)`` gallery rows, nearest first.
        scores: ``(K,)`` float32, higher is closer.
        versions: per hit ``old``, ``migrated`` or ``new``: what the gallery holds in that row.
        seconds: median time of embedding the query and searching, over up to REPEATS searches after a warm-up, fewer
            once TIMING_BUDGET_S are spent, at least one.
    """

    name: str
    rows: np.ndarray
    scores: np.ndarray
    versions: tuple[str, ...]
    seconds: float

    def first(self, k: int) -> RankedList:
        """Its ``k`` nearest hits; the time stays that of the whole search."""
        return replace(self, rows=self.rows[:k], scores=self.scores[:k], versions=self.versions[:k])


class QuerySession:
    """The models and vectors of one run, seed and method, ready to answer queries.

    Args:
        run: a finished run.
        seed, label: which of its models.

    Raises:
        CompatError: when the run has no such models (yet), or was deleted.
    """

    def __init__(self, run: Run, seed: int, label: str) -> None:
        self.files, self.seed, self.label = Artefacts(run.path), seed, label
        self.distance = run.config.distance
        self.upgrade: Upgrade = self.files.finished_upgrade(seed, label)
        self.gallery: Gallery = self.files.gallery()
        self.old = np.asarray(self.files.embedding(seed, "old", "old"))
        self.naive_new = np.asarray(self.files.embedding(seed, "paragon", "new"))
        self.gallery_old = np.asarray(self.files.embedding(seed, label, "gallery_old"))
        self.gallery_new = np.asarray(self.files.embedding(seed, label, "gallery_new"))
        self.paragon = load_module(self.files.model_dir(seed, "paragon"))
        dim = max(self.old.shape[1], self.naive_new.shape[1])
        self.shared_dim = dim
        self._fixed: dict[str, SearchIndex] = {
            "old/old": ExactIndex(self.old, self.distance),
            "naive swap": ExactIndex(match_dim(torch.tensor(self.old), dim), self.distance),
            "new/new": ExactIndex(self.gallery_new, self.distance),
        }
        self._mixed = ExactIndex(np.array(self.gallery_old), self.distance)
        self._mask = np.zeros(len(self.old), dtype=bool)
        self._approximate: dict[tuple[str, float], SearchIndex] = {}
        self._lock = threading.Lock()  # visitors share a session, and each may set another share
        blank = np.zeros((self.gallery.channels, self.gallery.image_size, self.gallery.image_size), dtype=np.uint8)
        self.search(blank, 1, 0.0)  # the first pass through a network sets it up: not part of anybody's latency

    def decode(self, data: bytes, name: str) -> np.ndarray:
        """An uploaded file as the models see it, ``(C, S, S)`` uint8. Raises CompatError for what is no image."""
        return decode_upload(data, name, self.gallery.image_size, self.gallery.channels)

    def mixed_index(self, share: float, kind: str = "exact") -> SearchIndex:
        """The method's gallery with ``share`` of it backfilled; from one share to the next only changed rows move.

        Raises:
            CompatError: for an approximate ``kind`` that cannot be built over this gallery.
        """
        mask = backfilled_mask(len(self.old), share)
        if kind == "exact":
            for changed, rows in ((mask & ~self._mask, self.gallery_new), (self._mask & ~mask, self.gallery_old)):
                places = np.flatnonzero(changed)
                if len(places):
                    self._mixed.replace(places, rows[places])
            self._mask = mask
            return self._mixed
        if (kind, share) not in self._approximate:
            self._approximate.clear()  # one at a time: a graph is larger than its gallery
            gallery = mixed_gallery(self.gallery_old, self.gallery_new, mask)
            self._approximate[kind, share] = build_index(kind, gallery, self.distance)
        return self._approximate[kind, share]

    @torch.no_grad()
    def recall(self, share: float, kind: str, k: int, queries: int = 200) -> float:
        """Measured recall@k of an approximate index over the mixed gallery; gallery items are the queries."""
        rows = np.random.default_rng(0).permutation(len(self.old))[:queries]
        emb = np.array(self.files.embedding(self.seed, self.label, "query")[np.sort(rows)])
        with self._lock:
            exact = self.mixed_index(share).search(emb, k).indices
            return recall(self.mixed_index(share, kind).search(emb, k).indices, exact)

    def search(
        self, image: np.ndarray, k: int, share: float, exclude: int | None = None, index: str = "exact"
    ) -> dict[str, RankedList]:
        """Search every gallery with one image.

        Args:
            image: ``(C, S, S)`` uint8.
            k: hits per list.
            share: share of the gallery that is backfilled, for the method's list.
            exclude: a gallery row that is the query itself and is left out everywhere; None for an upload.
            index: how the method's list is searched: ``exact``, ``hnsw`` or ``ivf-pq``.

        Returns:
            list name -> its hits: ``old/old``; ``naive swap``, the unconstrained new model against the old vectors;
            ``method`` over the mixed gallery; ``new/new``, the method's new model against its full backfill.
        """
        mask = backfilled_mask(len(self.old), share)
        untouched = "migrated" if self.upgrade.maps_old else "old"
        upgrade, fixed = self.upgrade, self._fixed
        with self._lock:
            asked = {
                "old/old": (upgrade.old, _unchanged, fixed["old/old"], ("old", "old")),
                "naive swap": (self.paragon, self._padded, fixed["naive swap"], ("old", "old")),
                "method": (upgrade.new, upgrade.query, self.mixed_index(share, index), (untouched, "new")),
                "new/new": (upgrade.new, upgrade.query, fixed["new/new"], ("new", "new")),
            }
            return {name: self._list(name, *how, mask, image, k, exclude) for name, how in asked.items()}

    def _padded(self, emb: torch.Tensor) -> torch.Tensor:
        return match_dim(emb, self.shared_dim)

    def stored_image(self, row: int) -> np.ndarray:
        """A gallery item's picture as the models see it, ``(C, S, S)`` uint8 (from its thumbnail)."""
        pixels = np.asarray(self.gallery.images[row]).transpose(2, 0, 1)
        if pixels.shape[1] == self.gallery.image_size:
            return pixels
        size = (self.gallery.image_size, self.gallery.image_size)
        larger = torch.nn.functional.interpolate(torch.tensor(pixels[None]).float(), size, mode="bilinear")
        return larger[0].round().byte().numpy()

    @torch.no_grad()
    def _list(
        self,
        name: str,
        model: torch.nn.Module,
        into_space: Callable[[torch.Tensor], torch.Tensor],
        index: SearchIndex,
        versions: tuple[str, str],
        backfilled: np.ndarray,
        image: np.ndarray,
        k: int,
        exclude: int | None,
    ) -> RankedList:
        wanted = min(k + (exclude is not None), len(self.old))
        batch = torch.tensor(np.array(image))[None]

        def searched() -> Neighbours:
            return index.search(into_space(embed(model, batch, torch.device("cpu"))).numpy(), wanted)

        searched()  # the first may load, compile or fetch a hundred times as much as a search takes: not its latency
        taken: list[float] = []
        while len(taken) < REPEATS and sum(taken) < TIMING_BUDGET_S:  # a slow search is not made slower to time it well
            started = time.perf_counter()
            found = searched()
            taken.append(time.perf_counter() - started)
        keep = (found.indices[0] != (-1 if exclude is None else exclude)) & (found.indices[0] >= 0)
        hits, scores = found.indices[0][keep][:k], found.scores[0][keep][:k]
        badges = tuple(versions[int(backfilled[row])] for row in hits)  # what made the row, by whether it is backfilled
        return RankedList(name, hits, scores, badges, statistics.median(taken))


def _unchanged(emb: torch.Tensor) -> torch.Tensor:
    return emb
