"""``gate``: hold a decision against a rule, for pipelines."""

from __future__ import annotations

import argparse
from pathlib import Path

from compat_core.commands.parser import Subparsers
from compat_core.errors import CompatError, unknown_name

REFUSED = 3  # exit status of a gate that stays shut


def add(commands: Subparsers) -> None:
    """Add the command of this module."""
    gate = commands.add_parser(
        "gate",
        help="hold a decision against a rule",
        description="Exit with 0 when an option of a decision meets every rule given, with 3 when it does not.",
    )
    gate.add_argument("decision", metavar="decision.json", type=Path, help="what decide wrote")
    gate.add_argument("--option", metavar="NAME", help="default: the recommended option")
    gate.add_argument("--min-gain", type=float, metavar="X", help="lower bound of the gain must reach this fraction")
    gate.add_argument("--min-recovered", type=float, metavar="X", help="share of the possible gain must reach this")
    gate.add_argument("--max-lost", type=float, metavar="X", help="at most this share of first hits may be lost")
    gate.add_argument("--max-money", type=float, metavar="X", help="the bill may be at most this")
    gate.set_defaults(handler=_gate)


def _gate(arguments: argparse.Namespace) -> int:
    from compat_core.vectors.jobs import read_decision

    if not arguments.decision.is_file():
        raise CompatError("decision", value=str(arguments.decision), rule="no such file", fix="write it with decide")
    decided = read_decision(arguments.decision)["decision"]
    rules = {name: getattr(arguments, name) for name in ("min_gain", "min_recovered", "max_lost", "max_money")}
    rules = {name: value for name, value in rules.items() if value is not None}
    if not rules:
        raise CompatError("gate", rule="needs at least one rule", fix="for example --min-gain 0 --max-lost 0.05")
    name = arguments.option or decided["recommended"]
    if not name:
        print(f"shut: nothing is recommended. {decided['reason']}")
        return REFUSED
    rows = {row["name"]: row for row in decided["rows"]}
    if name not in rows:
        raise unknown_name("option in this decision", name, rows)
    row, metric = rows[name], decided["config"]["metric"]
    found = {
        "min_gain": row["gain"][metric]["ci_low"],
        "min_recovered": (row["recovered"][metric] or {}).get("value"),
        "max_lost": row["lost"],
        "max_money": row["bill"]["money"],
    }
    failed = [rule for rule, limit in rules.items() if not _meets(rule, found[rule], limit)]
    for rule, limit in rules.items():
        print(f"{'FAILED' if rule in failed else 'ok':7}{rule.replace('_', ' ')} {limit:g}: {name} has {found[rule]}")
    return REFUSED if failed else 0


def _meets(rule: str, value: float | None, limit: float) -> bool:
    if value is None:
        return False
    return value >= limit if rule.startswith("min") else value <= limit
