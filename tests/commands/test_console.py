"""Progress as a terminal and as a file gets it."""

from __future__ import annotations

import io

from compat_core.commands.console import Console, duration, progress_text
from compat_core.experiments.status import RunStatus


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_line_of_progress_that_is_rewritten():
    terminal = Terminal()
    console = Console(terminal)
    console.status(RunStatus(state="running", stage="old", progress=0.25, eta_s=42.0))
    console.line("a log line")
    console.status(RunStatus(state="done", progress=1.0))
    shown = terminal.getvalue()
    assert "25 %  old, 42 s left\r" in shown.replace(" " * 10, "") or "42 s left" in shown
    assert shown.endswith("\ra log line\n")


def test_a_file_gets_plain_lines():
    stream = io.StringIO()
    console = Console(stream)
    console.status(RunStatus(state="running", progress=0.5))
    console.line("stage 1/2: old")
    assert stream.getvalue() == "stage 1/2: old\n"


def test_words_for_progress():
    assert progress_text(RunStatus(stage="x", progress=0.5), width=4) == "[##..]  50 %  x"
    assert [duration(seconds) for seconds in (3.4, 720.0, 7200.0)] == ["3 s", "12 min", "2.0 h"]
