"""How close a query is to a gallery item: cosine, Euclidean distance or dot product; higher is always closer."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from compat_core.errors import CompatError, unknown_name
from compat_core.retrieval.inputs import check_embeddings, check_pair

DISTANCES = ("cosine", "l2", "dot")

# A matrix product computes the last few rows and columns with other code than the rest, and the order of its sums can
# differ there, so that two identical gallery vectors would score one rounding apart: a tie lost. With whole tiles only,
# equal vectors score equal bit for bit, and a query scores the same in every block size.
COLUMN_TILE = 64
ROW_TILE = 16
BLOCK_BYTES = 64 * 2**20  # of one block of scores; about four times that is in use while its ranks are counted
BLOCK_BYTES_GPU = 256 * 2**20  # a GPU has little to do for fewer
SCORE_LIMIT = 1e37  # stays clear of the largest float32, 3.4e38


@dataclass(frozen=True, slots=True)
class ScoreSource:
    """Query and gallery made ready for blocked scoring.

    A *row score* orders the gallery for one query: cosine and dot product as they are, and q·g − ‖g‖²/2 for l2, which
    falls as the distance to that query grows. :meth:`public` turns it into what people read.

    Attributes:
        query: (Nq, D) float32, normalised under cosine.
        gallery: (Ng padded to whole tiles, D) float32; padding rows are zero.
        offset: (Ng padded,) float32 added to every row of products, or None.
        num_gallery: Ng.
        distance: one of ``DISTANCES``.
        num_zero_vectors: query and gallery rows without a direction (all zero), counted under cosine only. Their
            cosine with anything is defined as 0.
    """

    query: torch.Tensor
    gallery: torch.Tensor
    offset: torch.Tensor | None
    num_gallery: int
    distance: str
    num_zero_vectors: int = 0

    @property
    def width(self) -> int:
        """Columns of a block: Ng padded to whole tiles."""
        return len(self.gallery)

    @property
    def block_bytes(self) -> int:
        """Bytes that a block of scores may have."""
        return BLOCK_BYTES_GPU if self.query.device.type == "cuda" else BLOCK_BYTES

    @property
    def has_lanes(self) -> bool:
        """Whether blocks are best computed side by side, each on one thread."""
        return self.query.device.type == "cpu"

    def room(self, rows: int) -> torch.Tensor:
        """Memory for blocks of up to ``rows`` queries: fresh pages for every block would cost as much as counting."""
        return queries_room(self.query, rows, self.width)

    def block(self, rows: torch.Tensor, room: torch.Tensor | None = None) -> torch.Tensor:
        """Row scores of the queries ``rows`` (B,) int64: (B, Ng padded) float32; padding columns hold −inf.

        They lie in ``room``, of :meth:`room`, where that is given, until the next block is put there.
        """
        query = padded_queries(self.query, rows)
        out = None if room is None else room[: len(query)]
        with full_precision(query.device):
            # (B, D) @ (D, Ng) -> (B, Ng)
            if self.offset is None:
                scores = torch.mm(query, self.gallery.T, out=out)
            else:
                scores = torch.addmm(self.offset, query, self.gallery.T, out=out)
        scores[:, self.num_gallery :] = float("-inf")
        return scores[: len(rows)]

    def public(self, scores: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Row scores (B, …) of the queries ``rows`` as cosine, dot product, or minus the Euclidean distance."""
        if self.distance != "l2":
            return scores
        square = self.query[rows].square().sum(dim=1, keepdim=True)  # (B, 1)
        return -(square - 2 * scores).clamp_min(0).sqrt()


