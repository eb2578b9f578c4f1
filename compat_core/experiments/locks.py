"""A lock between processes that the operating system frees when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path


class FileLock:
    """An exclusive, advisory lock on a file; not re-entrant, one holder among all processes of this machine.

    Args:
        path: the lock file; created when it is not there (its folder must exist), never removed: removing a lock
            file that another process waits for would let two of them in.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self, timeout_s: float = 0.0) -> bool:
        """Take the lock, waiting up to ``timeout_s`` seconds for it; whether it is ours now."""
        deadline = time.monotonic() + timeout_s
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)  # not inherited by child processes (PEP 446)
        while not _try_lock(descriptor):
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return False
            time.sleep(0.05)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        if self._descriptor is not None:
            os.close(self._descriptor)  # closing the file frees the lock
            self._descriptor = None

    def is_held(self) -> bool:
        """Whether anyone holds the lock at this moment."""
        if self._descriptor is not None:
            return True
        probe = FileLock(self.path)
        if not self.path.exists():
            return False
        if probe.acquire():
            probe.release()
            return False
        return True


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
