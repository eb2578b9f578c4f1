"""What a person at a terminal sees: progress on stderr, so that stdout holds results and nothing else."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import threading
from collections.abc import Sequence
from typing import Any, TextIO

from compat_core.experiments.status import RunStatus


class Console:
    """Log lines, and on a terminal one line of progress below them that is rewritten in place.

    Args:
        stream: where to write; None: stderr.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = sys.stderr if stream is None else stream
        self.live = self.stream.isatty()
        self._shown = 0
        self._guard = threading.Lock()  # the heartbeat thread reports as well

    def line(self, text: str) -> None:
        """Print one line above the progress."""
        with self._guard:
            self._clear()
            print(text, file=self.stream, flush=True)

    def status(self, status: RunStatus) -> None:
        """Show how far a run is; nothing where the stream is a file or a pipe."""
        if not self.live:
            return
        with self._guard:
            self._clear()
            if status.state == "running":
                text = progress_text(status)[: max(shutil.get_terminal_size().columns - 1, 20)]
                print(text, end="", file=self.stream, flush=True)
                self._shown = len(text)

    def _clear(self) -> None:
        if self._shown:
            print("\r" + " " * self._shown + "\r", end="", file=self.stream, flush=True)
            self._shown = 0


def progress_text(status: RunStatus, width: int = 24) -> str:
    """``[######......]  48 %  stage, 12 s left``."""
    filled = round(width * status.progress)
    left = f", {duration(status.eta_s)} left" if status.eta_s is not None else ""
    return f"[{'#' * filled}{'.' * (width - filled)}] {100 * status.progress:3.0f} %  {status.stage}{left}"


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3.5 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def print_json(values: Any) -> None:
    """Write ``values`` to stdout as strict JSON."""
    print(json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False))


def print_paragraph(text: str, indent: int = 4, hanging: int = 0) -> None:
    """Write ``text`` to stdout in lines as wide as the terminal, 40 to 120 characters.

    Args:
        text: the paragraph.
        indent: spaces before every line.
        hanging: further ones before every line but the first.
    """
    width = max(min(shutil.get_terminal_size().columns, 120), 40)
    first = " " * indent
    print(textwrap.fill(text, width, initial_indent=first, subsequent_indent=first + " " * hanging))


def print_table(header: Sequence[str], lines: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Write aligned columns to stdout.

    Args:
        header: the column titles.
        lines: the cells, as many per line as there are titles.
        right: positions of right-aligned columns (numbers).
    """
    widths = [max(len(line[column]) for line in (header, *lines)) for column in range(len(header))]
    for line in (header, *lines):
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