class BlockScores(Protocol):
    """What ranking needs of a :class:`ScoreSource`, or of a gallery that stays in its file."""

    @property
    def query(self) -> torch.Tensor: ...

    @property
    def num_gallery(self) -> int: ...

    @property
    def num_zero_vectors(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def block_bytes(self) -> int: ...

    @property
    def has_lanes(self) -> bool: ...

    def room(self, rows: int) -> torch.Tensor: ...

    def block(self, rows: torch.Tensor, room: torch.Tensor | None = None) -> torch.Tensor: ...


def queries_room(query: torch.Tensor, rows: int, width: int) -> torch.Tensor:
    """Uninitialised memory for the scores of ``rows`` queries, padded to whole tiles."""
    return query.new_empty(-(-rows // ROW_TILE) * ROW_TILE, width)


def padded_queries(query: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The queries ``rows`` (B,), followed by zeros up to a whole tile."""
    padded = query.new_zeros(-(-len(rows) // ROW_TILE) * ROW_TILE, query.shape[1])
    padded[: len(rows)] = query[rows]
    return padded


def prepare(query: torch.Tensor, gallery: torch.Tensor, distance: str, device: torch.device) -> ScoreSource:
    """Move, normalise or centre, and pad two sets of vectors for blocked scoring.

    Args:
        query: (Nq, D) float32, finite.
        gallery: (Ng, D) float32, finite.
        distance: ``cosine``, ``l2`` or ``dot``.
        device: where to compute.

    Raises:
        CompatError: for an unknown distance, or vectors so long that their products overflow float32.
    """
    if distance not in DISTANCES:
        raise unknown_name("distance", str(distance), DISTANCES)
    query, gallery = query.to(device), gallery.to(device)
    zero_vectors = 0
    if distance == "cosine":
        query, query_zeros = normalise(query)
        gallery, gallery_zeros = normalise(gallery)
        zero_vectors = query_zeros + gallery_zeros
    else:
        _check_size(query, gallery, distance)
    if distance == "l2":
        shift = _centre(gallery)
        query, gallery = query - shift, gallery - shift
    padded = gallery.new_zeros(-(-len(gallery) // COLUMN_TILE) * COLUMN_TILE, gallery.shape[1])
    padded[: len(gallery)] = gallery
    offset = -0.5 * padded.square().sum(dim=1) if distance == "l2" else None
    return ScoreSource(query, padded, offset, len(gallery), distance, zero_vectors)


def similarity(query_emb: Any, gallery_emb: Any, distance: str = "cosine") -> torch.Tensor:
    """Every query against every gallery item, in one matrix: for small sets; metrics and search work in blocks.

    cosine: q·g / (‖q‖‖g‖) in [−1, 1] (0 where either vector is zero); dot: q·g; l2: −‖q − g‖ (so that higher is
    closer, as everywhere).

    Args:
        query_emb: (Nq, D) numbers, numpy or torch.
        gallery_emb: (Ng, D) numbers, numpy or torch.
        distance: ``cosine``, ``l2`` or ``dot``.

    Returns:
        (Nq, Ng) float32 on the query's device.

    Raises:
        CompatError: for embeddings that cannot be compared, or an unknown distance.
    """
    query, gallery = check_embeddings("query_emb", query_emb), check_embeddings("gallery_emb", gallery_emb)
    check_pair(query, gallery)
    source = prepare(query, gallery, distance, query.device)
    rows = torch.arange(len(query), device=query.device)
    return source.public(source.block(rows)[:, : len(gallery)], rows)


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Float32 products in float32: no autocast, no TF32 or bfloat16 shortcuts, whatever the program around chose."""
    _ieee.enter()
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        _ieee.leave()


class _Ieee:
    """Turns the process's shortcuts off while any thread is in, and back to what they were when the last one leaves."""

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        cpu: Any = torch.backends.mkldnn
        self._backends: tuple[Any, ...] = (torch.backends.cuda.matmul, cpu.matmul)
        self._before: list[str] = []

    def enter(self) -> None:
        with self._lock:
            if not self._inside:
                self._before = [backend.fp32_precision for backend in self._backends]
                for backend in self._backends:
                    backend.fp32_precision = "ieee"
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                for backend, precision in zip(self._backends, self._before, strict=True):
                    backend.fp32_precision = precision


_ieee = _Ieee()


def normalise(vectors: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Rows at unit length, and how many had no direction. Scaled first: squares of tiny values would vanish."""
    largest = vectors.abs().amax(dim=1, keepdim=True)  # (N, 1)
    zero = largest == 0
    scaled = vectors / largest.masked_fill(zero, 1.0)
    return scaled / scaled.norm(dim=1, keepdim=True).masked_fill(zero, 1.0), int(zero.sum())


def _check_size(query: torch.Tensor, gallery: torch.Tensor, distance: str) -> None:
    longest = [float(torch.linalg.vector_norm(part, dim=1, dtype=_wide(part)).max()) for part in (query, gallery)]
    if max(longest[0] * longest[1], longest[1] ** 2, longest[0] ** 2 if distance == "l2" else 0.0) > SCORE_LIMIT:
        raise CompatError(
            f"embeddings under {distance}",
            rule=f"longest query {longest[0]:.3g}, longest gallery vector {longest[1]:.3g}; products must stay within "
            "float32",
            fix="scale the vectors down or use cosine",
        )


def _centre(gallery: torch.Tensor) -> torch.Tensor:
    mean = gallery.mean(dim=0, keepdim=True, dtype=_wide(gallery))
    return centre_of(mean, float(torch.linalg.vector_norm(gallery, dtype=_wide(gallery))) ** 2 / gallery.numel())


def centre_of(mean: torch.Tensor, mean_square: float) -> torch.Tensor:
    """A shift (1, D) near the gallery's mean that leaves distances alone and keeps ‖q‖² − 2q·g + ‖g‖² accurate.

    Rounded to a coarse power of two, so that vectors on a grid (small integers, say) stay on it and keep their ties,
    and ordinary embeddings, whose mean is no larger than their spread, are not touched at all.

    Args:
        mean: (1, D) or (D,) the gallery's mean.
        mean_square: over all its entries.
    """
    variance = mean_square - float(mean.square().mean())
    if variance <= 1e-14 * mean_square:  # all vectors (almost) the same: no grid to keep
        return mean.float()
    step = 2.0 ** math.ceil(math.log2(8 * math.sqrt(variance)))
    return (torch.round(mean / step) * step).float()


def _wide(tensor: torch.Tensor) -> torch.dtype:
    return torch.float32 if tensor.device.type == "mps" else torch.float64  # Apple GPUs have no float64
