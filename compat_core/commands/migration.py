"""``check``, ``fit-map``, ``migrate``, ``stamp`` and ``mixed-search``: stored vectors on their way to a new space."""

from __future__ import annotations

import argparse
import itertools
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compat_core.commands.console import print_json, print_table
from compat_core.commands.parser import Subparsers, whole
from compat_core.errors import CompatError
from compat_core.experiments.files import check_writable
from compat_core.vectors.file_spec import FileSpec

if TYPE_CHECKING:
    from compat_core.spec import Spec

FITTED_ON = ("old", "new", "labels", "side", "ids", "new-ids")  # options that name what a map is fitted on
QRELS_HELP = "relevance judgements by id, 'query 0 item relevance' per line"
FOREIGN_ROWS = 3  # exit status of check where rows do not seem to be the same items
FILE_HELP = ".npy, .npz, .parquet or .csv; FILE:NAME picks an array or column"


def add(commands: Subparsers) -> None:
    """Add the commands of this module."""
    check = commands.add_parser(
        "check",
        help="look at vectors before anything runs",
        description="Shapes, NaN, zero and repeated rows, norms, ids, labels, judgements, rows that look as if they "
        "came from the other model, rows that do not seem to be the same items, and items that decide would "
        "judge on although it fits on their like. Exit status 2 when something would make every later number wrong, "
        "3 when rows do not seem to be the same items.",
    )
    add_pair(check)
    check.add_argument("--qrels", metavar="FILE", help=QRELS_HELP)
    check.add_argument("--seed", type=whole, default=0, metavar="S", help="of the split that decide makes; default: 0")
    check.add_argument("--json", action="store_true", help="as JSON, all row numbers included")
    check.set_defaults(handler=_check)

    fit = commands.add_parser(
        "fit-map",
        help="fit an adapter on pairs and keep the map",
        description="Fit one adapter on all pairs of two files and write the map as a folder.",
    )
    add_pair(fit)
    fit.add_argument("--adapter", metavar="NAME[:PARAM=VALUE,…]", required=True, help="see: adapters")
    fit.add_argument("--to-old", action="store_true", help="map new vectors to old ones (queries), not old to new")
    _add_versions(fit)
    fit.add_argument("--out", metavar="DIR", type=Path, required=True, help="the folder of the map")
    fit.set_defaults(handler=_fit)

    migrate = commands.add_parser(
        "migrate",
        help="map any number of vectors into a new file",
        description="Stream vectors through a map into FILE.npy; the same command goes on where it was cut off. With "
        "--adapter, --old and --new the map is fitted first, unless it is there.",
    )
    migrate.add_argument("--map", metavar="DIR", type=Path, required=True, help="what fit-map wrote")
    migrate.add_argument("--adapter", metavar="NAME[:PARAM=VALUE,…]", help="fit this one first; see: adapters")
    add_pair(migrate, required=False)
    _add_versions(migrate)
    migrate.add_argument("--vectors", metavar="FILE", required=True, help=FILE_HELP)
    migrate.add_argument("--vectors-side", metavar="FILE", help="their side-information, for a map that wants it")
    migrate.add_argument("--out", metavar="FILE.npy", type=Path, required=True, help="the new file")
    migrate.set_defaults(handler=_migrate)

    stamp = commands.add_parser(
        "stamp",
        help="say which model's space a file of vectors is in",
        description="Write FILE.manifest.json, which migrate and mixed-search read before they touch the file.",
    )
    stamp.add_argument("vectors", metavar="FILE", help=FILE_HELP)
    stamp.add_argument("--model", metavar="VERSION", required=True, help="the model that computed the vectors")
    stamp.add_argument(
        "--space", metavar="VERSION", help="the model whose queries they answer as they are (a compatible successor)"
    )
    stamp.set_defaults(handler=_stamp)

    search = commands.add_parser(
        "mixed-search",
        help="search a gallery that is partly old, migrated and new",
        description="Search several files as one gallery; every hit says which version its row is. Items are told by "
        "id, where the files hold ids or --ids names them: each is found once, in its newest version.",
    )
    search.add_argument("--query", metavar="FILE", required=True, help="query vectors of the new model")
    search.add_argument(
        "--part", metavar="VERSION=FILE", action="append", required=True, help="old=…, migrated=… or new=…; several"
    )
    search.add_argument(
        "--ids", metavar="FILE", action="append", default=[],
        help="an id per row of a part: one --ids for each --part, in order, - for none or those that it holds; an "
        "item that several parts hold is then found in the newest one alone",
    )  # fmt: skip
    search.add_argument("--map", metavar="DIR", type=Path, help="applied to old rows while they are searched")
    search.add_argument(
        "--space", metavar="VERSION", help="the queries' model; default: as their manifest says, or new"
    )
    search.add_argument("--first", type=whole, metavar="N", help="only the first N queries; default: all")
    search.add_argument("-k", type=whole, default=10, metavar="K", help="hits per query; default: 10")
    search.add_argument("--distance", default="cosine", choices=("cosine", "l2", "dot"), help="default: cosine")
    search.add_argument("--json", action="store_true", help="as JSON")
    search.set_defaults(handler=_search)


