"""argparse whose errors are one line with a suggestion, instead of a usage dump."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Sequence
from typing import Any, NoReturn

from compat_core.errors import CompatError, unknown_name

Subparsers = Any  # argparse's own class is private


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises CompatError, and does not guess at abbreviated options."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)  # a new option must never change what an old script means
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        """Raise the message as a CompatError that names the command."""
        raise CompatError(f"{self.prog.rpartition(' ')[2]}: {message}; see: {self.prog} --help")


def parse(parser: Parser, argv: Sequence[str]) -> argparse.Namespace:
    """Parse ``argv``; a misspelt command or option is a CompatError that suggests the right one."""
    commands = _subparsers(parser)
    if argv and not argv[0].startswith("-") and argv[0] not in commands:
        shown = [name for name, command in commands.items() if command.description]
        raise unknown_name("command", argv[0], shown)
    values, extra = parser.parse_known_args(argv)
    if not extra:
        return values
    command = commands.get(getattr(values, "command", None) or "", parser)
    wrong = extra[0]
    if not wrong.startswith("-"):
        command.error(f"unexpected argument {wrong!r}")
    options = [option for option in command._option_string_actions if option.startswith("--")]
    name = wrong.partition("=")[0]
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    fix = f"did you mean {close[0]}?" if close else f"see: {command.prog} --help"
    raise CompatError(f"{command.prog.rpartition(' ')[2]}: unknown option", value=name, fix=fix)


def whole(text: str) -> int:
    """An argument that is a whole number from 0."""
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise argparse.ArgumentTypeError(f"got {text!r}; must be a whole number from 0")
    return value


def add_runs_dir(parser: argparse.ArgumentParser) -> None:
    """The option that says where runs live."""
    parser.add_argument(
        "--runs-dir", metavar="DIR", help="the folder of runs (default: $COMPATBENCH_RUNS, else ./runs)"
    )


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, Parser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}
