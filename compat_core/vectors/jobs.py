"""Decisions that the app started: a folder each, with what was uploaded, the process at work, and what it wrote."""

from __future__ import annotations

import json
import re
import secrets
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compat_core.errors import CompatError
from compat_core.experiments.background import BackgroundProcess
from compat_core.experiments.files import folders_with, read_json, write_json
from compat_core.experiments.store import runs_root
from compat_core.vectors.checks import SEE_CHECK
from compat_core.vectors.file_spec import FileSpec
from compat_core.vectors.peek import InputFile

FOLDER = "decisions"
SCHEMA_VERSION = 1
REQUEST_FILE, DECISION_FILE, PAGE_FILE, QUERIES_FILE = "request.json", "decision.json", "decision.html", "per_query.npz"
KEYS = {"rows", "recommended", "reason", "config"}  # what readers of a decision rely on
CANCEL_FILE = "cancelled"
_OPTIONS = re.compile(r" \((--[a-z-]+(, )?)+\)")  # the options that a sentence names beside what they are
_OPTION = re.compile(r"--(?=[a-z])")
STEP = re.compile(r"(option|closer look) \d+ of \d+: ")


def read_decision(path: Path) -> dict[str, Any]:
    """A ``decision.json``. Raises CompatError for a file that is not one, or of another version of this program."""
    document = read_json(path)
    if not isinstance(document, dict) or "decision" not in document:
        raise CompatError("decision", value=str(path), rule="is not what decide writes")
    if document.get("schema_version") != SCHEMA_VERSION:
        rule = f"was written by another version; this one reads schema {SCHEMA_VERSION}"
        raise CompatError("decision", value=str(path), rule=rule, fix="decide again")
    decision = document["decision"]
    missing = KEYS - set(decision) if isinstance(decision, dict) else KEYS
    if missing:
        rule = f"lacks {', '.join(sorted(missing))}"
        raise CompatError("decision", value=str(path), rule=rule, fix="decide again")
    return document


