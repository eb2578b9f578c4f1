"""Memory that a step gives back and the next one asks for again."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -2, -3, -4  # malloc.h
NEVER = -1
KEEP = {M_MMAP_MAX: 0, M_TRIM_THRESHOLD: NEVER, M_TOP_PAD: 64 * 2**20}
# where glibc's own adaptation ends, once a program has freed 32 MiB in one piece
USUAL = {M_MMAP_MAX: 65_536, M_TRIM_THRESHOLD: 64 * 2**20, M_TOP_PAD: 128 * 2**10, M_MMAP_THRESHOLD: 32 * 2**20}
CHOSEN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES")

_lock = threading.Lock()
_inside = 0  # blocks that are open


@contextmanager
def kept_memory(device: torch.device) -> Iterator[None]:
    """A block in which a Linux program keeps the memory that it frees, for what it asks for next.

    A batch's activations are tens of megabytes each, which glibc returns to the system: it would get them back page by
    page, each filled with zeros first, in as much time as they are computed in. Within the block it keeps them, about
    a third more than without; afterwards all that is free is returned.

    Blocks may be nested and may overlap between threads; in another than the main one glibc keeps pieces of up to
    64 MiB. Nothing changes for another device than the CPU, for another C library than glibc, or where the environment
    already says how glibc is to do it (``MALLOC_…``).

    Args:
        device: where the work is done.
    """
    global _inside
    glibc = _glibc() if device.type == "cpu" else None
    if glibc is None:
        yield
        return
    with _lock:
        _inside += 1
        if _inside == 1:
            _set(glibc, KEEP)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _set(glibc, USUAL)
                glibc.malloc_trim(0)


def _set(glibc: ctypes.CDLL, options: Mapping[int, int]) -> None:
    for name, value in options.items():
        glibc.mallopt(name, value)


def _glibc() -> ctypes.CDLL | None:
    """The C library; None where it is not glibc, or its ways are somebody else's choice."""
    if sys.platform != "linux" or any(variable in os.environ for variable in CHOSEN):
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
