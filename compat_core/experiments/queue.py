"""One job per device, in the order they were asked for, living on when the program that asked is gone.

There is no queue file: the queue is the set of run folders whose state is ``queued``. A *dispatcher* (one detached
process per kind of device, chosen by a file lock) starts a *worker* process for the oldest of them, waits for it, and
ends when none is left. Nothing here imports torch.
"""

from __future__ import annotations

import errno
import os
import platform
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compat_core.errors import CompatError
from compat_core.experiments.advice import advise
from compat_core.experiments.environment import SOURCE_ROOT
from compat_core.experiments.locks import FileLock
from compat_core.experiments.run import CONFIG_FILE, WORKER_LOG_FILE, Run
from compat_core.experiments.settling import settle, wait_out
from compat_core.experiments.status import RunStatus, is_alive
from compat_core.experiments.store import RunStore

if TYPE_CHECKING:
    from compat_core.experiments.config import ExperimentConfig

DEVICE_KEYS = ("cpu", "gpu")
LOCK_WAIT_S = 5.0
LEAVING_S = 2.0
TERMINATE_AFTER_S = 20.0  # a run that has not obeyed its cancel file by then gets SIGTERM
KILL_AFTER_S = 60.0  # and one stuck in a system call gets SIGKILL
RESUMABLE = ("lost", "failed", "cancelled")

Command = Callable[[Run], list[str]]


def device_key(request: str) -> str:
    """Which queue a device request belongs to: ``gpu`` or ``cpu``, found out without loading torch.

    ``auto`` is ``gpu`` where an NVIDIA driver is visible (or on an Apple-silicon Mac). The key only decides who waits
    for whom; the run itself picks and records its device.
    """
    if request.startswith(("cuda", "mps")):
        return "gpu"
    if request == "auto":
        nvidia = Path("/dev/nvidiactl").exists() or shutil.which("nvidia-smi") is not None
        apple = sys.platform == "darwin" and platform.machine() == "arm64"
        return "gpu" if nvidia or apple else "cpu"
    return "cpu"


def enqueue(store: RunStore, config: ExperimentConfig, title: str | None = None) -> Run:
    """Make a queued run and see to it that somebody serves its queue. Returns at once."""
    run = store.create(config, title, queued=True)
    spawn_dispatcher(store, run_key(run))
    return run


def resume(store: RunStore, run: Run) -> Run:
    """Put a lost, failed or cancelled run, or one with damaged results, back into the queue: same folder, going on
    from what is there.

    Raises:
        CompatError: for a run in another state.
    """
    check_resumable(run)
    run.clear_cancel()
    run.write_status(RunStatus(state="queued", queued_at=time.time(), progress=run.stored_status().progress))
    spawn_dispatcher(store, run_key(run))
    return run


def retry(store: RunStore, run: Run) -> Run:
    """Queue a fresh run with the configuration (and name) of ``run``."""
    return enqueue(store, run.config, run.meta.name)


def check_resumable(run: Run) -> None:
    """Raise CompatError, saying why, when ``run`` cannot be resumed now.

    A run that is done can be where its results cannot be read: they are written anew from the models that are there.
    """
    # A worker says how it ended a moment before it lets go. One that is lost (a suspended process) is not waited for.
    until = time.monotonic() + LEAVING_S
    while True:
        state = run.status.state
        if state not in RESUMABLE and not run.has_damaged_results():
            fresh = shlex.join(["python", "-m", "compat_core", "run", str(run.path / CONFIG_FILE)])
            fix = f"a fresh run: {fresh}" if state == "done" else "wait for it, or cancel it first"
            rule = f"it is {state}; only {', '.join(RESUMABLE)} runs resume"
            raise CompatError("run", value=run.id, rule=rule, fix=fix)
        if not run.lock.is_held():
            return
        if state == "lost" or time.monotonic() >= until:
            raise CompatError("run", value=run.id, rule="its process still exists", fix="end that process first")
        time.sleep(0.02)