def _add_versions(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--old-model", metavar="VERSION", default="old", help="name of the old model; default: old")
    parser.add_argument("--new-model", metavar="VERSION", default="new", help="name of the new model; default: new")
    parser.add_argument(
        "--pairs", type=whole, metavar="N", help="fit on the pairs that decide fits on with this --pairs, --judged and "
        "--seed, so that the map is the one it judged; default: all pairs",
    )  # fmt: skip
    parser.add_argument("--judged", type=whole, metavar="N", help="with --pairs: as decide was given; default: 4000")
    parser.add_argument("--seed", type=whole, default=0, metavar="S", help="of a trained adapter; default: 0")


def add_pair(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """The options that name vectors of the same items under two models."""
    parser.add_argument("--old", metavar="FILE", required=required, help=f"vectors of the old model; {FILE_HELP}")
    parser.add_argument("--new", metavar="FILE", required=required, help="the same items under the new model")
    parser.add_argument("--labels", metavar="FILE", help="a label per item")
    parser.add_argument("--side", metavar="FILE", help="side-information stored with the old vectors; FCT uses it")
    parser.add_argument("--ids", metavar="FILE", help="an id per item; of the old file, when --new-ids is given too")
    parser.add_argument("--new-ids", metavar="FILE", help="ids of the new file's rows: rows are matched by id")


def _check(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from compat_core.vectors.alignment import MISALIGNED
    from compat_core.vectors.checks import STOP
    from compat_core.vectors.inspection import inspect, inspect_split
    from compat_core.vectors.matching import matched
    from compat_core.vectors.sources import read_qrels

    judged = read_qrels(arguments.qrels) if arguments.qrels else None
    pair = matched(arguments.old, arguments.new, arguments.labels, arguments.ids, arguments.new_ids)
    found = inspect(pair, judged, _tell)
    if not any(finding.severity == STOP for finding in found):
        found += inspect_split(pair, judged, arguments.seed)
    if arguments.json:
        print_json([asdict(finding) for finding in found])
    else:
        print_table(["", "found"], [[finding.severity, finding.sentence] for finding in found])
    if any(finding.severity == STOP for finding in found):
        return 2
    return FOREIGN_ROWS if any(finding.what == MISALIGNED for finding in found) else 0


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _fit(arguments: argparse.Namespace) -> int:
    check_writable("--out", arguments.out)
    _fit_into(arguments.out, arguments, arguments.to_old)
    program = "python -m compat_core"
    folder, given = shlex.quote(str(arguments.out)), "QUERIES.npy" if arguments.to_old else "OLD.npy"
    what = "Queries of the new model" if arguments.to_old else "Old vectors"
    print(f"{what} go through it with: {program} migrate --map {folder} --vectors {given} --out MAPPED.npy")
    if arguments.to_old:
        print(f"They search the old vectors as these are: {program} mixed-search --query MAPPED.npy --part old=OLD.npy")
    return 0


def _fit_into(folder: Path, arguments: argparse.Namespace, to_old: bool = False) -> None:
    from compat_core.adapters import ADAPTERS, Pairs, save_map
    from compat_core.vectors.inspection import inspect, refuse
    from compat_core.vectors.matching import matched
    from compat_core.vectors.split import fitted_rows

    spec = _one_adapter(arguments.adapter)
    adapter = ADAPTERS.get(spec.name)
    config = adapter.configure(spec)
    pair = matched(arguments.old, arguments.new, arguments.labels, arguments.ids, arguments.new_ids)
    found = inspect(pair, tell=_tell)
    refuse(found)
    for finding in found:
        _tell(f"{finding.severity}: {finding.sentence}")
    side = pair.vectors("side", arguments.side) if arguments.side else None
    pairs = Pairs(pair.old, pair.new, pair.labels, side)
    chosen = _split(arguments)
    if chosen:
        pairs = pairs.take(fitted_rows(len(pairs), **chosen))
    ends = (arguments.old_model, arguments.new_model)
    if to_old:
        pairs, ends = pairs.swapped(), ends[::-1]
    fitted = adapter.fit(pairs, config, seed=arguments.seed)
    manifest = {"old_model": ends[0], "new_model": ends[1], "adapter": spec.label, "seed": arguments.seed}
    more = {"to_old": to_old, "pairs": len(pairs), "split": chosen, "sha256": _hashes(arguments)}
    save_map(fitted, folder, manifest | more)
    print(f"{adapter.title}, {ends[0]} → {ends[1]}, on {len(pairs):,} pairs: {folder}")


def _split(arguments: argparse.Namespace) -> dict[str, int] | None:
    """What decides which pairs a map is fitted on; None for all. Raises CompatError for ``--judged`` alone."""
    if arguments.pairs is None:
        if arguments.judged is not None:
            raise CompatError("--judged", rule="says which pairs decide leaves out", fix="give its --pairs as well")
        return None
    from compat_core.vectors.decision_config import DecisionConfig

    judged = DecisionConfig().judged if arguments.judged is None else arguments.judged
    config = DecisionConfig(pairs=arguments.pairs, judged=judged, seed=arguments.seed)  # which refuses what decide does
    return {"pairs": config.pairs, "judged": config.judged, "seed": config.seed}


def _hashes(arguments: argparse.Namespace) -> dict[str, str]:
    """Option -> SHA-256, of the files given to fit a map on."""
    from compat_core.vectors.migrate import sha256

    given = {name: getattr(arguments, name.replace("-", "_")) for name in FITTED_ON}
    return {name: sha256(FileSpec.parse(spec).of_arrays().path) for name, spec in given.items() if spec}


def _refuse_another(held: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Raise CompatError where the map that is there is not the one that would be fitted: it would be used unseen."""
    there, fix = f"{arguments.map} already holds", "name another --map folder"
    kept, wanted = held.get("adapter"), _one_adapter(arguments.adapter).label
    if kept != wanted:
        raise CompatError("--adapter", value=wanted, rule=f"{there} another map ({kept})", fix=fix)
    if held.get("to_old"):
        raise CompatError("--adapter", value=wanted, rule=f"{there} a map from new to old", fix=fix)
    if held.get("split") != _split(arguments):
        raise CompatError("--pairs", value=arguments.pairs, rule=f"{there} a map fitted on other pairs", fix=fix)
    if held.get("seed") != arguments.seed:
        raise CompatError("--seed", value=arguments.seed, rule=f"{there} a map of seed {held.get('seed')}", fix=fix)
    fitted_on = held.get("sha256", {})
    for name, found in _hashes(arguments).items():
        if fitted_on.get(name) != found:
            value = getattr(arguments, name.replace("-", "_"))
            raise CompatError(f"--{name}", value=value, rule=f"{there} a map fitted on another file", fix=fix)


def _one_adapter(text: str) -> Spec:
    """The adapter that ``--adapter`` names. Raises CompatError for several."""
    from compat_core.spec import parse_specs

    specs = parse_specs(text)
    if len(specs) != 1:
        raise CompatError("--adapter", value=text, rule="must name one adapter")
    return specs[0]


def _migrate(arguments: argparse.Namespace) -> int:
    from compat_core.adapters.map import MANIFEST_FILE, read_manifest
    from compat_core.vectors.migrate import migrate

    there = (arguments.map / MANIFEST_FILE).is_file()
    check_writable("--out", arguments.out.parent)
    if arguments.adapter and there:
        _refuse_another(read_manifest(arguments.map), arguments)
    if arguments.adapter and not there:
        for name in ("old", "new"):
            if not getattr(arguments, name):
                raise CompatError(f"--{name}", rule="is needed to fit --adapter")
        check_writable("--map", arguments.map)
        _fit_into(arguments.map, arguments)
    shown = -1

    def tell(share: float) -> None:
        nonlocal shown
        if int(20 * share) > shown:
            shown = int(20 * share)
            print(f"{100 * share:.0f} %", file=sys.stderr, flush=True)

    notes: list[str] = []
    manifest = migrate(arguments.map, arguments.vectors, arguments.out, tell, arguments.vectors_side, notes.append)
    print(f"{manifest.rows:,} × {manifest.dim} vectors in the space of {manifest.space}: {arguments.out}")
    print(f"sha256 {manifest.sha256}; a random sample was recomputed and agrees")
    for note in notes:
        _tell(f"note: {note}")
    return 0


def _stamp(arguments: argparse.Namespace) -> int:
    from compat_core.vectors.migrate import SpaceManifest, manifest_path, sha256, write_manifest
    from compat_core.vectors.sources import read_vectors

    for option, version in (("--model", arguments.model), ("--space", arguments.space)):
        if version is not None and not version.strip():  # an unset variable of a script, say
            raise CompatError(option, value=version, rule="must name a model", fix="for example v2")
    path = FileSpec.parse(arguments.vectors).of_arrays().path
    check_writable("FILE.manifest.json", path.parent)
    emb = read_vectors(arguments.vectors).emb
    space = arguments.space or arguments.model
    write_manifest(path, SpaceManifest(space, arguments.model, len(emb), emb.shape[1], sha256(path)))
    print(manifest_path(path))
    return 0


def _search(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from compat_core.adapters import load_map, read_manifest
    from compat_core.retrieval.inputs import check_embeddings
    from compat_core.vectors.migrate import read_space
    from compat_core.vectors.mixed import check_ends, check_stamp, mixed_search, newest_only, open_part
    from compat_core.vectors.sources import read_vectors

    fitted = load_map(arguments.map) if arguments.map else None
    described = read_manifest(arguments.map) if arguments.map else {}
    ends = described.get("old_model", ""), described.get("new_model", "")
    asked, asking = FileSpec.parse(arguments.query).of_arrays().path, read_vectors(arguments.query).emb
    queries = read_space(asked)
    if queries is not None:
        check_stamp(asked, queries, asking)
    space = arguments.space or (queries.space if queries else "new")
    check_ends(ends, queries, None, space)
    if arguments.ids and len(arguments.ids) != len(arguments.part):
        rule = f"must be given once for each of {len(arguments.part)} parts, in their order"
        raise CompatError("--ids", value=len(arguments.ids), rule=rule, fix="give - for a part without")
    parts = []
    for given, ids in itertools.zip_longest(arguments.part, arguments.ids, fillvalue="-"):
        version, equals, spec = given.partition("=")
        if not equals:
            raise CompatError("--part", value=given, rule="must be VERSION=FILE", fix="for example new=new.npy")
        parts.append(open_part(version, spec, space, fitted, queries, "" if ids == "-" else ids))
        if version == "old" and fitted is not None:
            check_ends(ends, queries, read_space(parts[-1].path), space)
    for part in parts:
        if not part.stamped:
            print(f"note: {part.path} has no manifest; taken at its word as {part.version}", file=sys.stderr)
    parts = newest_only(parts)
    for part in parts:
        if part.live is not None and not part.live.all():
            again = f"{int((~part.live).sum()):,} of {len(part.live):,} items"
            print(f"note: {again} of {part.path} are in a newer or earlier part too: found there", file=sys.stderr)
    query = check_embeddings("--query", asking[: arguments.first]).numpy()
    found = mixed_search(query, parts, arguments.k, arguments.distance, fitted)
    if arguments.json:
        print_json([[asdict(hit) for hit in hits] for hits in found])
        return 0
    lines = [
        [str(number), str(rank), hit.id, hit.version, f"{hit.score:.4f}"]
        for number, hits in enumerate(found)
        for rank, hit in enumerate(hits, 1)
    ]
    print_table(["query", "rank", "id", "version", "score"], lines, right=(0, 1, 4))
    return 0
