"""The end of a run whose worker wrote none itself, written down as soon as the system takes it."""

from __future__ import annotations

import contextlib
import signal
import time

from compat_core.experiments.advice import advise, advise_exit
from compat_core.experiments.run import WORKER_LOG_FILE, Run
from compat_core.experiments.status import FINAL_STATES, RunError, RunStatus

RETRY_S = 20.0  # after the system refused to write


def settle(run: Run, left: RunStatus, returncode: int) -> None:
    """Leave ``run`` in the state that fits how its worker ended, however long the system refuses to write that.

    Nobody else would do it: without an end a run shows as lost, and nothing says why.

    Args:
        run: a run that this process started a worker for.
        left: the status that the worker left behind; nothing happens once the run has another, or was deleted.
        returncode: as :mod:`subprocess` gives it: negative for a signal.
    """
    note = advise_exit(returncode)
    while run.exists() and run.stored_status() == left:  # else it was resumed or cancelled meanwhile
        try:
            return _write_end(run, left, returncode, note)
        except OSError as error:
            refused = advise(error)
            message = f"{advise_exit(returncode).message}; its end could not be written at first: {refused.message}"
            note = RunError(message, refused.fix)
            wait_out(error, f"the end of {run.id} could not be written")


def wait_out(error: OSError, what: str) -> None:
    """Say what the system refused, and give it time: a full disk may have room again."""
    with contextlib.suppress(OSError):  # what is printed goes to the same disk
        print(f"{what}: {error}; trying again in {RETRY_S:g} s", flush=True)
    time.sleep(RETRY_S)


def _write_end(run: Run, status: RunStatus, returncode: int, note: RunError) -> None:
    if status.state in FINAL_STATES:
        return
    if run.cancel_requested():
        status = status.replace(state="cancelled", finished_at=time.time())
    elif status.state == "running" and returncode == -signal.SIGKILL:
        status = status.replace(error=note)  # the state stays: a dead process makes it ``lost``, to be resumed
    else:
        printed = run.log_tail(20, WORKER_LOG_FILE)
        note = RunError(note.message, note.fix, printed or None)
        status = status.replace(state="failed", error=note, finished_at=time.time())
    run.write_status(status)