def cancel(run: Run) -> str:
    """Stop a run; returns its state as far as known now.

    A queued or lost run is cancelled at once. A running one is asked through its cancel file and stops at its next
    step; its dispatcher sends SIGTERM when it has not after 20 s, and so does calling this again by then.
    """
    run.request_cancel()  # first: a worker that starts at this very moment finds it
    status = run.status
    if status.state in ("queued", "lost"):
        run.write_status(run.stored_status().replace(state="cancelled", finished_at=time.time()))
    elif status.state == "running":
        _press(run, set())
    else:
        run.clear_cancel()  # it had ended already
    return run.status.state


def queue_position(store: RunStore, run: Run) -> int | None:
    """1 for the run that is served next, 2 for the one after it …; None when ``run`` does not wait in a queue."""
    ids = [waiting.id for waiting in waiting_runs(store, run_key(run))]
    return ids.index(run.id) + 1 if run.id in ids else None


def waiting_runs(store: RunStore, key: str) -> list[Run]:
    """The queued runs of one device key, oldest first."""
    found: list[tuple[float, str, Run]] = []
    for run in store.list():
        try:
            status = run.stored_status()
            if status.state == "queued" and status.queued_at is not None and run_key(run) == key:
                found.append((status.queued_at, run.id, run))
        except CompatError:
            continue  # deleted while looking, or unreadable: nothing that could be started
    return [run for _, _, run in sorted(found, key=lambda item: item[:2])]


def wake(store: RunStore) -> tuple[str, ...]:
    """Start a dispatcher for each queue with waiting runs that nobody serves; returns their keys.

    For a dispatcher that was killed, or ended with the machine: nothing but this finds out. The runs of a queue are
    looked at only where nobody serves it.
    """
    keys = tuple(key for key in DEVICE_KEYS if not _is_served(store, key) and waiting_runs(store, key))
    for key in keys:
        spawn_dispatcher(store, key)
    return keys


def _is_served(store: RunStore, key: str) -> bool:
    """Whether a dispatcher holds the queue's lock, or one that was started here is still on its way to it."""
    command = _dispatcher_command(store, key)
    starting = any(process.args == command and process.poll() is None for process in _spawned)
    return starting or _dispatcher_lock(store, key).is_held()


def run_key(run: Run) -> str:
    """The device key of a run, from its stored configuration."""
    return device_key(str(run.config_dict().get("device", "auto")))


# -- the dispatcher ----------------------------------------------------------------------------------------------------


def spawn_dispatcher(store: RunStore, key: str) -> None:
    """Start ``python -m compat_core dispatch`` in a session of its own, where no closed terminal reaches it.

    Raises:
        CompatError: when the runs folder cannot be written.
    """
    _spawned[:] = [process for process in _spawned if process.poll() is None]  # collects those that ended
    with open(_writable(_queue_folder(store)) / f"{key}.log", "ab") as log:
        _spawned.append(_popen(_dispatcher_command(store, key), log))


def _dispatcher_command(store: RunStore, key: str) -> list[str]:
    return [sys.executable, "-m", "compat_core", "dispatch", "--runs-dir", str(store.root), "--device-key", key]


def _dispatcher_lock(store: RunStore, key: str) -> FileLock:
    """Held by the one dispatcher that serves a queue."""
    return FileLock(_queue_folder(store) / f"{key}.lock")


def worker_command(run: Run) -> list[str]:
    """The command line of the worker process for ``run``."""
    return [sys.executable, "-m", "compat_core", "work", run.id, "--runs-dir", str(run.path.parent)]


