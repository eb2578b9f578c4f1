"""``decide``: what to do with the vectors one has; ``gate``: hold a decision against a rule, for pipelines."""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compat_core.commands.console import print_json, print_table
from compat_core.commands.migration import QRELS_HELP, add_pair, findings_of, refuse, side_of
from compat_core.commands.parser import Subparsers, add_runs_dir, whole
from compat_core.errors import CompatError, unknown_name

if TYPE_CHECKING:
    import numpy as np

    from compat_core.vectors.checks import Finding
    from compat_core.vectors.decision import DecisionConfig
    from compat_core.vectors.given import Candidate, Given
    from compat_core.vectors.matching import MatchedVectors
    from compat_core.vectors.pictures import ItemPictures

ROWS_KEPT = 1_000  # row numbers of a finding that the JSON names
FILE_OPTIONS = (
    "old", "new", "labels", "ids", "new-ids", "side", "images", "qrels", "ages", "weights", "group", "option",
)  # fmt: skip
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
        "files is one item. Writes decision.json, decision.html and tables as CSV into DIR.",
    )
    add_pair(decide, required=False)
    decide.add_argument("--run", metavar="RUN", help="instead of files: a finished run, its methods among the options")
    decide.add_argument("--qrels", metavar="FILE", help=QRELS_HELP)
    decide.add_argument(
        "--group", metavar="NAME=FILE", action="append", default=[], help="a column of groups: who gets worse? several"
    )
    decide.add_argument(
        "--images",
        metavar="FILE",
        help="what items look like: uint8 pictures (.npy), FILE:NAME, a column of paths, or a folder or .zip of files "
        "named by id, without ids in the items' order",
    )
    decide.add_argument("--ages", metavar="FILE", help="a number or date per item, larger is newer")
    decide.add_argument("--weights", metavar="FILE", help="how often each item is asked for; orders the backfill plan")
    decide.add_argument(
        "--option", metavar="NAME=QUERY,GALLERY", action="append", default=[],
        help="an option made elsewhere: two files, every item as its query and as its gallery row; several",
    )  # fmt: skip
    decide.add_argument("--out", metavar="DIR", required=True, type=Path, help="where the decision is written")
    decide.add_argument("--adapters", metavar="A,B", help="adapters to try; default: all; see: adapters")
    decide.add_argument("--pairs", type=whole, metavar="N", help="most pairs to fit on; default: 20000")
    decide.add_argument("--steps", type=whole, metavar="N", help="most steps of trained adapters, for a quick look")
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
    from compat_core.reports.decision import decision_page, facts, headline, left_out, next_lines, shown_table
    from compat_core.reports.decision_tables import write_tables
    from compat_core.vectors.checks import WARN, leakage
    from compat_core.vectors.decision import decide
    from compat_core.vectors.jobs import SCHEMA_VERSION
    from compat_core.vectors.next_step import next_command
    from compat_core.vectors.pictures import COLUMNS, FOLDER, lost_queries, read_thumbnails, write_thumbnails
    from compat_core.vectors.studies import per_query, studies

    config = _config(arguments)
    if arguments.out.exists() and not arguments.out.is_dir():
        raise CompatError("--out", value=str(arguments.out), rule="is a file; must be a folder, or not there yet")
    if arguments.threshold is not None and not math.isfinite(arguments.threshold):
        raise CompatError("--threshold", value=arguments.threshold, rule="must be a finite number")
    given, inputs, findings = _given(arguments, config)
    decision, evidence = decide(given, config, _tell)
    findings += leakage(evidence.fit.source, evidence.judging.old.numpy())
    looked = studies(given, decision, evidence, arguments.threshold, _tell)
    decided = decision.to_dict()
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "decision": decided,
        "studies": looked,
        "inputs": inputs,
        "environment": snapshot(),
    }
    chosen = decided["recommended"] or decided["closest"]
    document["next"] = next_command(chosen, _single_files(arguments), arguments.out)
    document["checks"] = [dataclasses.asdict(one) | {"rows": list(one.rows[:ROWS_KEPT])} for one in findings]
    arguments.out.mkdir(parents=True, exist_ok=True)
    arrays = per_query(given, evidence)
    write_arrays(arguments.out / "per_query.npz", arrays)
    if given.pictures is not None:
        unread = write_thumbnails(arguments.out / FOLDER, given.pictures, arrays)
        if unread:
            _tell(f"{unread} pictures could not be read")
    lost = lost_queries(arrays, looked["looked_at"])
    thumbnails = read_thumbnails(arguments.out / FOLDER, sorted({row for name in COLUMNS for row in lost[name]}))
    write_tables(arguments.out, decided, arrays)
    page = decision_page(document, lost, thumbnails)
    (arguments.out / "decision.html").write_text(page, encoding="utf-8")
    write_json(arguments.out / "decision.json", document)  # last: a folder that has it is complete
    if arguments.json:
        print_json(document)
        return 0
    table = shown_table(decided)
    print_table(list(table.columns), table.to_numpy().tolist())
    warnings = [f"Warning: {finding.sentence}" for finding in findings if finding.severity == WARN]
    print("", *left_out(decided), *warnings, sep="\n")
    print(f"{facts(decided)}\n\n{headline(decided)} {decided['reason']}")
    print(*next_lines(document), arguments.out / "decision.html", sep="\n")
    return 0


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _config(arguments: argparse.Namespace) -> DecisionConfig:
    from compat_core.vectors.bill import CostConfig
    from compat_core.vectors.decision import DecisionConfig

    costs = {name.replace("-", "_"): getattr(arguments, name.replace("-", "_")) for name in COSTS}
    chosen = {
        name: getattr(arguments, name)
        for name in ("pairs", "judged", "queries", "distance", "metric", "target", "seed", "steps")
        if getattr(arguments, name) is not None
    }
    if arguments.adapters:
        chosen["adapters"] = tuple(name.strip() for name in arguments.adapters.split(",") if name.strip())
    return DecisionConfig(
        costs=CostConfig(**{key: value for key, value in costs.items() if value is not None}), **chosen
    )


