"""Loops that are compiled where numba is installed, over rows that are shared out between Python's own threads.

numba comes with umap-learn and is optional. Its threading layers, and what they do beside torch's, stay out of it: a
compiled function releases the interpreter's lock, so plain threads run side by side.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch


def available() -> bool:
    """Whether numba is installed."""
    return importlib.util.find_spec("numba") is not None


@functools.cache
def compiled(function: Callable[..., None], any_order: bool = False) -> Callable[..., None]:
    """The compiled function; kept on disk between processes where that is possible. ``any_order``: sums may be
    regrouped, which vectorises them."""
    import numba

    fastmath: bool | set[str] = {"reassoc", "contract"} if any_order else False
    try:
        return numba.njit(nogil=True, cache=True, fastmath=fastmath)(function)  # type: ignore[no-any-return]
    except RuntimeError:  # nowhere to keep it: compiled once per process
        return numba.njit(nogil=True, fastmath=fastmath)(function)  # type: ignore[no-any-return]


def over_rows(
    function: Callable[..., None],
    num_rows: int,
    arguments: Callable[[slice], tuple[Any, ...]],
    any_order: bool = False,
) -> None:
    """Run a compiled function on parts of the rows, as many parts as torch has threads.

    Args:
        function: what to compile; it writes into arrays it is given.
        num_rows: B.
        arguments: of the function, for a slice of the rows.
        any_order: see :func:`compiled`.
    """
    kernel, threads = compiled(function, any_order), max(1, min(torch.get_num_threads(), num_rows))
    edges = np.linspace(0, num_rows, threads + 1).astype(int).tolist()
    parts = [slice(begin, end) for begin, end in itertools.pairwise(edges)]
    others = [_pool(threads).submit(kernel, *arguments(part)) for part in parts[1:]]
    kernel(*arguments(parts[0]))
    for other in others:
        other.result()


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="rows")
