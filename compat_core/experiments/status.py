"""What a run is doing, as its process last wrote it down, and whether that process still exists."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compat_core.errors import CompatError

STORED_STATES = ("queued", "running", "done", "failed", "cancelled")
FINAL_STATES = ("done", "failed", "cancelled")
HEARTBEAT_EVERY_S = 2.0
HEARTBEAT_LIMIT_S = 60.0  # thirty missed beats: a busy machine is forgiven, a dead one is not


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a run failed.

    Attributes:
        message: one line: what went wrong.
        fix: one line: what to do about it; empty when the message says it already.
        traceback: where it went wrong, for a bug; None for bad input.
    """

    message: str
    fix: str = ""
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class RunStatus:
    """The state of one run; times are epoch seconds, ``progress`` is a fraction in [0, 1].

    Attributes:
        state: queued, running, done, failed or cancelled; ``lost`` is never stored, only derived
            (:func:`derived_state`).
        pid, pid_start_time, host: the process that works on the run; the start time tells it from a later process
            that was given the same number.
        heartbeat: when that process last showed itself (each 2 s).
        stage: what it is doing, in words.
        eta_s: estimated seconds left; None when unknown.
        device: where it computes, e.g. ``cuda:0``.
        queued_at: when it joined the queue; None for a run that a foreground process drives.
        started_at, finished_at: of the latest attempt.
        error: why it failed; a lost run may carry one as well.
    """

    state: str = "queued"
    pid: int | None = None
    pid_start_time: str | None = None
    host: str = ""
    heartbeat: float | None = None
    stage: str = ""
    progress: float = 0.0
    eta_s: float | None = None
    device: str = ""
    queued_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    error: RunError | None = None

    def replace(self, **changes: Any) -> RunStatus:
        """A copy with ``changes``."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> RunStatus:
        """Read what :meth:`to_dict` wrote.

        Keys of a later version are passed over: the status of a run must stay readable by an older reader.

        Raises:
            CompatError: when ``values`` is not a status.
        """
        if not isinstance(values, dict) or values.get("state") not in STORED_STATES:
            raise CompatError("run status", value=values, rule=f"its state must be one of {', '.join(STORED_STATES)}")
        known = {field.name for field in dataclasses.fields(cls)}
        fields = {key: value for key, value in values.items() if key in known}
        error = fields.get("error")
        if isinstance(error, dict):
            fields["error"] = RunError(str(error.get("message", "")), str(error.get("fix", "")), error.get("traceback"))
        return cls(**fields)


def this_process() -> dict[str, Any]:
    """The status fields that name the calling process, with a fresh heartbeat."""
    pid = os.getpid()
    return {
        "pid": pid,
        "pid_start_time": process_start_time(pid),
        "host": socket.gethostname(),
        "heartbeat": time.time(),
    }


def is_alive(status: RunStatus, now: float | None = None) -> bool:
    """Whether the process named in ``status`` is still at work.

    True only when its heartbeat is younger than 60 s AND a process with its number exists AND that process started
    when it did. For a process of another host (a shared runs folder) the heartbeat alone decides.
    """
    age = (time.time() if now is None else now) - (status.heartbeat or 0.0)
    if status.pid is None or age >= HEARTBEAT_LIMIT_S:
        return False
    if status.host and status.host != socket.gethostname():
        return True
    start = process_start_time(status.pid)
    return start is not None and start == status.pid_start_time


def derived_state(status: RunStatus) -> str:
    """The state to show: ``lost`` for a run whose process vanished without a word, else the stored state."""
    driven = status.state == "running" or (status.state == "queued" and status.queued_at is None)
    return "lost" if driven and not is_alive(status) else status.state


def process_start_time(pid: int) -> str | None:
    """A text that tells this process from any other that ever had the same number; None when there is no process.

    A zombie (ended, not yet collected by its parent) counts as no process.
    """
    if Path("/proc/self/stat").exists():
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return None
        # Field 2 is the program's name in brackets and may hold spaces and brackets itself: count from the last one.
        fields = text.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else f"ticks {fields[19]}"
    return _start_time_without_proc(pid)


def _start_time_without_proc(pid: int) -> str | None:
    try:
        import psutil
    except ImportError:
        shown = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False, timeout=10
        )
        return shown.stdout.strip() or None
    try:
        return f"seconds {psutil.Process(pid).create_time():.2f}"
    except psutil.NoSuchProcess:
        return None
