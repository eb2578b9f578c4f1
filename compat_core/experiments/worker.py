"""The process that works on one run: from its first heartbeat to its final state, whatever happens in between."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from compat_core.errors import Cancelled, CompatError
from compat_core.experiments.run import Run
from compat_core.experiments.store import RunStore
from compat_core.experiments.tracker import RunTracker

Execute = Callable[[Run, RunTracker], Any]


def load_execute() -> Execute:
    """The runner's ``execute(run, tracker)``; loaded only by the process that needs it, for it brings torch along."""
    from compat_core.experiments.runner import execute

    return execute


def supervise(run: Run, tracker: RunTracker, execute: Execute) -> None:
    """Call ``execute(run, tracker)`` and write the final state: done, failed or cancelled.

    The run is cancelled by its cancel file, by SIGTERM and by Ctrl-C. Every error is re-raised once it is recorded.

    Raises:
        CompatError: when another process works on the run; its state is left alone then.
    """
    with stopped_by_sigterm(), tracker:  # in this order: the final state is written with SIGTERM still in hand
        tracker.check_cancelled()
        execute(run, tracker)
        tracker.finish()


def work(run_id: str, runs_dir: str | Path | None = None, execute: Execute | None = None) -> None:
    """Work on a queued run until its end; what the dispatcher starts as ``python -m compat_core work RUN``.

    Args:
        run_id: the run.
        runs_dir: the folder of runs.
        execute: does the work; None: the runner's.

    Raises:
        CompatError: when there is no such run, or it is done already.
        Cancelled: when the run was cancelled, before or during the work.
    """
    run = RunStore(runs_dir).get(run_id)
    status = run.stored_status()
    if status.state == "done":
        raise CompatError("run", value=run.id, rule="it is done already", fix="retry makes a fresh one")
    if status.state == "cancelled" or run.cancel_requested():
        # Cancelled between being chosen from the queue and now.
        run.write_status(status.replace(state="cancelled"))
        raise Cancelled(f"run {run.id} was cancelled")
    # The tracker is made before the runner is loaded: importing torch takes seconds in which the run should be seen.
    supervise(run, RunTracker(run), execute or _late_execute)


def _late_execute(run: Run, tracker: RunTracker) -> Any:
    return load_execute()(run, tracker)


@contextlib.contextmanager
def stopped_by_sigterm() -> Iterator[None]:
    """Within, SIGTERM raises Cancelled in the main thread, once; later ones are ignored while the run winds up."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python delivers signals to the main thread only
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Cancelled("stopped by SIGTERM")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
