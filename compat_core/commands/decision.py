"""``decide``: what to do with the vectors one has; ``gate``: hold a decision against a rule, for pipelines."""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compat_core.commands.console import print_json, print_table
from compat_core.commands.parser import Subparsers, add_runs_dir, whole
from compat_core.errors import CompatError, unknown_name

if TYPE_CHECKING:
    from compat_core.vectors.decision import DecisionConfig
    from compat_core.vectors.given import Given

REFUSED = 3  # exit status of a gate that stays shut
# Options that set a field of the bill: option -> (field, type)
COSTS: dict[str, Any] = {
    "items": whole, "items-per-s": float, "gpu-price": float, "gpus": whole, "training-gpu-hours": float,
    "storage-price": float, "months": float, "index-per-s": float,
}  # fmt: skip


def add(commands: Subparsers) -> None:
    """Add the commands of this module."""
    decide = commands.add_parser(
        "decide",
        help="adapt, merge, backfill or leave alone",
        description="Judge every way to move from old to new vectors on held-out items, with the bill; row i of both "
        "files is one item. Writes DIR/decision.json and DIR/decision.html.",
    )
    decide.add_argument("--old", metavar="FILE.npy", help="vectors of the old model, (N, D_old)")
    decide.add_argument("--new", metavar="FILE.npy", help="the same items under the new model, (N, D_new)")
    decide.add_argument("--run", metavar="RUN", help="instead of files: a finished run, its methods among the options")
    decide.add_argument("--labels", metavar="FILE.npy", help="a label per item; without it the new model is the truth")
    decide.add_argument("--out", metavar="DIR", required=True, type=Path, help="where the decision is written")
    decide.add_argument("--adapters", metavar="A,B", help="adapters to try; default: all; see: adapters")
    decide.add_argument("--pairs", type=whole, metavar="N", help="most pairs to fit on; default: 20000")
    decide.add_argument("--judged", type=whole, metavar="N", help="most held-out items searched; default: 4000")
    decide.add_argument("--queries", type=whole, metavar="N", help="most held-out items that query; default: 1000")
    decide.add_argument("--distance", choices=("cosine", "l2", "dot"), help="default: cosine")
    decide.add_argument("--metric", choices=("mAP", "CMC@1"), help="what the recommendation rests on; default: mAP")
    decide.add_argument("--target", type=float, metavar="SHARE", help="share of the gain that is enough; default: 0.9")
    decide.add_argument("--threshold", type=float, metavar="X", help="the score that the old system accepts from")
    decide.add_argument("--seed", type=whole, metavar="S", help="of split, fits, order, and the run's; default: 0")
    for option, kind in COSTS.items():
        decide.add_argument(f"--{option}", type=kind, metavar="N", help=_cost_help(option))
    decide.add_argument("--json", action="store_true", help="print the decision as JSON")
    add_runs_dir(decide)
    decide.set_defaults(handler=_decide)

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


def _cost_help(option: str) -> str:
    from compat_core.vectors.bill import CostConfig

    field = next(one for one in dataclasses.fields(CostConfig) if one.name == option.replace("-", "_"))
    return f"{field.metadata['help']} ({field.metadata['unit']}); default: {field.default:g}"


def _decide(arguments: argparse.Namespace) -> int:
    from compat_core.experiments.artefacts import write_arrays
    from compat_core.experiments.environment import snapshot
    from compat_core.experiments.files import write_json
    from compat_core.reports.decision import decision_page, facts, headline, shown_table
    from compat_core.vectors.decision import decide
    from compat_core.vectors.studies import per_query, studies

    config = _config(arguments)
    given, inputs = _given(arguments, config)
    decision, evidence = decide(given, config, _tell)
    looked = studies(given, decision, evidence, arguments.threshold, _tell)
    decided = decision.to_dict()
    document = {"decision": decided, "studies": looked, "inputs": inputs, "environment": snapshot()}
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_arrays(arguments.out / "per_query.npz", per_query(given, evidence))
    (arguments.out / "decision.html").write_text(decision_page(document), encoding="utf-8")
    write_json(arguments.out / "decision.json", document)  # last: a folder that has it is complete
    if arguments.json:
        print_json(document)
        return 0
    table = shown_table(decided)
    print_table(list(table.columns), table.to_numpy().tolist())
    print(f"\n{facts(decided)}\n\n{headline(decided)} {decided['reason']}\n{arguments.out / 'decision.html'}")
    return 0


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _config(arguments: argparse.Namespace) -> DecisionConfig:
    from compat_core.vectors.bill import CostConfig
    from compat_core.vectors.decision import DecisionConfig

    costs = {name.replace("-", "_"): getattr(arguments, name.replace("-", "_")) for name in COSTS}
    chosen = {
        name: getattr(arguments, name)
        for name in ("pairs", "judged", "queries", "distance", "metric", "target", "seed")
        if getattr(arguments, name) is not None
    }
    if arguments.adapters:
        chosen["adapters"] = tuple(name.strip() for name in arguments.adapters.split(",") if name.strip())
    return DecisionConfig(
        costs=CostConfig(**{key: value for key, value in costs.items() if value is not None}), **chosen
    )


def _given(arguments: argparse.Namespace, config: DecisionConfig) -> tuple[Given, dict[str, Any]]:
    """The vectors, from files or from a run, and what names them."""
    from compat_core.experiments.store import RunStore
    from compat_core.retrieval.vectors import load_labels, load_vectors
    from compat_core.vectors.given import Given
    from compat_core.vectors.of_run import given_from_run

    files = {"old": arguments.old, "new": arguments.new, "labels": arguments.labels}
    if arguments.run:
        mixed = [name for name, path in files.items() if path]
        if mixed:
            raise CompatError(f"--{mixed[0]}", rule="comes with the run", fix="leave it out, or leave --run out")
        run = RunStore(arguments.runs_dir).get(arguments.run)
        given = given_from_run(run, config.seed, config.pairs)
        return given, {"run": {"id": run.id, "seed": config.seed, "config": run.config_dict()}}
    for name in ("old", "new"):
        if not files[name]:
            raise CompatError(f"--{name}", rule="is needed, or --run with a finished run")
    labels = load_labels(arguments.labels) if arguments.labels else None
    given = Given(load_vectors(arguments.old), load_vectors(arguments.new), labels)
    return given, {name: described(Path(path)) for name, path in files.items() if path}


def described(path: Path) -> dict[str, Any]:
    """Name, size and SHA-256 of an input file, so that a decision names what it was made on."""
    with path.open("rb") as file:
        return {
            "file": path.name,
            "bytes": path.stat().st_size,
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
        }


def _gate(arguments: argparse.Namespace) -> int:
    from compat_core.experiments.files import read_json

    if not arguments.decision.is_file():
        raise CompatError("decision", value=str(arguments.decision), rule="no such file", fix="write it with decide")
    decided = read_json(arguments.decision).get("decision")
    if not isinstance(decided, dict) or "rows" not in decided:
        raise CompatError("decision", value=str(arguments.decision), rule="is not what decide writes")
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