def dispatch(
    store: RunStore, key: str, command: Command = worker_command, poll_s: float = 0.25, lock_wait_s: float = LOCK_WAIT_S
) -> int:
    """Serve one queue until it is empty; returns the number of workers started (0 when another process serves it).

    No run is forgotten between a dispatcher that ends and an ``enqueue`` at the same moment. ``enqueue`` writes the run
    first and starts its own dispatcher D2 after that. D1 releases the lock at once after a look that found nothing.
    Either that look came after the write, and found the run; or it came before, and then D1 gives the lock back within
    milliseconds, while D2 waits for it for 5 s. If D2 gives up after 5 s, D1 has been busy with a worker all that
    time, so its next look is still to come and finds the run.

    What the system refuses to write, most likely for a full disk, is tried again until it is written.
    """
    _queue_folder(store).mkdir(parents=True, exist_ok=True)
    lock = _dispatcher_lock(store, key)
    if not lock.acquire(lock_wait_s):
        return 0
    served = 0
    try:
        while waiting := waiting_runs(store, key):
            if not _device_free(store, key):
                time.sleep(4 * poll_s)  # a look at all runs costs more than a look at one process
                continue
            try:
                _serve(waiting[0], command, poll_s)
            except CompatError:
                if waiting[0].exists():  # a run deleted while it was served must not stop the ones behind it
                    raise
            except OSError as error:  # it still waits
                wait_out(error, f"{waiting[0].id} could not be started")
                continue
            served += 1
    finally:
        lock.release()
    return served


def _serve(run: Run, command: Command, poll_s: float) -> None:
    """Start the worker of ``run``, wait for its end, and leave the run in a state that is not ``queued``.

    A worker takes seconds to leave after it wrote its end. A run that was resumed meanwhile is another attempt, which
    waits for its own worker or has it already: nothing of this one's end belongs there.

    Raises:
        OSError: when the run was not started and nothing could be written down; it is still queued then.
    """
    asked_at = run.stored_status().queued_at
    try:
        with open(run.path / WORKER_LOG_FILE, "ab") as log:
            process = _popen(command(run), log)
    except OSError as error:
        if run.exists():
            run.write_status(run.stored_status().replace(state="failed", error=advise(error), finished_at=time.time()))
        return
    pressed: set[int] = set()
    while True:
        try:
            process.wait(timeout=poll_s)
            break
        except subprocess.TimeoutExpired:
            if run.exists():
                _press(run, pressed)
    if run.exists():
        left = run.stored_status()
        if left.queued_at == asked_at and left.pid in (None, process.pid):
            settle(run, left, process.returncode)


def _device_free(store: RunStore, key: str) -> bool:
    """Whether no process works on a run of this key: one started in the foreground, or whose dispatcher was killed."""
    for run in store.list():
        try:
            if run.status.state == "running" and run_key(run) == key:
                _press(run, set())
                return False
        except CompatError:
            continue  # deleted while looking
    return True


def _press(run: Run, pressed: set[int]) -> None:
    """Send SIGTERM, later SIGKILL, to a worker that did not obey its cancel file; each at most once per ``pressed``."""
    requested_at = run.cancel_requested()
    if requested_at is None:
        return
    waited_s = time.time() - requested_at
    number = signal.SIGKILL if waited_s > KILL_AFTER_S else signal.SIGTERM if waited_s > TERMINATE_AFTER_S else None
    status = run.stored_status()
    here = status.pid is not None and status.host == socket.gethostname() and is_alive(status)
    if number is None or number in pressed or status.state != "running" or not here:
        return
    pressed.add(number)
    try:
        os.kill(int(status.pid or 0), number)
    except ProcessLookupError:
        return  # it ended meanwhile, which is what was wanted


_spawned: list[subprocess.Popen[bytes]] = []


def _popen(command: list[str], log: Any) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(filter(None, (str(SOURCE_ROOT), os.environ.get("PYTHONPATH"))))
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
    )


def _queue_folder(store: RunStore) -> Path:
    """Where dispatchers keep their locks and logs."""
    return store.root / ".queue"


def _writable(folder: Path) -> Path:
    """``folder``, made where it is not there. Raises CompatError where nothing can be written into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_written(folder, error.strerror) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _not_written(folder, os.strerror(errno.EACCES))
    return folder


def _not_written(folder: Path, why: str | None) -> CompatError:
    return CompatError("queue folder", value=str(folder), rule=f"cannot be written ({why})", fix="mend its permissions")
