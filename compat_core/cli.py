"""The command line: ``python -m compat_core COMMAND …``.

Exit status 0 is success, 2 bad input or a limit of the machine (one line on stderr), 130 cancelled, 1 a bug.
"""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Sequence
from typing import TextIO

from compat_core import __version__
from compat_core.commands import (
    catalogue,
    claims,
    decision,
    experiment,
    gate,
    migration,
    reproduction,
    results,
    vectors,
)
from compat_core.commands.parser import Parser, parse
from compat_core.errors import Cancelled, CompatError
from compat_core.experiments.advice import advise, is_bug

OK, BUG, BAD_INPUT, CANCELLED = 0, 1, 2, 130
RUN_COMMANDS = ("demo", "run", "work", "dispatch")  # which make or continue a run


def build_parser() -> Parser:
    """The complete parser; its help lists the commands for people, not the queue's internal ones."""
    parser = Parser(
        prog="python -m compat_core",
        description="CompatBench: train, fit and measure embedding models that stay compatible with the gallery they "
        "replace.",
        epilog="Start with: python -m compat_core demo",
    )
    parser.add_argument("--version", action="version", version=f"CompatBench {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for module in (experiment, catalogue, results, claims, reproduction, vectors, decision, gate, migration):
        module.add(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status. A bug is raised, with its traceback (exit status 1)."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _one_line
            status = _run(arguments)
        sys.stdout.flush()  # here, where a closed pipe can still be handled
        return status
    except CompatError as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except Cancelled as stop:
        print(stop, file=sys.stderr)
        return CANCELLED
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return CANCELLED
    except BrokenPipeError:
        _forget_stdout()  # the reader (``head``) has seen enough
        return OK
    except Exception as error:
        if is_bug(error):
            raise
        note = advise(error, of_run=bool(arguments) and arguments[0] in RUN_COMMANDS)
        print(f"{note.message}; {note.fix}", file=sys.stderr)
        return BAD_INPUT


def _run(arguments: list[str]) -> int:
    parser = build_parser()
    try:
        values = parse(parser, arguments)
    except SystemExit as stop:  # --help and --version
        return int(stop.code or 0)
    if values.command is None:
        parser.print_help()
        return OK
    return int(values.handler(values))


def _one_line(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """A warning as one line on stderr, without the source line that Python shows."""
    print(f"warning: {' '.join(str(message).split())}", file=sys.stderr)


def _forget_stdout() -> None:
    """Point stdout at nothing, or the interpreter complains about the closed pipe once more when it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
