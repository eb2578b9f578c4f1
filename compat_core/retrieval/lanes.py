"""Blocks of work side by side, each on one thread from beginning to end.

torch shares a product out between its threads, and those go on spinning for some milliseconds after it, so what comes
next has one core less. In a lane the product runs on the thread that goes on with it: nobody waits for anybody, and
the scores are still in that core's cache.
"""

from __future__ import annotations

import functools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

Piece = TypeVar("Piece")
Room = TypeVar("Room")
Result = TypeVar("Result")

AHEAD = 2  # pieces that are done before anybody asks for them, per lane


def in_lanes(
    work: Callable[[Piece, Room], Result], pieces: Iterable[Piece], room: Callable[[], Room]
) -> Iterator[Result]:
    """``work(piece, room)`` of every piece, in the order of the pieces; as many at a time as torch has threads.

    Args:
        work: computes on one thread; torch's own parallel loops are off in it, gradients and inference mode are as
            they are where the results are asked for. It may write to its room.
        pieces: what to work on.
        room: makes one lane's room, which is handed to one piece after another.

    Raises:
        Whatever ``work`` raises, at the piece's turn; pieces that have not begun are dropped.
    """
    lanes = torch.get_num_threads()
    rooms: list[Room] = []
    # A thread has modes of its own, and only inference mode may write to tensors that were made in it.
    inference, gradients = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def job(piece: Piece) -> Result:
        try:
            mine = rooms.pop()
        except IndexError:  # every other lane holds one
            mine = room()
        try:
            with torch.inference_mode(inference), torch.set_grad_enabled(gradients):
                return work(piece, mine)
        finally:
            rooms.append(mine)

    if lanes == 1:
        yield from map(job, pieces)
        return
    begun: deque[Future[Result]] = deque()
    pool = _pool(lanes)
    try:
        for piece in pieces:
            begun.append(pool.submit(job, piece))
            if len(begun) > AHEAD * lanes:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
    finally:
        for future in begun:
            future.cancel()


@functools.cache
def _pool(lanes: int) -> ThreadPoolExecutor:
    pool, all_started = ThreadPoolExecutor(lanes, thread_name_prefix="lane"), threading.Barrier(lanes)

    def start(_: int) -> None:
        torch.get_num_threads()  # a thread's first question would set the number anew, to the one for all
        torch.set_num_threads(1)  # of this thread, and of every thread that starts after it
        all_started.wait()

    list(pool.map(start, range(lanes)))
    torch.set_num_threads(lanes)  # and so threads to come start with what this one has
    return pool