def _given(arguments: argparse.Namespace, config: DecisionConfig) -> tuple[Given, dict[str, Any], list[Finding]]:
    """The vectors, from files or from a run, what names them, and what was found in them."""
    from compat_core.experiments.store import RunStore
    from compat_core.vectors.given import Given
    from compat_core.vectors.matching import matched
    from compat_core.vectors.of_run import given_from_run
    from compat_core.vectors.sources import read_column, read_ids, read_qrels

    if arguments.run:
        mixed = [name for name in FILE_OPTIONS if getattr(arguments, name.replace("-", "_"))]
        if mixed:
            raise CompatError(f"--{mixed[0]}", rule="comes with the run", fix="leave it out, or leave --run out")
        run = RunStore(arguments.runs_dir).get(arguments.run)
        given = given_from_run(run, config.seed, config.pairs)
        return given, {"run": {"id": run.id, "seed": config.seed, "config": run.config_dict()}}, []
    for name in ("old", "new"):
        if not getattr(arguments, name):
            raise CompatError(f"--{name}", rule="is needed, or --run with a finished run")
    pair = matched(arguments.old, arguments.new, arguments.labels, arguments.ids, arguments.new_ids)
    judgements = read_qrels(arguments.qrels) if arguments.qrels else None
    findings = findings_of(pair, judgements)
    refuse(findings)
    given = Given(
        pair.old, pair.new, pair.labels, pair.ids,
        judgements=judgements,
        candidates=tuple(_candidate(text, pair) for text in arguments.option),
        groups={
            name: pair.column("group", read_column(path), read_ids(path)) for name, path in map(_named, arguments.group)
        },
        ages=_numbers(pair, "ages", arguments.ages),
        weights=_numbers(pair, "weights", arguments.weights),
        side=side_of(pair, arguments.side),
        pictures=_pictures(pair, arguments.images) if arguments.images else None,
    )  # fmt: skip
    inputs: dict[str, Any] = {name: described(Path(path)) for name, path in _single_files(arguments).items()}
    inputs |= {f"group {name}": described(Path(path)) for name, path in map(_named, arguments.group)}
    for text in arguments.option:
        name, _, pair_of = text.partition("=")
        inputs[f"option {name}"] = [described(Path(path)) for path in pair_of.split(",", 1)]
    return given, inputs, findings


def _numbers(pair: MatchedVectors, name: str, spec: str | None) -> np.ndarray | None:
    from compat_core.vectors.sources import read_ids, read_numbers

    return None if spec is None else pair.column(name, read_numbers(spec), read_ids(spec))


def _single_files(arguments: argparse.Namespace) -> dict[str, str]:
    """Option -> file, of those that take one file."""
    found = {name: getattr(arguments, name.replace("-", "_")) for name in FILE_OPTIONS}
    return {name: path for name, path in found.items() if isinstance(path, str)}


def _pictures(pair: MatchedVectors, spec: str) -> ItemPictures:
    import numpy as np

    from compat_core.vectors.picture_files import picture_files
    from compat_core.vectors.pictures import ItemPictures, open_pictures
    from compat_core.vectors.sources import read_ids

    files = picture_files(Path(spec)) is not None
    by_id = files and pair.ids is not None
    picture, count = open_pictures(spec, pair.ids if by_id else None)
    rows = np.arange(count)
    if not by_id:
        rows = pair.column("images", rows, None if files else read_ids(spec))

    def caption(row: int) -> str:
        name = f"item {row}" if pair.ids is None else str(pair.ids[row])
        return name if pair.labels is None else f"{name}, {pair.labels[row]}"

    return ItemPictures(lambda row: picture(int(rows[row])), caption)


def _named(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not equals or not name:
        raise CompatError("--group", value=text, rule="must be NAME=FILE", fix="for example shop=shops.npy")
    return name, path


def _candidate(text: str, pair: MatchedVectors) -> Candidate:
    from compat_core.vectors.given import Candidate
    from compat_core.vectors.sources import read_vectors

    name, equals, paths = text.partition("=")
    query, comma, gallery = paths.partition(",")
    if not (name and equals and comma):
        raise CompatError("--option", value=text, rule="must be NAME=QUERY,GALLERY", fix="two files of vectors")
    read = [read_vectors(path) for path in (query, gallery)]
    sides = [pair.column("option", side.emb, side.ids) for side in read]
    return Candidate(name, sides[0], sides[1], f"{name}: made elsewhere, counted as one training.")


def described(spec: Path) -> dict[str, Any]:
    """Name, size and SHA-256 of an input file, so that a decision names what it was made on; a folder by its files."""
    from compat_core.vectors.migrate import sha256
    from compat_core.vectors.sources import SUFFIXES, split_spec

    if spec.is_dir():
        sizes = [path.stat().st_size for path in spec.rglob("*") if path.is_file()]
        return {"folder": spec.name, "files": len(sizes), "bytes": sum(sizes)}
    path = split_spec(spec)[0] if spec.suffix.partition(":")[0] in SUFFIXES else spec
    return {"file": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)}


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
