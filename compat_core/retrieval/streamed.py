"""Scores against a gallery that stays in its file, which may be larger than memory.

Every block of queries walks through the file once, a few thousand rows at a time, and gives the pages it has read back
to the system. Each step does what :func:`compat_core.retrieval.scores.prepare` does to a gallery in memory.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from compat_core.errors import CompatError, unknown_name
from compat_core.retrieval.inputs import check_matrix_shape, check_pair
from compat_core.retrieval.scores import (
    COLUMN_TILE,
    DISTANCES,
    SCORE_LIMIT,
    ScoreSource,
    centre_of,
    full_precision,
    normalise,
    padded_queries,
    queries_room,
)

STREAM_FROM_BYTES = 256 * 2**20  # a smaller gallery is faster copied once, as float32, than read in every block
CHUNK_ROWS = 4096  # stays in the processor's cache while it is brought to unit length and multiplied
KEPT_BYTES = 64 * 2**20  # of the file's pages before they are given back


def is_streamed(gallery: Any, device: torch.device) -> bool:
    """Whether ``gallery`` is a memory-mapped matrix large enough to be left in its file (on a processor only)."""
    return (
        device.type == "cpu"
        and isinstance(gallery, np.memmap)
        and gallery.ndim == 2
        and gallery.dtype.kind in "fiu"
        and 4 * gallery.size >= STREAM_FROM_BYTES
    )


class StreamedSource:
    """What a :class:`~compat_core.retrieval.scores.ScoreSource` is for a gallery in memory.

    Args:
        query: ``(Nq, D)`` float32, finite, on a processor.
        gallery: ``(Ng, D)`` memory-mapped, any real dtype.
        distance: ``cosine``, ``l2`` or ``dot``.

    Raises:
        CompatError: as for a gallery in memory: NaN, another dimension, products beyond float32.
    """

    block_bytes = 256 * 2**20  # each block reads the whole file: fewer, larger ones
    has_lanes = False  # for the same reason

    def __init__(self, query: torch.Tensor, gallery: np.memmap, distance: str) -> None:
        if distance not in DISTANCES:
            raise unknown_name("distance", str(distance), DISTANCES)
        check_matrix_shape("gallery_emb", gallery.shape)
        check_pair(query, gallery)
        self.distance, self.num_gallery = distance, len(gallery)
        self.width = -(-len(gallery) // COLUMN_TILE) * COLUMN_TILE
        self._gallery = gallery
        self._shift: torch.Tensor | None = None
        self.num_zero_vectors = 0
        total, square, longest = torch.zeros(query.shape[1], dtype=torch.float64), 0.0, 0.0
        for begin, part in self._chunks():
            bad = (~torch.isfinite(part).all(dim=1)).nonzero()
            if len(bad):
                raise CompatError(
                    "gallery_emb",
                    rule=f"NaN or infinite values in row {begin + int(bad[0])}; every value must be finite in float32",
                    fix="drop such rows or look at the model that produced them",
                )
            if distance == "cosine":
                self.num_zero_vectors += int((~part.any(dim=1)).sum())
            else:
                squares = part.double().square().sum(dim=1)
                total, square = total + part.sum(dim=0, dtype=torch.float64), square + float(squares.sum())
                longest = max(longest, float(squares.max()))
        if distance == "cosine":
            query, zeros = normalise(query)
            self.num_zero_vectors += zeros
        else:
            asked = float(query.double().square().sum(dim=1).max())
            if max(longest, (longest * asked) ** 0.5, asked if distance == "l2" else 0.0) > SCORE_LIMIT:
                raise CompatError(
                    f"embeddings under {distance}",
                    rule="products of the longest vectors must stay within float32",
                    fix="scale the vectors down or use cosine",
                )
        if distance == "l2":
            self._shift = centre_of(total / len(gallery), square / gallery.size)
            query = query - self._shift
        self.query = query

    def room(self, rows: int) -> torch.Tensor:
        """Memory for blocks of up to ``rows`` queries."""
        return queries_room(self.query, rows, self.width)

    def block(self, rows: torch.Tensor, room: torch.Tensor | None = None) -> torch.Tensor:
        """Row scores of the queries ``rows`` (B,) int64: (B, Ng padded) float32; padding columns hold −inf."""
        query = padded_queries(self.query, rows)
        scores = (self.room(len(rows)) if room is None else room)[: len(query)]
        with full_precision(query.device):
            for begin, part in self._chunks():
                part = self._ready(part)
                self._products(query, part, scores[:, begin : begin + len(part)])
        scores[:, self.num_gallery :] = float("-inf")
        return scores[: len(rows)]

    @property
    def chunk_starts(self) -> range:
        """The gallery item that each chunk of the file begins with."""
        return range(0, self.num_gallery, CHUNK_ROWS)

    @property
    def chunk_width(self) -> int:
        """Columns of memory for a chunk's scores."""
        return min(CHUNK_ROWS, self.width)

    def chunk_scores(self, query: torch.Tensor, begin: int, room: torch.Tensor) -> torch.Tensor:
        """Row scores (B, C) of padded queries against the chunk that begins there, in ``room``: no padding columns."""
        part = self._rows(begin)
        ready = self._ready(part)
        self._products(query, ready, room[:, : len(ready)])
        return room[:, : len(part)]

    def let_go_after(self, chunks: int) -> None:
        """Give back what was read of the file, after every so many chunks."""
        if (chunks + 1) % max(1, KEPT_BYTES // self._gallery[:CHUNK_ROWS].nbytes) == 0:
            let_go(self._gallery)

    public = ScoreSource.public

    def _products(self, query: torch.Tensor, part: torch.Tensor, out: torch.Tensor) -> None:
        if self.distance == "l2":
            torch.addmm(-0.5 * part.square().sum(dim=1), query, part.T, out=out)
        else:
            torch.mm(query, part.T, out=out)

    def _ready(self, part: torch.Tensor) -> torch.Tensor:
        if self.distance == "cosine":
            part = normalise(part)[0]
        elif self._shift is not None:
            part = part - self._shift
        short = -len(part) % COLUMN_TILE
        return torch.cat([part, part.new_zeros(short, part.shape[1])]) if short else part

    def _chunks(self) -> Iterator[tuple[int, torch.Tensor]]:
        """Rows as float32, with the number of the first; read pages are given back on the way."""
        with np.errstate(over="ignore"):  # a value beyond float32 becomes infinite and is refused
            for done, begin in enumerate(self.chunk_starts):
                yield begin, self._rows(begin)
                self.let_go_after(done)
        let_go(self._gallery)

    def _rows(self, begin: int) -> torch.Tensor:
        return torch.from_numpy(np.array(self._gallery[begin : begin + CHUNK_ROWS], dtype=np.float32))


def let_go(emb: np.ndarray) -> None:
    """Give back the memory that reading a mapped file has filled; the next read fetches from the disk again.

    The system would take it back by itself when it needs it, but a container that counts mapped pages ends a process
    that walks through a file larger than its limit. A copy-on-write map is kept: what was written to it is there alone.
    """
    mapped = None if getattr(emb, "mode", "r") == "c" else getattr(emb, "_mmap", None)
    if mapped is not None and hasattr(mapped, "madvise") and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)
