"""Images that fit neither the device nor main memory: they stay where they are, and batches of them are fetched.

A data set is decoded once into a file (:mod:`compat_core.data.cache`) and mapped into memory. What fits is copied to
the device as a whole, which is fastest; :class:`DistantPixels` stands in for what does not. Pages of the file that fit
into main memory are kept there by the system, the rest is read from disk.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from compat_core.device import room_for_images

AHEAD = 4
"""Batches that are read before they are asked for, each on a thread of its own: a disk serves several at a time."""


class DistantPixels:
    """``(N, C, S, S)`` uint8 in a file or in main memory; indexing reads rows and sends them to the device.

    Takes the place of a tensor on the device where images are only ever taken by rows.

    Args:
        source: ``(M, C, S, S)`` uint8 on the CPU, usually mapped from a file.
        device: where what is read goes.
        rows: ``(N,)`` int64, which of the M they are; None: all.
    """

    dtype = torch.uint8

    def __init__(self, source: torch.Tensor, device: torch.device, rows: np.ndarray | None = None) -> None:
        self.source, self.device = source, device
        self.rows = np.arange(len(source)) if rows is None else rows
        self.shape = (len(self.rows), *source.shape[1:])
        self.nbytes = len(self.rows) * int(np.prod(source.shape[1:]))
        self._threads: ThreadPoolExecutor | None = None
        self._coming: Iterator[tuple[torch.Tensor, np.ndarray]] = iter(())
        self._reading: deque[tuple[torch.Tensor, Future[torch.Tensor]]] = deque()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, indices: torch.Tensor) -> torch.Tensor:
        """The images at ``indices`` ``(B,)``, on the device. Waits only for what was not announced, or not in time."""
        if self._reading and self._reading[0][0] is indices:
            read = self._reading.popleft()[1].result()
            self._read_ahead()
        else:
            read = self._read(indices.cpu().numpy(), self._memory(len(indices)))
        return read.to(self.device, non_blocking=True)

    def announce(self, batches: Sequence[torch.Tensor]) -> None:
        """Say which index tensors will be asked for, in this order; those announced before are forgotten."""
        on_host = torch.cat(list(batches)).cpu().split([len(batch) for batch in batches]) if batches else []
        self._coming = zip(batches, (batch.numpy() for batch in on_host), strict=True)
        self._reading.clear()
        self._read_ahead()

    def part(self, indices: torch.Tensor) -> DistantPixels:
        """The images at ``indices``, without reading them."""
        return DistantPixels(self.source, self.device, self.rows[indices.cpu().numpy()])

    def split(self, size: int) -> Iterator[torch.Tensor]:
        """All images in order, ``size`` at a time, on the device."""
        batches = torch.arange(len(self)).split(size)
        self.announce(batches)
        return (self[batch] for batch in batches)

    def _read_ahead(self) -> None:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(AHEAD, thread_name_prefix="images")
        for batch, indices in itertools.islice(self._coming, AHEAD - len(self._reading)):
            # A thread only fills what it is given: pinning memory is a call to CUDA, and one from another thread would
            # spoil the recording (training/graphs.py) that this one may be making by then.
            self._reading.append((batch, self._threads.submit(self._read, indices, self._memory(len(indices)))))

    def _memory(self, count: int) -> torch.Tensor:
        """Memory for ``count`` images."""
        pinned = self.device.type == "cuda"  # a copy out of pinned memory runs beside the device's work
        return torch.empty((count, *self.shape[1:]), dtype=torch.uint8, pin_memory=pinned)

    def _read(self, indices: np.ndarray, memory: torch.Tensor) -> torch.Tensor:
        # "clip" writes straight into the memory; no index is out of range
        np.take(self.source.numpy(), self.rows[indices], axis=0, out=memory.numpy(), mode="clip")
        return memory


Pixels = torch.Tensor | DistantPixels


def placed(pixels: Pixels, device: torch.device) -> Pixels:
    """``pixels`` ``(N, C, S, S)`` uint8 on the device where there is room for them, else :class:`DistantPixels`."""
    if isinstance(pixels, DistantPixels):
        return pixels
    room = room_for_images(device)
    return pixels.to(device) if room is None or pixels.nbytes <= room else DistantPixels(pixels.cpu(), device)


def whole(pixels: Pixels) -> torch.Tensor:
    """All of ``pixels`` as one tensor: those that are distant are read."""
    return torch.cat(list(pixels.split(1024))) if isinstance(pixels, DistantPixels) else pixels


def announced(pixels: Pixels, batches: Iterable[torch.Tensor]) -> None:
    """Tell distant pixels which batches are coming; a tensor has them already."""
    if isinstance(pixels, DistantPixels):
        pixels.announce(list(batches))
