"""Frozen dataclasses ⇄ JSON, strictly: every field documented, every unknown key refused with a suggestion.

A config class is ``@dataclass(frozen=True, slots=True)`` whose fields are made with :func:`param`. The same metadata
feeds validation, the command line's help, the app's forms and the methods page.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Sequence
from typing import Any, TypeVar

from compat_core.errors import CompatError, unknown_name

Config = TypeVar("Config")


def param(
    default: Any,
    help: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] | None = None,
    paper: str = "",
) -> Any:
    """A documented dataclass field.

    Args:
        default: the value when none is given.
        help: one sentence for the person who fills in the form.
        unit: the unit of the value (``"epochs"``, ``"px"``); empty for a pure number.
        low, high: inclusive range of a number; None where open.
        choices: the values a string may take.
        paper: the paper's (or its code's) value, where there is one.
    """
    metadata = {"help": help, "unit": unit, "low": low, "high": high, "choices": choices, "paper": paper}
    if isinstance(default, (list, dict, set)):
        raise TypeError("config defaults are immutable: use a tuple or a frozen dataclass")
    return dataclasses.field(default=default, metadata=metadata)


def to_dict(config: Any) -> dict[str, Any]:
    """The config as plain JSON types, complete (defaults included)."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def digest(config: Any) -> str:
    """Twelve hex digits that change when any value of the config changes."""
    text = json.dumps(to_dict(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def from_dict(cls: type[Config], values: Any, where: str = "") -> Config:
    """Build ``cls`` from JSON types, refusing unknown keys, wrong types and values out of range.

    Args:
        cls: a config dataclass.
        values: a mapping of field name to JSON value; missing fields take their defaults.
        where: the path of this object in the file, for messages (``"new.train"``).

    Raises:
        CompatError: naming the key, the value, the rule and the likely fix.
    """
    name = where or cls.__name__
    if not isinstance(values, dict):
        raise CompatError(name, value=values, rule="must be an object of named values")
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for key in values:
        if key not in fields:
            raise unknown_name(f"key in {name}", key, fields)
    kwargs = {
        key: _coerce(hints[key], value, f"{where}.{key}" if where else key, fields[key].metadata)
        for key, value in values.items()
    }
    return cls(**kwargs)


def check_ranges(config: Any, where: str = "") -> None:
    """Check every field of an already built config against its own metadata; for use in ``__post_init__``."""
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        path = f"{where}.{field.name}" if where else field.name
        value = getattr(config, field.name)
        if not dataclasses.is_dataclass(value) and not isinstance(value, tuple):
            _coerce(hints[field.name], value, path, field.metadata)


def _coerce(hint: Any, value: Any, path: str, metadata: Any) -> Any:
    """``value`` as the type that ``hint`` asks for, or a CompatError that names ``path``."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        inner = [arg for arg in typing.get_args(hint) if arg is not type(None)]
        return None if value is None else _coerce(inner[0], value, path, metadata)
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise CompatError(path, value=value, rule="must be a list")
        item = typing.get_args(hint)[0]
        return tuple(_coerce(item, entry, f"{path}[{index}]", metadata) for index, entry in enumerate(value))
    if origin is dict or hint is dict:
        if not isinstance(value, dict):
            raise CompatError(path, value=value, rule="must be an object of named values")
        return dict(value)
    if dataclasses.is_dataclass(hint):
        return value if isinstance(value, hint) else from_dict(hint, value, path)  # type: ignore[arg-type]
    return _scalar(hint, value, path, metadata)


def _scalar(hint: Any, value: Any, path: str, metadata: Any) -> Any:
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if hint in words and (not isinstance(value, hint) or (hint is not bool and isinstance(value, bool))):
        raise CompatError(path, value=value, rule=f"must be {words[hint]}")
    low, high, choices = (metadata.get(key) for key in ("low", "high", "choices"))
    if isinstance(value, float) and value != value:
        raise CompatError(path, value=value, rule="must be a number, not NaN")
    if hint in (int, float) and ((low is not None and value < low) or (high is not None and value > high)):
        bounds = f"from {low} to {high}" if None not in (low, high) else f">= {low}" if high is None else f"<= {high}"
        raise CompatError(path, value=value, rule=f"must be {bounds}")
    if choices and value not in choices:
        raise unknown_name(f"value of {path}", str(value), [str(choice) for choice in choices])
    return value
