"""Named entries (methods, losses, metrics, data sets …) that forms, the command line and the documentation read."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from compat_core.errors import unknown_name


class Named(Protocol):
    """Anything that can be registered: it carries its own name."""

    @property
    def name(self) -> str: ...


Entry = TypeVar("Entry", bound=Named)


class Registry(Generic[Entry]):
    """An ordered name → entry mapping whose look-up error suggests the right spelling.

    Args:
        kind: what the entries are, in the singular, for error messages (``"method"``).
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}

    def add(self, entry: Entry) -> Entry:
        """Register ``entry`` under ``entry.name`` and return it.

        Raises:
            ValueError: for a name already taken or with a space, comma, colon or equals sign in it, which command lines
                and configurations put between names, a title or summary that is no text, and a config that forms and
                command lines could not be made from.
        """
        if entry.name in self._entries:
            raise ValueError(f"{self.kind} {entry.name!r} is registered twice")
        for word in ("name", "title", "summary"):
            if not isinstance(getattr(entry, word, "-"), str):
                raise ValueError(f"{self.kind} {entry.name!r}: its {word} must be a text")
        if not re.fullmatch(r"[^\s,:=]+", entry.name):
            raise ValueError(f"{self.kind} {entry.name!r}: its name must have no space, comma, colon or equals sign")
        config = getattr(entry, "config", None)
        if isinstance(config, type):
            if not dataclasses.is_dataclass(config):
                raise ValueError(f"{self.kind} {entry.name!r}: its config must be a dataclass, not {config.__name__}")
            plain = [field.name for field in dataclasses.fields(config) if "help" not in field.metadata]
            if plain:
                raise ValueError(f"{self.kind} {entry.name!r}: make {', '.join(plain)} of its config with param(…)")
        self._entries[entry.name] = entry
        return entry

    def get(self, name: str) -> Entry:
        """The entry called ``name``. Raises CompatError, with the nearest known name, when there is none."""
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries)
        return self._entries[name]

    def names(self) -> tuple[str, ...]:
        """All names, in the order they were registered."""
        return tuple(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)


def import_modules(package: str, path: Sequence[str]) -> None:
    """Import every module of a package that was not yet, by name: entries register themselves, no list to add one to.

    Args:
        package: its full name.
        path: its ``__path__``.
    """
    for name in sorted(module.name for module in pkgutil.iter_modules(path)):
        importlib.import_module(f"{package}.{name}")
