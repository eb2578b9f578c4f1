"""The one family of errors a user is meant to read.

A :class:`CompatError` is one line that says what was wrong, the value that was given, the rule it broke, and how to
mend it. The command line prints it and exits with 2; pages show it in a box. Anything else that escapes is a bug.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_ABSENT = object()


class CompatError(Exception):
    """Bad input, said in one line: ``what: got VALUE; rule; fix``.

    Args:
        what: the argument, file or key that is wrong.
        value: what was given there, shown with ``repr`` (long values are shortened).
        rule: what would have been right.
        fix: what to do now.
    """

    def __init__(self, what: str, *, value: object = _ABSENT, rule: str = "", fix: str = "") -> None:
        parts = []
        if value is not _ABSENT:
            shown = repr(value)
            parts.append(f"got {shown if len(shown) <= 120 else shown[:117] + '...'}")
        parts += [part for part in (rule, fix) if part]
        line = f"{what}: {'; '.join(parts)}" if parts else what
        super().__init__(" ".join(line.split()))


class Cancelled(Exception):
    """The user asked for this run to stop. Not an error: what was computed so far stays and can be resumed."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> CompatError:
    """A :class:`CompatError` for a misspelt name that suggests the nearest known one.

    Args:
        what: the kind of thing that was named, e.g. ``"method"``.
        name: the name that is not known.
        known: the names that are.
    """
    choices = sorted(known)
    by_lower = {choice.lower(): choice for choice in choices}
    close = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.5)
    fix = f"did you mean {by_lower[close[0]]!r}?" if close else ""
    return CompatError(f"unknown {what}", value=name, rule=f"known: {', '.join(choices)}", fix=fix)
