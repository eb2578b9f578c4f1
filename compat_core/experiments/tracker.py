"""How a running experiment tells the world what it does: status, events, log, cancellation, heartbeat."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from compat_core.errors import Cancelled, CompatError
from compat_core.experiments import files
from compat_core.experiments.advice import advise
from compat_core.experiments.environment import snapshot
from compat_core.experiments.pace import Work, forecast
from compat_core.experiments.reporting import NullTracker, Tracker
from compat_core.experiments.run import ENVIRONMENT_FILE, EVENTS_FILE, LOG_FILE, Run
from compat_core.experiments.status import HEARTBEAT_EVERY_S, RunStatus, this_process

__all__ = ["NullTracker", "RunTracker", "Tracker"]

STATUS_EVERY_S = 0.5
CANCEL_CHECK_EVERY_S = 0.5
QUICK_STAGE_S = 0.5
LOCK_WAIT_S = 1.0  # whoever asks if a run is held takes its lock for a moment


class RunTracker:
    """Writes the life of a run into its folder. Safe to call from several threads.

    Used as a context manager: entering takes the run's lock and starts the heartbeat thread; leaving ends both, and
    records an error that passes through as the run's end. Without an error, :meth:`finish` says that all is done.

    Args:
        run: the run this process works on.
        echo: also called with every log line (a terminal); None: only the file.
        on_status: called with every new status (a progress bar); None: nobody watches.
    """

    def __init__(
        self,
        run: Run,
        echo: Callable[[str], None] | None = None,
        on_status: Callable[[RunStatus], None] | None = None,
    ) -> None:
        self.run = run
        self._echo = echo
        self._on_status = on_status
        self._guard = threading.RLock()
        self._lock = run.lock
        self._status = RunStatus(state="running", **this_process())
        self._stages: list[tuple[str, float]] = []  # name and monotonic time of its beginning
        self._stage_index, self._works = 0, [Work(training=1.0)]
        self._spent: dict[int, float] = {}  # seconds of finished stages, by number; skipped ones are not in it
        self._began = time.monotonic()
        self._ended = 0.0
        self._written_at = self._checked_at = 0.0
        self._stop = threading.Event()
        self._heart: threading.Thread | None = None

    # -- life ------------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Take the run over.

        Raises:
            CompatError: when another process works on it, or it was deleted.
        """
        before = self.run.stored_status()
        if not self._lock.acquire(LOCK_WAIT_S):
            raise CompatError("run", value=self.run.id, rule="another process is working on it", fix="cancel it first")
        self._began = time.monotonic()
        self._status = RunStatus(
            state="running",
            stage="starting",
            queued_at=before.queued_at,
            started_at=time.time(),
            **this_process(),
        )
        try:
            self._write()
        except BaseException:
            self._lock.release()
            raise
        self._heart = threading.Thread(target=self._beat, name=f"heartbeat of {self.run.id}", daemon=True)
        self._heart.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the run back; an error that passes through ends it as failed or, when it is a stop, as cancelled."""
        try:
            if isinstance(error, (Cancelled, KeyboardInterrupt)):
                self.cancelled()
            elif error is not None:
                self.fail(error)
        finally:
            self._stop.set()
            if self._heart is not None:
                self._heart.join()
            self._lock.release()

    def start(self, device_name: str, reason: str) -> None:
        """Record the device and write ``environment.json``; a resumed run keeps what it ran on before under
        ``earlier``."""
        environment = snapshot(device_name, reason)
        before = self.run.environment()
        if before is not None:
            earlier = before.pop("earlier", [])
            environment["earlier"] = [*earlier, before]
        with self._guard, self.run.while_there():
            files.write_json(self.run.path / ENVIRONMENT_FILE, environment)
            self._update(device=device_name)
        self.log(f"device: {device_name} ({reason})")

    def computes_with(self, threads: int, precision: str) -> None:
        """Add both to ``environment.json``; the log says when a resumed run began with others."""
        facts = {"cpu_threads": threads, "precision": precision}
        environment = self.run.environment() or {}
        for name, value in facts.items():
            before = next((one[name] for one in reversed(environment.get("earlier", [])) if name in one), value)
            if before != value:
                self.log(f"note: {name} is {value}, was {before}: not quite the numbers of an uninterrupted run")
        with self._guard, self.run.while_there():
            files.write_json(self.run.path / ENVIRONMENT_FILE, environment | facts)

    def finish(self) -> None:
        """State ``done``."""
        self._end("done", progress=1.0)

    def fail(self, error: BaseException) -> None:
        """State ``failed`` with the message, the suggested fix and, for a bug, the traceback.

        Not echoed: whoever catches the error shows it.
        """
        if not self.run.exists():
            return
        note = advise(error)
        if note.traceback:
            for line in note.traceback.rstrip().splitlines():
                self._to_file(line)
        self._to_file(f"failed: {note.message}")
        if note.fix:
            self._to_file(f"what to do: {note.fix}")
        self._end("failed", error=note)

    def cancelled(self) -> None:
        """State ``cancelled``; what was computed so far stays and can be resumed."""
        self._end("cancelled")

    # -- what happens meanwhile --------------------------------------------------------------------------------------

    def expect(self, works: Sequence[Work]) -> None:
        """What every stage will cost, for progress and the time left; without it all stages count alike."""
        with self._guard:
            self._works = list(works)

    def stage(self, name: str, index: int, total: int) -> None:
        """Begin a stage: logged, shown in the status, and the seconds of the one before are recorded."""
        now = time.monotonic()
        with self._guard:
            if self._stages and now - self._stages[-1][1] >= QUICK_STAGE_S:
                # A shorter stage was only skipped by a resumed run: it must not make the rest look short.
                self._spent[self._stage_index] = now - self._stages[-1][1]
            self._record_stage_end(now)
            self._stages.append((name, now))
            self._stage_index = index
            if len(self._works) != total:
                self._works = [Work(training=1.0)] * max(total, 1)
            self._update(stage=name, **self._progress_fields(0.0))
        self.log(f"stage {index + 1}/{total}: {name}")
        self.check_cancelled()

    def progress(self, fraction_of_stage: float) -> None:
        """Progress within the stage, in [0, 1]; written at most each 0.5 s."""
        fields = self._progress_fields(fraction_of_stage)
        with self._guard:
            if time.monotonic() - self._written_at < STATUS_EVERY_S:
                self._status = self._status.replace(**fields)
            else:
                self._update(**fields)

    def event(self, kind: str, **fields: Any) -> None:
        """Append ``{"t": epoch seconds, "kind": …, "stage": …, …}`` to ``events.jsonl``."""
        event = {"t": time.time(), "kind": kind, "stage": self._status.stage, **fields}
        with self._guard, self.run.while_there():
            files.append_event(self.run.path / EVENTS_FILE, event)

    def log(self, line: str) -> None:
        """Append the line, with the time, to ``log.txt``, and echo it."""
        self._to_file(line)
        if self._echo is not None:
            self._echo(line)

    def check_cancelled(self) -> None:
        """Look for the request to stop, at most each 0.5 s.

        Raises:
            Cancelled: when there is one, and when the run's folder was deleted.
        """
        now = time.monotonic()
        if now - self._checked_at < CANCEL_CHECK_EVERY_S:
            return
        self._checked_at = now
        if not self.run.exists():
            raise Cancelled(f"the folder of run {self.run.id} was deleted")
        if self.run.cancel_requested():
            raise Cancelled(f"run {self.run.id} was cancelled")

    def stage_seconds(self) -> list[dict[str, Any]]:
        """``[{"name": …, "seconds": …}]`` in the order the stages ran, the current one included."""
        with self._guard:
            starts = [start for _, start in self._stages] + [self._ended or time.monotonic()]
            return [
                {"name": name, "seconds": round(starts[position + 1] - start, 3)}
                for position, (name, start) in enumerate(self._stages)
            ]

    # -- inside ----------------------------------------------------------------------------------------------------

    def _progress_fields(self, fraction: float) -> dict[str, Any]:
        spent = dict(self._spent)
        if self._stages:
            spent[self._stage_index] = time.monotonic() - self._stages[-1][1]
        done, left = forecast(self._works, spent, self._stage_index, min(max(fraction, 0.0), 1.0))
        return {"progress": done, "eta_s": left}

    def _record_stage_end(self, now: float) -> None:
        if self._stages:
            name, start = self._stages[-1]
            self.event("stage_end", name=name, seconds=round(now - start, 3))

    def _update(self, **changes: Any) -> None:
        self._status = self._status.replace(heartbeat=time.time(), **changes)
        self._write()

    def _write(self) -> None:
        self._written_at = time.monotonic()
        self.run.write_status(self._status)
        if self._on_status is not None:
            self._on_status(self._status)

    def _end(self, state: str, **changes: Any) -> None:
        with self._guard:
            if self._ended:  # the first end is the true one
                return
            self._ended = time.monotonic()
            self._stop.set()
            if not self.run.exists():
                return  # deleted while it ran: there is no one left to tell
            self._record_stage_end(self._ended)
            line = f"{state} after {self._ended - self._began:.1f} s"
            (self.log if state == "done" else self._to_file)(line)
            self._update(state=state, eta_s=None, finished_at=time.time(), **changes)

    def _to_file(self, line: str) -> None:
        with self._guard, self.run.while_there():
            files.append_line(self.run.path / LOG_FILE, f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {line}")

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_EVERY_S):
            with self._guard:
                if self._stop.is_set() or not self.run.exists():
                    return  # a deleted run: check_cancelled() tells the main thread
                # A full disk may have room again at the next beat; if it stays full, the main thread meets the same
                # error and reports it. A run deleted at this very moment ends the loop next time round.
                with contextlib.suppress(OSError, CompatError):
                    self._update()
