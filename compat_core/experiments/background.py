"""A command of this program in a process of its own, which outlives whoever started it and can be found again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compat_core.experiments.status import process_start_time

SOURCE_ROOT = Path(__file__).parents[2]
LAST_WORDS = 2000  # characters
PROGRAM = (sys.executable, "-m", "compat_core")


@dataclass(frozen=True, slots=True)
class BackgroundProcess:
    """One command at a time under one name in one folder: ``NAME.process`` says who, ``NAME.log`` what was printed."""

    folder: Path
    name: str

    @property
    def log(self) -> Path:
        """What the process printed."""
        return self.folder / f"{self.name}.log"

    @property
    def is_running(self) -> bool:
        """Whether the process is at work now, whoever started it: a reloaded page finds it again."""
        try:
            noted = json.loads(self._note.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return False
        start_time = process_start_time(noted["pid"])
        return start_time is not None and start_time == noted["pid_start_time"]

    def start(self, arguments: Sequence[str]) -> None:
        """Run ``python -m compat_core ARGUMENTS``; nothing where it is running already."""
        if self.is_running:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [*PROGRAM, *arguments], cwd=SOURCE_ROOT, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        noted = {"pid": process.pid, "pid_start_time": process_start_time(process.pid)}
        part = self._note.with_suffix(".process-part")
        part.write_text(json.dumps(noted))
        os.replace(part, self._note)

    def stop(self) -> None:
        """End it, and what it started, at once; nothing where it is not running."""
        if self.is_running:
            # It leads a session of its own, so its number is that of its group too.
            os.killpg(json.loads(self._note.read_text())["pid"], signal.SIGTERM)

    def last_words(self) -> str | None:
        """The end of what it printed; None where it was never started."""
        try:
            return self.log.read_text(encoding="utf-8", errors="replace")[-LAST_WORDS:].strip()
        except FileNotFoundError:
            return None

    @property
    def _note(self) -> Path:
        return self.folder / f"{self.name}.process"
