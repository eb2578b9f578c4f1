"""``gate``: hold a decision against a rule, for pipelines."""

from __future__ import annotations

import argparse
import difflib
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compat_core.commands.console import print_json
from compat_core.commands.parser import Subparsers
from compat_core.errors import CompatError

REFUSED = 3  # exit status of a gate that stays shut
NEAREST = 3  # names suggested for one that is not there


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        option: of the command line.
        help: for people.
        low, high: what a limit may be.
        holds: what the value is, with ``{metric}``.
        none: why an option may have no value; empty where it always has one.
    """

    option: str
    help: str
    low: float
    high: float
    holds: str
    none: str = ""

    @property
    def key(self) -> str:
        """Its name in JSON, and in what argparse gives."""
        return self.option.removeprefix("--").replace("-", "_")

    @property
    def is_fraction(self) -> bool:
        """Whether a percentage may be meant by mistake."""
        return self.high == 1

    def check(self, limit: float) -> None:
        """Raise CompatError for a limit out of range, with what was meant where it looks like a percentage."""
        if self.low <= limit <= self.high and math.isfinite(limit):
            return
        fix = ""
        if self.is_fraction and 1 < abs(limit) <= 100:
            fix = f"a fraction, not percent: {self.option} {limit / 100:g}"
        wanted = f"from {self.low:g} to {self.high:g}" if self.is_fraction else "finite and not negative"
        raise CompatError(self.option, value=limit, rule=f"must be {wanted}", fix=fix)

    def met(self, value: float | None, limit: float) -> bool:
        """Whether an option with this value meets it; one without a value does not."""
        if value is None:
            return False
        return value >= limit if self.option.startswith("--min") else value <= limit


RULES = (
    Rule("--min-gain", "the gain's 95 %% interval must begin at this or above; a fraction: 0.02 is 2 points", -1, 1,
         "lower bound of the 95 % interval of the gain in {metric}"),
    Rule("--min-recovered", "share of the possible gain must reach this; a fraction", -1, 1,
         "share of the possible gain in {metric}", "the full backfill gains nothing there"),
    Rule("--max-lost", "at most this share of first hits may be lost; a fraction", 0, 1,
         "share of queries that lose their right first hit"),
    Rule("--max-money", "the bill may be at most this", 0, math.inf, "money of the bill"),
)  # fmt: skip


def add(commands: Subparsers) -> None:
    """Add the command of this module."""
    gate = commands.add_parser(
        "gate",
        help="hold a decision against a rule",
        description="Exit with 0 when an option of a decision meets every rule given, with 3 when it does not.",
    )
    gate.add_argument("decision", metavar="decision.json", type=Path, help="what decide wrote, or its folder")
    gate.add_argument("--option", metavar="NAME", help="default: the recommended option")
    for rule in RULES:
        gate.add_argument(rule.option, type=float, metavar="X", help=rule.help)
    gate.add_argument("--json", action="store_true", help="as JSON")
    gate.set_defaults(handler=_gate)


def _gate(arguments: argparse.Namespace) -> int:
    from compat_core.vectors.jobs import DECISION_FILE, read_decision

    limits = {rule: getattr(arguments, rule.key) for rule in RULES if getattr(arguments, rule.key) is not None}
    if not limits:
        raise CompatError("gate", rule="needs at least one rule", fix="for example --min-gain 0 --max-lost 0.05")
    for rule, limit in limits.items():
        rule.check(limit)
    file = arguments.decision / DECISION_FILE if arguments.decision.is_dir() else arguments.decision
    if not file.is_file():
        raise CompatError("decision", value=str(file), rule="no such file", fix="write it with decide")
    decided = read_decision(file)["decision"]
    metric, name = decided["config"]["metric"], arguments.option or decided["recommended"]
    rows = {row["name"]: row for row in decided["rows"]}
    if name and name not in rows:
        raise _unknown(name, rows)
    found = _values(rows[name], metric) if name else {}
    held = [
        {"rule": rule.key, "limit": limit, "value": found.get(rule.key), "met": rule.met(found.get(rule.key), limit)}
        for rule, limit in limits.items()
    ]
    is_open = all(one["met"] for one in held)
    if arguments.json:
        reason = "" if arguments.option else decided["reason"]
        print_json({"open": is_open, "option": name, "metric": metric, "rules": held, "reason": reason})
    elif not name:
        print(f"shut: nothing is recommended. {decided['reason']}")
    else:
        for rule, one in zip(limits, held, strict=True):
            has = f"none: {rule.none}" if one["value"] is None else f"{one['value']:.4g}"
            what = f"{rule.option.removeprefix('--').replace('-', ' ')} {one['limit']:g}"
            print(f"{'ok' if one['met'] else 'FAILED':7}{what}: {name} has {has} ({rule.holds.format(metric=metric)})")
    return 0 if is_open else REFUSED


def _values(row: Mapping[str, Any], metric: str) -> dict[str, float | None]:
    """What an option has for every rule."""
    return {
        "min_gain": row["gain"][metric]["ci_low"],
        "min_recovered": (row["recovered"][metric] or {}).get("value"),
        "max_lost": row["lost"],
        "max_money": row["bill"]["money"],
    }


def _unknown(name: str, known: Collection[str]) -> CompatError:
    """For a name that is not among many: the nearest ones, not all of them."""
    close = difflib.get_close_matches(name.lower(), known, n=NEAREST, cutoff=0.3)
    fix = f"did you mean {' or '.join(repr(one) for one in close)}?" if close else "decision.html lists them"
    return CompatError("--option", value=name, rule=f"is none of the {len(known)} options of this decision", fix=fix)
