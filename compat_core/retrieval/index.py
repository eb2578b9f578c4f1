"""Search indexes over a fixed gallery: exact, prepared once, and the approximate ones of faiss with their recall.

faiss is optional and imported where an approximate index is built.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from compat_core.config import check_ranges, param
from compat_core.device import pick_device
from compat_core.errors import CompatError, unknown_name
from compat_core.retrieval.inputs import check_embeddings, check_pair
from compat_core.retrieval.row_products import products
from compat_core.retrieval.scores import ScoreSource, prepare
from compat_core.retrieval.search import Neighbours, largest

KINDS = ("exact", "hnsw", "ivf-pq")
SUMMARIES = {
    "exact": "every row is compared",
    "hnsw": "a graph of near rows is walked (faiss HNSW)",
    "ivf-pq": "rows in the nearest cells are compared by a compressed code (faiss IVF-PQ)",
}
FEW_QUERIES = 4  # up to which a pass over the rows per query is faster than a block
ROUNDING = 6e-8  # of one float32 operation
FEWEST_PER_CODE = 39  # training rows per centroid below which faiss itself complains


@dataclass(frozen=True, slots=True)
class IndexConfig:
    """Parameters of the approximate indexes; those of the other kind are not looked at."""

    links: int = param(32, "links per row of the HNSW graph (M)", low=4, high=128)
    ef_build: int = param(80, "candidates while the graph is built (efConstruction)", low=8, high=1000)
    ef_search: int = param(64, "candidates while it is searched (efSearch)", low=1, high=10_000)
    cells: int = param(0, "IVF cells; 0 = about four times the root of the number of rows", low=0, high=1_000_000)
    probes: int = param(16, "cells searched per query (nprobe)", low=1, high=100_000)
    bytes_per_row: int = param(16, "bytes of a row's code; lowered to a divisor of the dimension", low=1, high=128)

    def __post_init__(self) -> None:
        check_ranges(self, "index")


class SearchIndex(Protocol):
    """A gallery that can be searched."""

    kind: str

    def search(self, query_emb: Any, k: int) -> Neighbours:
        """The ``k`` nearest rows of every query: ``(Nq, K)``; −1 and −inf where fewer are found."""


class ExactIndex:
    """Exact nearest neighbours; the gallery is checked, normalised and padded once.

    Args:
        gallery_emb: ``(Ng, D)``.
        distance: ``cosine``, ``l2`` or ``dot``.
    """

    kind = "exact"

    def __init__(self, gallery_emb: Any, distance: str = "cosine") -> None:
        gallery = check_embeddings("gallery_emb", gallery_emb)
        self._source = prepare(gallery[:1], gallery, distance, pick_device("cpu").device)
        # l2 moves queries and gallery together; where to is known only while both are at hand
        self._shift = gallery[0] - self._source.query[0] if distance == "l2" else None
        self._longest = float(self._source.gallery.norm(dim=1).max())

    def __len__(self) -> int:
        return self._source.num_gallery

    @torch.no_grad()
    def search(self, query_emb: Any, k: int) -> Neighbours:
        """Equal scores in gallery order. Raises CompatError for queries of another dimension."""
        query = check_embeddings("query_emb", query_emb)
        check_pair(query, self._source.gallery)
        source = self._source
        if source.distance == "cosine":
            query = prepare(query, query[:1], "cosine", query.device).query
        elif self._shift is not None:
            query = query - self._shift
        source = ScoreSource(query, source.gallery, source.offset, source.num_gallery, source.distance)
        count = min(k, source.num_gallery)
        if len(query) <= FEW_QUERIES:
            parts = [self._near(source, row, count) for row in range(len(query))]
            scores, columns = (torch.cat(part) for part in zip(*parts, strict=True))
        else:
            scores, columns = largest(source.block(torch.arange(len(query))), count)
        columns = columns.masked_fill(scores == float("-inf"), -1)
        return Neighbours(columns.numpy(), source.public(scores, torch.arange(len(query))).numpy())

    def _near(self, source: ScoreSource, row: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The ``count`` best scores and columns of one query, ``(1, count)`` each.

        One pass finds every row that could be among them, rounding allowed for; those few are scored row by row, in
        one order of summing, so that equal rows score equal bit for bit.
        """
        query = source.query[row]
        rough = products(source.gallery.numpy()[: source.num_gallery], query.numpy())
        if source.offset is not None:
            rough += source.offset.numpy()[: source.num_gallery]
        last = np.partition(rough, len(rough) - count)[len(rough) - count]
        slack = 2 * ROUNDING * len(query) * float(query.norm()) * self._longest
        if source.offset is not None:
            slack += 2 * ROUNDING * self._longest**2
        able = torch.from_numpy(np.flatnonzero(rough >= last - slack))
        exact = (source.gallery[able].double() * query).sum(dim=1)
        if source.offset is not None:
            exact += source.offset[able]
        exact = exact.float()
        scores, places = largest(exact[None], count)
        return scores, able[places]

    def replace(self, rows: np.ndarray, emb: Any) -> None:
        """Put other vectors into some rows, such as those just backfilled: ``rows (M,)``, ``emb (M, D)``."""
        new = check_embeddings("emb", emb)
        if self._source.distance == "cosine":
            new = prepare(new, new[:1], "cosine", new.device).query
        elif self._shift is not None:
            new = new - self._shift
        places = torch.from_numpy(np.ascontiguousarray(rows))
        self._source.gallery[places] = new
        self._longest = max(self._longest, float(new.norm(dim=1).max()))
        if self._source.offset is not None:
            self._source.offset[places] = -0.5 * new.square().sum(dim=1)


