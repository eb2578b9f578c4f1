"""What there is, as the registries say: data sets, methods, losses, metrics, orderings, backbones, presets."""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
from typing import Any

from compat_core.commands.console import print_json, print_paragraph
from compat_core.commands.parser import Subparsers
from compat_core.registry import Registry

# command → (module, registry in it, one line of help)
CATALOGUES = {
    "datasets": ("compat_core.data", "DATASETS", "the data sets"),
    "methods": ("compat_core.methods", "METHODS", "the upgrade methods and their parameters"),
    "losses": ("compat_core.losses", "LOSSES", "the classification losses and their parameters"),
    "metrics": ("compat_core.metrics", "METRICS", "the retrieval metrics"),
    "protocols": ("compat_core.metrics", "PROTOCOL_METRICS", "the metrics of verification and identification"),
    "adapters": ("compat_core.adapters", "ADAPTERS", "the adapters between stored vectors"),
    "orderings": ("compat_core.retrieval.orderings", "ORDERINGS", "the orderings of a backfill"),
    "models": ("compat_core.models", "BACKBONES", "the backbones"),
    "presets": ("compat_core.experiments.presets", "PRESETS", "the ready-made experiments"),
}


def add(commands: Subparsers) -> None:
    """Add one command per registry."""
    for name, (_, _, what) in CATALOGUES.items():
        parser = commands.add_parser(name, help=f"list {what}", description=f"List {what}.")
        parser.add_argument("--json", action="store_true", help="every field of every entry, as JSON")
        parser.set_defaults(handler=_list)


def _list(arguments: argparse.Namespace) -> int:
    module, registry, _ = CATALOGUES[arguments.command]
    entries: Registry[Any] = getattr(importlib.import_module(module), registry)
    if arguments.json:
        print_json([describe(entry) for entry in entries])
        return 0
    for entry in entries:
        described = describe(entry)
        print(entry.name + "".join(f"  {described[key]}" for key in ("title",) if described.get(key)))
        for key in ("summary", "paper"):
            if described.get(key):
                print_paragraph(str(described[key]))
        for parameter in described.get("parameters", []):
            text = f"{parameter['name']}={json.dumps(parameter['default'])}  {parameter['help']}"
            print_paragraph(text, indent=6, hanging=2)
    return 0


def describe(entry: Any) -> dict[str, Any]:
    """A registry entry as JSON types: its plain fields, and ``parameters`` where it has a config dataclass.

    Functions and classes that compute something are left out: they have no JSON form.
    """
    described: dict[str, Any] = {}
    for field in dataclasses.fields(entry):
        value = getattr(entry, field.name)
        if isinstance(value, type):
            if dataclasses.is_dataclass(value):
                described["parameters"] = parameters(value)
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            described[field.name] = json.loads(json.dumps(dataclasses.asdict(value)))
        elif value is None or isinstance(value, (str, bool, int, float)):
            described[field.name] = value
        elif isinstance(value, (tuple, list, frozenset)):
            described[field.name] = [str(item) for item in value]
    return described


def parameters(config: type) -> list[dict[str, Any]]:
    """Every field of a config dataclass: name, default, help, unit, low, high, choices, paper."""
    found = []
    for field in dataclasses.fields(config):
        default: Any = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        elif default is dataclasses.MISSING:
            default = None
        if dataclasses.is_dataclass(default) and not isinstance(default, type):
            default = dataclasses.asdict(default)
        keys = ("help", "unit", "low", "high", "choices", "paper")
        found.append({"name": field.name, "default": default, **{key: field.metadata.get(key) for key in keys}})
    return found
