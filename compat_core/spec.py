"""A named thing with parameters, as written on a command line: ``fct`` or ``fct:side=simclr,epochs=40``."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from compat_core.errors import CompatError

ALIAS_KEY = "as"


@dataclass(frozen=True, slots=True)
class Spec:
    """A registry name, the parameters that differ from its defaults, and the name result tables use for it.

    Attributes:
        name: registry name.
        params: parameters by name.
        alias: shown instead of ``name:key=value,…``; empty for none.
    """

    name: str
    params: dict[str, Any] = field(default_factory=dict)
    alias: str = ""

    @property
    def label(self) -> str:
        """How result tables call it: the alias, else ``name`` or ``name:key=value,…``."""
        return self.alias or ":".join(filter(None, (self.name, self._pairs())))

    @property
    def text(self) -> str:
        """The spec as :meth:`parse` reads it."""
        pairs = ",".join(filter(None, (self._pairs(), f"{ALIAS_KEY}={self.alias}" if self.alias else "")))
        return f"{self.name}:{pairs}" if pairs else self.name

    def _pairs(self) -> str:
        return ",".join(f"{key}={_text(value)}" for key, value in sorted(self.params.items()))

    @classmethod
    def parse(cls, text: str) -> Spec:
        """Read ``name[:key=value[,key=value…]]``; values are JSON where they can be, else text.

        The key ``as`` gives the alias: ``fct:side=none,as=fct-plain``.

        Raises:
            CompatError: when a parameter is not of the form ``key=value`` or is given twice, or the name holds ``=``.
        """
        name, _, rest = text.strip().partition(":")
        if "=" in name:
            raise CompatError("name", value=name, rule="must not hold =", fix=_put_right(name, rest))
        params: dict[str, Any] = {}
        for pair in filter(None, rest.split(",")):
            key, equals, value = pair.partition("=")
            if not equals or not key.strip():
                raise CompatError("parameter", value=pair, rule="must be key=value", fix=f"write {name}:{pair}=VALUE")
            key = key.strip()
            if key in params:
                raise CompatError(f"parameter {key}", value=text.strip(), rule="given twice", fix="give it once")
            params[key] = _value(value.strip())
        alias = str(params.pop(ALIAS_KEY, ""))
        return cls(name, params, alias)


def parse_specs(text: str) -> tuple[Spec, ...]:
    """Read a comma-separated list of specs, where a part with ``=`` but no ``:`` belongs to the spec before it.

    ``independent,fct:side=simclr,epochs=40,lce`` is three specs.
    """
    groups: list[str] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        if "=" in part and ":" not in part and groups:
            groups[-1] += f",{part}"
        else:
            groups.append(part)
    return tuple(Spec.parse(group) for group in groups)


def _put_right(name: str, rest: str) -> str:
    """What to write for ``bct,weight=3`` (no colon before the parameters) and ``plain=fct:side=none`` (an alias)."""
    before, comma, pairs = name.partition(",")
    if comma:
        return f"parameters follow a colon: {before}:{pairs}"
    alias, _, own = name.partition("=")
    return f"an alias comes last: {own}:{f'{rest},' if rest else ''}{ALIAS_KEY}={alias}"


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