class FaissIndex:
    """An approximate index of faiss over vectors that were normalised where the distance is cosine."""

    def __init__(self, kind: str, index: Any, distance: str, rows: int) -> None:
        self.kind, self._index, self._distance, self._rows = kind, index, distance, rows

    def search(self, query_emb: Any, k: int) -> Neighbours:
        """Scores as elsewhere: cosine, dot product, or minus the Euclidean distance (of the code, under IVF-PQ)."""
        query = _ready(check_embeddings("query_emb", query_emb), self._distance)
        scores, columns = self._index.search(query, min(k, self._rows))
        if self._distance == "l2":
            scores = -np.sqrt(np.maximum(scores, 0))
        return Neighbours(columns, np.where(columns < 0, -np.inf, scores).astype(np.float32))


def build_index(
    kind: str, gallery_emb: Any, distance: str = "cosine", config: IndexConfig | None = None, seed: int = 0
) -> SearchIndex:
    """An index over a gallery.

    Args:
        kind: one of KINDS.
        gallery_emb: ``(Ng, D)``.
        distance: ``cosine``, ``l2`` or ``dot``.
        config: of the approximate kinds; None: the defaults.
        seed: of IVF-PQ's clustering. HNSW is built on one thread, so that it comes out the same every time.

    Raises:
        CompatError: for an unknown kind, a gallery that is too small to train a code on, or where faiss is missing.
    """
    if kind not in KINDS:
        raise unknown_name("index", kind, KINDS)
    if kind == "exact":
        return ExactIndex(gallery_emb, distance)
    try:
        import faiss
    except ImportError as error:
        raise CompatError("index", value=kind, rule="needs faiss", fix="pip install faiss-cpu, or use exact") from error
    config = config or IndexConfig()
    gallery = _ready(check_embeddings("gallery_emb", gallery_emb), distance)
    metric = faiss.METRIC_L2 if distance == "l2" else faiss.METRIC_INNER_PRODUCT
    built = _hnsw(faiss, gallery, metric, config) if kind == "hnsw" else _ivf_pq(faiss, gallery, metric, config, seed)
    return FaissIndex(kind, built, distance, len(gallery))


def _hnsw(faiss: Any, gallery: np.ndarray, metric: int, config: IndexConfig) -> Any:
    index = faiss.IndexHNSWFlat(gallery.shape[1], config.links, metric)
    index.hnsw.efConstruction, index.hnsw.efSearch = config.ef_build, config.ef_search
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        index.add(gallery)
    finally:
        faiss.omp_set_num_threads(threads)
    return index


def _ivf_pq(faiss: Any, gallery: np.ndarray, metric: int, config: IndexConfig, seed: int) -> Any:
    rows, dim = gallery.shape
    bits = 8 if rows >= FEWEST_PER_CODE * 256 else 4
    if rows < FEWEST_PER_CODE * 2**bits:
        rule = f"needs at least {FEWEST_PER_CODE * 2**bits} rows to train its code"
        raise CompatError("ivf-pq", value=f"{rows} rows", rule=rule, fix="use hnsw or exact")
    cells = max(1, min(config.cells or int(4 * rows**0.5), rows // FEWEST_PER_CODE))
    codes = next(count for count in range(min(config.bytes_per_row * 8 // bits, dim), 0, -1) if dim % count == 0)
    coarse = faiss.IndexFlat(dim, metric)
    index = faiss.IndexIVFPQ(coarse, dim, cells, codes, bits, metric)
    index.cp.seed = index.pq.cp.seed = 1234 + seed
    index.train(gallery)
    index.add(gallery)
    index.nprobe = min(config.probes, cells)
    return index


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """Share of the exact neighbours that were found, mean over queries: recall@K.

    Args:
        found, exact: ``(Nq, K)`` gallery rows; −1 stands for none.
    """
    hits = (found[:, :, None] == exact[:, None, :]) & (exact >= 0)[:, None, :]
    return float(hits.any(axis=1).sum() / max(1, (exact >= 0).sum()))


def _ready(emb: torch.Tensor, distance: str) -> np.ndarray:
    if distance == "cosine":
        emb = prepare(emb, emb[:1], "cosine", emb.device).query
    return np.ascontiguousarray(emb.numpy())