@dataclass(frozen=True, slots=True)
class DecisionJob:
    """One decision's folder; its name is the id."""

    path: Path

    @property
    def id(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def title(self) -> str:
        """What it is called."""
        return str(self._request().get("title") or self.id)

    def rename(self, title: str) -> None:
        """Call it something else; spaces around are dropped. Raises CompatError for nothing."""
        if not title.strip():
            raise CompatError("title", value=title, rule="must hold something")
        write_json(self.path / REQUEST_FILE, self._request() | {"title": title.strip()})

    @property
    def arguments(self) -> list[str]:
        """The command line after ``decide``, without ``--out``."""
        return [str(one) for one in self._request().get("arguments", ())]

    @property
    def files(self) -> dict[str, str]:
        """Option of ``decide`` -> its value, such as ``old`` -> a file; of an option given several times, the last."""
        words = self.arguments
        return {option.removeprefix("--"): value for option, value in zip(words[::2], words[1::2], strict=False)}

    def command(self, changed: Mapping[str, str] | None = None) -> str:
        """The same decision from a shell, into a folder called DIR.

        Args:
            changed: option -> value, such as ``items`` -> ``1000000``, in place of what it was asked for with.
        """
        changed = changed or {}
        words = self.arguments
        kept = [(option, value) for option, value in zip(words[::2], words[1::2], strict=False)
                if option.removeprefix("--") not in changed]  # fmt: skip
        new = [(f"--{option}", value) for option, value in changed.items()]
        arguments = [word for pair in (*kept, *new) for word in pair]
        return shlex.join(["python", "-m", "compat_core", "decide", *arguments, "--out", "DIR"])

    @property
    def inputs(self) -> Path:
        """Where uploaded files are kept."""
        return self.path / "inputs"

    @property
    def process(self) -> BackgroundProcess:
        """The process that decides."""
        return BackgroundProcess(self.path, "decide")

    @property
    def last_words(self) -> str:
        """The end of what ``decide`` printed, with uploads called as they were and no advice for a command line."""
        words = self.process.last_words() or "the process was ended"
        for path, name in self._request().get("uploads", {}).items():
            words = words.replace(str(self.inputs / path), name)
        return _OPTION.sub("", _OPTIONS.sub("", words.replace(f"; {SEE_CHECK}", "")))

    def process_named(self, name: str) -> BackgroundProcess:
        """Another process that works in this folder, such as a migration."""
        return BackgroundProcess(self.path, name)

    @property
    def state(self) -> str:
        """``running``, ``done``, ``cancelled`` or ``failed``."""
        if self.process.is_running:
            return "running"
        if (self.path / DECISION_FILE).is_file():
            return "done"
        return "cancelled" if (self.path / CANCEL_FILE).is_file() else "failed"

    @property
    def created(self) -> str:
        """When it was asked for, such as ``24 Nov 21:11``, on this machine's clock."""
        return time.strftime("%d %b %H:%M", time.localtime(float(self._request().get("created_at", 0.0))))

    @property
    def steps(self) -> str:
        """What ``decide`` last said it is doing, such as ``option 3 of 41: ridge old→new``; empty at first."""
        said = [line for line in (self.process.last_words() or "").splitlines() if STEP.match(line)]
        return said[-1] if said else ""

    def start(self) -> None:
        """Begin, in a process of its own."""
        (self.path / CANCEL_FILE).unlink(missing_ok=True)
        self.process.start(["decide", *self.arguments, "--out", str(self.path)])

    def document(self) -> dict[str, Any]:
        """What ``decide`` wrote. Raises CompatError while there is nothing, or when it was deleted."""
        if not (self.path / DECISION_FILE).is_file():
            raise CompatError("decision", value=self.id, rule="is not there (yet), or was deleted")
        return read_decision(self.path / DECISION_FILE)

    def per_query(self) -> dict[str, np.ndarray]:
        """The arrays of :func:`compat_core.vectors.studies.per_query`. Raises CompatError where they were deleted."""
        if not (self.path / QUERIES_FILE).is_file():
            rule = f"{QUERIES_FILE} is gone, and with it who gets worse"
            raise CompatError("decision", value=self.id, rule=rule, fix="decide again")
        with np.load(self.path / QUERIES_FILE) as stored:
            return {name: stored[name] for name in stored.files}

    def cancel(self) -> None:
        """End the process that decides; what was uploaded stays, and it can be started again."""
        if self.process.is_running:
            (self.path / CANCEL_FILE).touch()
            self.process.stop()

    def delete(self) -> None:
        """Remove the folder. Raises CompatError while a process works in it."""
        if any(self.process_named(note.stem).is_running for note in self.path.glob("*.process")):
            raise CompatError("decision", value=self.id, rule="is being worked on", fix="wait or cancel")
        shutil.rmtree(self.path, ignore_errors=True)

    def _request(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.path / REQUEST_FILE).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return found


class DecisionStore:
    """All decisions under the runs folder.

    Args:
        root: the runs folder; None: the default one.
    """

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = runs_root(root) / FOLDER

    def create(
        self, title: str, arguments: Sequence[str], uploads: Mapping[str, InputFile] | None = None
    ) -> DecisionJob:
        """Make the folder of a new decision; nothing is started.

        Args:
            title: for people.
            arguments: of ``decide``, without ``--out`` and without those of the uploads.
            uploads: option name (``old``, or ``group=NAME``) -> what was uploaded, as bytes; each is written and named
                by ``--option``, with its column. The file name that somebody uploaded is never used as a path.
        """
        path = self.root / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        (path / "inputs").mkdir(parents=True)
        named = []
        called = {}
        for option, file in (uploads or {}).items():
            if not isinstance(file.content, bytes):
                raise TypeError(f"{file.name} lies on this machine: name it among the arguments")
            option, named_so, name = option.partition("=")
            spec = FileSpec(path / "inputs" / f"{option}{file.spec.kind}", file.column)
            spec.path.write_bytes(file.content)
            called[spec.path.name] = file.name
            named += [f"--{option}", f"{name}={spec}" if named_so else str(spec)]
        request = {"title": title, "arguments": [*named, *arguments], "uploads": called, "created_at": time.time()}
        write_json(path / REQUEST_FILE, request)
        return DecisionJob(path)

    def unreadable(self) -> list[Path]:
        """Folders that may hold a decision and that permissions keep closed."""
        return folders_with(self.root, REQUEST_FILE)[1]

    def list(self) -> list[DecisionJob]:
        """Newest first."""
        return [DecisionJob(path) for path in reversed(folders_with(self.root, REQUEST_FILE)[0])]

    def get(self, name: str) -> DecisionJob:
        """The decision with that id. Raises CompatError where there is none."""
        if name not in {job.id for job in self.list()}:
            raise CompatError("decision", value=name, rule="there is none of that id")
        return DecisionJob(self.root / name)
