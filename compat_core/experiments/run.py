"""One run: a folder, and what can be read from it at any moment, also while it is written or being deleted."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compat_core.errors import CompatError, unknown_name
from compat_core.experiments import files
from compat_core.experiments import results as results_file
from compat_core.experiments.locks import FileLock
from compat_core.experiments.results import RESULTS_FILE, Answer
from compat_core.experiments.status import RunError, RunStatus, derived_state

if TYPE_CHECKING:
    from compat_core.experiments.config import ExperimentConfig

CONFIG_FILE = "config.json"
STATUS_FILE = "status.json"
META_FILE = "meta.json"
EVENTS_FILE = "events.jsonl"
LOG_FILE = "log.txt"
WORKER_LOG_FILE = "worker.log"
ENVIRONMENT_FILE = "environment.json"
CANCEL_FILE = "cancel"
LOCK_FILE = ".lock"


@dataclass(frozen=True, slots=True)
class RunMeta:
    """What people write beside a run; nothing here changes a number.

    Attributes:
        name: shown instead of the id; empty: the id is shown.
        tags: short words to filter by.
        notes: free text.
        pinned: kept at the top of lists.
        archived: hidden from lists until asked for.
        created_at: epoch seconds.
    """

    name: str = ""
    tags: tuple[str, ...] = ()
    notes: str = ""
    pinned: bool = False
    archived: bool = False
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder. Every reader raises CompatError ("run … was deleted") once the folder is gone.

    Attributes:
        path: the folder; its name is the run's id.
    """

    path: Path

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.path.name

    def exists(self) -> bool:
        """Whether the folder is still there, with the configuration that makes it a run; False where it is closed."""
        try:
            return (self.path / CONFIG_FILE).is_file()
        except PermissionError:
            return False

    @property
    def lock(self) -> FileLock:
        """Held by the process that works on this run, for as long as it lives."""
        return FileLock(self.path / LOCK_FILE)

    # -- what the run is -------------------------------------------------------------------------------------------

    @property
    def config(self) -> ExperimentConfig:
        """The complete configuration. Raises CompatError when the file breaks its rules."""
        from compat_core.experiments.config import ExperimentConfig  # late: loads the rooms it describes

        return ExperimentConfig.from_dict(self.config_dict())

    def config_dict(self) -> dict[str, Any]:
        """The configuration as stored, unchecked: enough for a list, and light to read."""
        with self.while_there():
            values = files.read_json(self.path / CONFIG_FILE)
        if not isinstance(values, dict):
            raise CompatError("config file", value=str(self.path / CONFIG_FILE), rule="must be an object")
        return values

    @property
    def meta(self) -> RunMeta:
        """Name, tags, notes and flags; defaults where none were written."""
        with self.while_there():
            path = self.path / META_FILE
            values = files.read_json(path) if path.is_file() else {}
        known = {field.name for field in dataclasses.fields(RunMeta)}
        values = {key: value for key, value in values.items() if key in known}
        if "tags" in values:
            values["tags"] = tuple(values["tags"])
        return RunMeta(**values)

    def update_meta(self, **changes: Any) -> RunMeta:
        """Write changed fields of :class:`RunMeta` and return the result.

        Raises:
            CompatError: for a field that does not exist or a value of another type.
        """
        old = self.meta
        for key, value in changes.items():
            if key not in RunMeta.__dataclass_fields__:
                raise unknown_name("field of a run", key, RunMeta.__dataclass_fields__)
            if key == "tags" and not isinstance(value, str):
                changes[key] = tuple(dict.fromkeys(str(tag).strip() for tag in value if str(tag).strip()))
            elif not isinstance(value, type(getattr(old, key))):
                raise CompatError(key, value=value, rule=f"must be a {type(getattr(old, key)).__name__}")
        new = dataclasses.replace(old, **changes)
        with self.while_there():
            files.write_json(self.path / META_FILE, dataclasses.asdict(new))
        return new

    # -- how it is doing -------------------------------------------------------------------------------------------

    @property
    def status(self) -> RunStatus:
        """The status to show: ``state`` is ``lost`` where the process vanished without writing an end."""
        status = self.stored_status()
        return status.replace(state=derived_state(status))

    def stored_status(self) -> RunStatus:
        """The status as last written. A folder without a readable one (copied in part) is done or lost."""
        with self.while_there():
            try:
                return RunStatus.from_dict(files.read_json(self.path / STATUS_FILE))
            except (FileNotFoundError, CompatError) as error:
                if not self.path.is_dir():
                    raise
                if (self.path / RESULTS_FILE).is_file():
                    return RunStatus(state="done", progress=1.0)
                why = "it is missing" if isinstance(error, FileNotFoundError) else str(error)
                return RunStatus(state="running", error=RunError(f"the status of this run cannot be read: {why}"))

    def write_status(self, status: RunStatus) -> None:
        """Replace the stored status."""
        with self.while_there():
            files.write_json(self.path / STATUS_FILE, status.to_dict())

    def events(self, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
        """The events since byte ``offset`` of ``events.jsonl``, and the offset for the next call."""
        with self.while_there():
            return files.read_events(self.path / EVENTS_FILE, offset)

    def log_tail(self, lines: int = 40, name: str = LOG_FILE) -> str:
        """The last lines of ``log.txt`` (or of ``worker.log``, which holds what libraries print)."""
        with self.while_there():
            return files.tail(self.path / name, lines)

    def environment(self) -> dict[str, Any] | None:
        """The machine, packages and commit of the run; None before it started."""
        return self._optional(ENVIRONMENT_FILE)

    # -- what came out ---------------------------------------------------------------------------------------------

    def results(self) -> dict[str, Any] | None:
        """The content of ``results.json`` under this run's id; None while there is none.

        The caller's own: changing it changes nothing. Raises CompatError when the file is not JSON.
        """
        with self.while_there():
            return results_file.load(self.path)

    def has_damaged_results(self) -> bool:
        """Whether the run is done and its results cannot be read."""
        if self.status.state != "done":
            return False
        try:
            self.results()
        except CompatError:
            return True
        return False

    def derive(self, make: Callable[[dict[str, Any]], Answer]) -> Answer | None:
        """``make(results)``, worked out once per version of the file; None without results.

        See :func:`compat_core.experiments.results.derive` for what ``make`` may be.
        """
        with self.while_there():
            return results_file.derive(self.path, make)

    def rows(self) -> list[dict[str, Any]]:
        """The tidy result rows, each with ``run`` as its first column; empty while there are no results."""
        return (self.results() or {}).get("rows", [])

    # -- what can be done to it ------------------------------------------------------------------------------------

    def request_cancel(self) -> None:
        """Ask the process that works on this run to stop at its next safe point. Asking twice changes nothing."""
        with self.while_there(), contextlib.suppress(FileExistsError):
            os.close(os.open(self.path / CANCEL_FILE, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))

    def cancel_requested(self) -> float | None:
        """When the run was asked to stop, in epoch seconds (truthy); None when it was not."""
        try:
            return (self.path / CANCEL_FILE).stat().st_mtime
        except FileNotFoundError:
            return None

    def clear_cancel(self) -> None:
        """Take back :meth:`request_cancel`, before a run is resumed."""
        (self.path / CANCEL_FILE).unlink(missing_ok=True)

    def delete(self) -> None:
        """Remove the folder and everything in it.

        Raises:
            CompatError: while a process works on the run, and when it was deleted before.
        """
        if self.status.state == "running" or self.lock.is_held():
            raise CompatError("run", value=self.id, rule="it is running", fix="cancel it before deleting it")
        # Renaming is one step: no reader ever sees half a folder under the run's own name.
        grave = self.path.with_name(f".deleted-{self.id}-{secrets.token_hex(3)}")
        with self.while_there():
            self.path.rename(grave)
        if grave.is_symlink():
            grave.unlink()
        else:
            shutil.rmtree(grave)

    def _optional(self, name: str) -> dict[str, Any] | None:
        with self.while_there():
            try:
                return files.read_object(self.path / name)
            except FileNotFoundError:
                if not self.path.is_dir():
                    raise
                return None

    @contextlib.contextmanager
    def while_there(self) -> Iterator[None]:
        """Turn "no such file" into "the run was deleted" where that is the reason, and name what permissions forbid."""
        try:
            if not self.path.is_dir():
                raise FileNotFoundError(self.path)
            yield
        except (FileNotFoundError, NotADirectoryError) as error:
            if self.exists():
                raise CompatError("file", value=str(error.filename), rule="is missing from the run folder") from error
            raise CompatError(f"run {self.id} was deleted", fix="see: python -m compat_core runs") from error
        except PermissionError as error:
            rule = "may not be read or written by this account"
            raise CompatError("file", value=str(error.filename), rule=rule, fix="change its permissions") from error
