"""``decide``: what to do with the vectors one has."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from compat_core.commands.console import print_json, print_table
from compat_core.commands.migration import QRELS_HELP, add_pair
from compat_core.commands.parser import Subparsers, add_runs_dir, whole
from compat_core.errors import CompatError, unknown_name
from compat_core.vectors.file_spec import FileSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

    from compat_core.vectors.checks import Finding
    from compat_core.vectors.decision_config import DecisionConfig
    from compat_core.vectors.given import Given
    from compat_core.vectors.of_files import DecisionFiles

T = TypeVar("T")
ROWS_KEPT = 1_000  # row numbers of a finding that the JSON names
FILE_OPTIONS = ("old", "new", "labels", "ids", "new-ids", "side", "images", "qrels", "ages", "weights")
# Options that set a field of the bill: option -> (field, type)
COSTS: dict[str, Any] = {
    "items": whole, "items-per-s": float, "gpu-price": float, "gpus": whole, "training-gpu-hours": float,
    "mapped-per-s": float, "cpu-price": float, "storage-price": float, "months": float, "index-per-s": float,
    "queries-per-day": float,
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
    decide.add_argument(
        "--option-kind", metavar="NAME=KIND", action="append", default=[],
        help="what such an option is billed as: retrain (a model trained; the default), map (the gallery's rows go "
        "through a map, nothing is trained) or query-map (only queries do); several",
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


def _cost_help(option: str) -> str:
    from compat_core.vectors.bill import CostConfig

    field = next(one for one in dataclasses.fields(CostConfig) if one.name == option.replace("-", "_"))
    return f"{field.metadata['help']} ({field.metadata['unit']}); default: {field.default:g}"


def _decide(arguments: argparse.Namespace) -> int:
    from compat_core.experiments.artefacts import write_arrays
    from compat_core.experiments.environment import snapshot
    from compat_core.experiments.files import check_writable, write_json
    from compat_core.reports.decision import (
        facts,
        headline,
        left_out,
        next_lines,
        order_lines,
        page_of_folder,
        shown_table,
        storage_note,
    )
    from compat_core.reports.decision_tables import write_tables
    from compat_core.vectors.backfill_list import order_sentence, write_order
    from compat_core.vectors.checks import WARN, leakage
    from compat_core.vectors.decision import decide
    from compat_core.vectors.deployment import check_threshold
    from compat_core.vectors.jobs import SCHEMA_VERSION
    from compat_core.vectors.lost_queries import FOLDER, write_thumbnails
    from compat_core.vectors.next_step import in_document, next_steps
    from compat_core.vectors.of_files import given_from_files
    from compat_core.vectors.studies import per_query, studies

    config = _config(arguments)
    if arguments.out.exists() and not arguments.out.is_dir():
        raise CompatError("--out", value=str(arguments.out), rule="is a file; must be a folder, or not there yet")
    check_writable("--out", arguments.out)  # before hours of judging
    if arguments.threshold is not None:
        check_threshold(arguments.threshold, config.distance)
    if arguments.run:
        given, inputs = _of_run(arguments, config)
        findings: list[Finding] = []
        files: dict[str, str] = {}
    else:
        named = _files(arguments)
        given, findings = given_from_files(named, _tell)
        inputs, files = named.described(), {name: str(file) for name, file in named.single().items()}
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
    arguments.out.mkdir(parents=True, exist_ok=True)
    arrays = per_query(given, evidence)
    write_arrays(arguments.out / "per_query.npz", arrays)
    if given.pictures is not None:
        findings += write_thumbnails(arguments.out / FOLDER, given.pictures, arrays)
    document["checks"] = [dataclasses.asdict(one) | {"rows": list(one.rows[:ROWS_KEPT])} for one in findings]
    write_tables(arguments.out, decided, arrays)
    listed = write_order(arguments.out, given, evidence, decided)
    steps = next_steps(chosen, files, arguments.out, decided["config"], listed, decided["rows"])
    document |= {"backfill_order": listed} | in_document(steps)
    page = page_of_folder(document, arrays, arguments.out)
    (arguments.out / "decision.html").write_text(page, encoding="utf-8")
    write_json(arguments.out / "decision.json", document)  # last: a folder that has it is complete
    if arguments.json:
        print_json(document)
        return 0
    table = shown_table(decided)
    print_table(list(table.columns), table.to_numpy().tolist())
    warnings = [f"Warning: {finding.sentence}" for finding in findings if finding.severity == WARN]
    print("", *left_out(decided), *warnings, sep="\n")
    answer = (headline(decided), decided["reason"], order_sentence(chosen))
    print(f"{facts(decided)} {storage_note(decided)}\n\n{' '.join(filter(None, answer))}")
    print(*next_lines(document), *order_lines(document, arguments.out), arguments.out / "decision.html", sep="\n")
    return 0


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _config(arguments: argparse.Namespace) -> DecisionConfig:
    from compat_core.vectors.bill import CostConfig
    from compat_core.vectors.decision_config import DecisionConfig

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


def _files(arguments: argparse.Namespace) -> DecisionFiles:
    """The files that were named. Raises CompatError for a missing or malformed one."""
    from compat_core.vectors.of_files import DecisionFiles

    for name in ("old", "new"):
        if not getattr(arguments, name):
            raise CompatError(f"--{name}", rule="is needed, or --run with a finished run")
    options = _by_name("option", map(_two_files, arguments.option))
    named = {name: getattr(arguments, name) for name in (option.replace("-", "_") for option in FILE_OPTIONS)}
    return DecisionFiles(
        **{name: FileSpec.parse(text) for name, text in named.items() if text},
        groups=_by_name("group", map(_named, arguments.group)),
        options=options,
        kinds=_by_name("option-kind", (_kind(text, options) for text in arguments.option_kind)),
    )


def _by_name(option: str, pairs: Iterable[tuple[str, T]]) -> dict[str, T]:
    found: dict[str, T] = {}
    for name, value in pairs:
        if name in found:
            raise CompatError(f"--{option}", value=name, rule="is named twice", fix="give each its own name")
        found[name] = value
    return found


def _of_run(arguments: argparse.Namespace, config: DecisionConfig) -> tuple[Given, dict[str, Any]]:
    """The vectors of a run, and what names them. Raises CompatError for files beside the run."""
    from compat_core.experiments.store import RunStore
    from compat_core.vectors.of_run import given_from_run

    mixed = [
        name for name in (*FILE_OPTIONS, "group", "option", "option-kind") if getattr(arguments, name.replace("-", "_"))
    ]
    if mixed:
        raise CompatError(f"--{mixed[0]}", rule="comes with the run", fix="leave it out, or leave --run out")
    run = RunStore(arguments.runs_dir).get(arguments.run)
    given = given_from_run(run, config.seed, config.pairs)
    return given, {"run": {"id": run.id, "seed": config.seed, "config": run.config_dict()}}


def _named(text: str) -> tuple[str, FileSpec]:
    name, equals, path = text.partition("=")
    if not equals or not name:
        raise CompatError("--group", value=text, rule="must be NAME=FILE", fix="for example shop=shops.npy")
    return name, FileSpec.parse(path)


def _kind(text: str, options: Iterable[str]) -> tuple[str, str]:
    from compat_core.vectors.given import CANDIDATE_KINDS

    name, equals, kind = text.rpartition("=")
    if not equals or kind not in CANDIDATE_KINDS:
        rule = f"must be NAME=KIND, KIND one of {', '.join(CANDIDATE_KINDS)}"
        raise CompatError("--option-kind", value=text, rule=rule)
    if name not in options:
        raise unknown_name("--option in --option-kind", name, options)
    return name, kind


def _two_files(text: str) -> tuple[str, tuple[FileSpec, FileSpec]]:
    name, equals, paths = text.partition("=")
    query, comma, gallery = paths.partition(",")
    if not (name and equals and comma):
        raise CompatError("--option", value=text, rule="must be NAME=QUERY,GALLERY", fix="two files of vectors")
    return name, (FileSpec.parse(query), FileSpec.parse(gallery))
