"""What the runner may tell the world while it works: the face of a tracker, and one that tells nobody."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol, Self

from compat_core.experiments.pace import Work


class Tracker(Protocol):
    """What the runner may call; :class:`~compat_core.experiments.tracker.RunTracker` writes it to the run folder."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def start(self, device_name: str, reason: str) -> None:
        """Say where the work happens and why there."""

    def computes_with(self, threads: int, precision: str) -> None:
        """Say on how many processor threads and in which precision: both change the last digits of every sum."""

    def expect(self, works: Sequence[Work]) -> None:
        """Say what every stage is expected to cost; without it they count alike."""

    def stage(self, name: str, index: int, total: int) -> None:
        """Begin stage ``index`` (from 0) of ``total``; ends the stage before."""

    def progress(self, fraction_of_stage: float) -> None:
        """How much of the stage is done, in [0, 1]; may be called at every step."""

    def event(self, kind: str, **fields: Any) -> None:
        """Record one event (a training step, an epoch, a metric)."""

    def log(self, line: str) -> None:
        """Write one line for people."""

    def check_cancelled(self) -> None:
        """Raise Cancelled when the user asked for a stop; may be called at every step."""

    def finish(self) -> None:
        """The work is complete."""

    def fail(self, error: BaseException) -> None:
        """The work ended with ``error``."""

    def cancelled(self) -> None:
        """The work was stopped on request."""

    def stage_seconds(self) -> list[dict[str, Any]]:
        """``[{"name": …, "seconds": …}]`` of every stage so far, the current one included."""


class NullTracker:
    """The same methods, doing nothing: for tests and for using the core as a library."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to release."""

    def start(self, device_name: str, reason: str) -> None:
        """Ignored."""

    def computes_with(self, threads: int, precision: str) -> None:
        """Ignored."""

    def expect(self, works: Sequence[Work]) -> None:
        """Ignored."""

    def stage(self, name: str, index: int, total: int) -> None:
        """Ignored."""

    def progress(self, fraction_of_stage: float) -> None:
        """Ignored."""

    def event(self, kind: str, **fields: Any) -> None:
        """Ignored."""

    def log(self, line: str) -> None:
        """Ignored."""

    def check_cancelled(self) -> None:
        """Nobody can ask for a stop."""

    def finish(self) -> None:
        """Ignored."""

    def fail(self, error: BaseException) -> None:
        """Ignored."""

    def cancelled(self) -> None:
        """Ignored."""

    def stage_seconds(self) -> list[dict[str, Any]]:
        """No stages are kept."""
        return []
