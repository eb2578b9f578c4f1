"""``evaluate``: the metrics of any vectors, without a run."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compat_core.commands.console import print_json, print_table
from compat_core.commands.parser import Subparsers
from compat_core.commands.summary import percent
from compat_core.errors import CompatError

if TYPE_CHECKING:
    import numpy as np

FINDS_ITSELF = (
    "query and gallery hold the same {what} and no ids are given: {then}, which makes any vectors look good; give "
    "--query-ids and --gallery-ids, and an item is left out of its own search"
)


def add(commands: Subparsers) -> None:
    """Add the command of this module."""
    parser = commands.add_parser(
        "evaluate",
        help="metrics of any vectors",
        description="Retrieval metrics of query vectors against gallery vectors, from .npy, .npz, Parquet or CSV "
        "files: FILE, or FILE:NAME for one array or column.",
    )
    for side in ("query", "gallery"):
        parser.add_argument(f"--{side}", metavar="FILE", required=True, help=f"{side} vectors, (N, D) numbers")
        parser.add_argument(f"--{side}-labels", metavar="FILE", help="their labels, unless that file holds some")
        parser.add_argument(
            f"--{side}-ids",
            metavar="FILE",
            help="their ids, unless that file holds some: an equal id is the same item and is left out",
        )
    parser.add_argument("--distance", default="cosine", choices=("cosine", "l2", "dot"), help="default: cosine")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps")
    parser.add_argument("--ci", action="store_true", help="add 95 %% bootstrap intervals over queries")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(handler=_evaluate)


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of an evaluation."""

    emb: np.ndarray
    labels: np.ndarray
    ids: np.ndarray | None


def _evaluate(arguments: argparse.Namespace) -> int:
    import numpy as np

    from compat_core.metrics import evaluate_retrieval
    from compat_core.metrics.report import evaluation_summary

    query, gallery = _side(arguments, "query"), _side(arguments, "gallery")
    for given, missing, other in (("query", "gallery", gallery), ("gallery", "query", query)):
        if getattr(arguments, f"{given}_ids") and other.ids is None:
            rule = "ids of both sides are needed to find equal items"
            raise CompatError(f"--{given}-ids", rule=rule, fix=f"add --{missing}-ids")
    told_apart = query.ids is not None and gallery.ids is not None
    if not told_apart and np.array_equal(query.emb, gallery.emb):
        print(f"warning: {FINDS_ITSELF.format(what='rows', then='every query finds itself')}", file=sys.stderr)
    elif not told_apart and _same_items(query.labels, gallery.labels):
        then = "if row i of both is one item, every query finds itself"
        print(f"warning: {FINDS_ITSELF.format(what='labels row by row', then=then)}", file=sys.stderr)
    query, gallery = _with_labels(query, gallery)
    scores = evaluate_retrieval(
        query.emb,
        query.labels,
        gallery.emb,
        gallery.labels,
        query_ids=query.ids if told_apart else None,
        gallery_ids=gallery.ids if told_apart else None,
        distance=arguments.distance,
        device=arguments.device,
    )
    summary = evaluation_summary(scores, ci=arguments.ci)
    if arguments.json:
        print_json(summary)
    else:
        _print(summary)
    return 0


def _with_labels(query: _Side, gallery: _Side) -> tuple[_Side, _Side]:
    """The queries that have a label, and the gallery: items without one are there to be told from those wanted.

    Both sides call such an item by its row, which would make two of one row alike.
    """
    from compat_core.adapters.labels import labelled

    asks, wanted = labelled(query.labels), labelled(gallery.labels)
    if asks.all() and wanted.all():
        return query, gallery
    if not asks.any():
        raise CompatError("--query-labels", rule="label none of the queries: nothing can be asked")
    for what, known in (("queries", asks), ("gallery items", wanted)):
        if not known.all():
            then = "not asked" if known is asks else "searched, and relevant to nothing"
            print(f"note: {int((~known).sum()):,} {what} without a label are {then}", file=sys.stderr)
    emb = query.emb if asks.all() else query.emb[asks]
    asking = _Side(emb, query.labels[asks].astype(str), None if query.ids is None else query.ids[asks])
    return asking, _Side(gallery.emb, gallery.labels.astype(str), gallery.ids)


def _side(arguments: argparse.Namespace, name: str) -> _Side:
    """Vectors, labels and ids of a side: the files that are named, or else what the file of vectors holds.

    Labels that have ids beside them are brought to the vectors by id, where these have ids too.
    """
    import numpy as np

    from compat_core.vectors.matching import places
    from compat_core.vectors.sources import ID_COLUMN, read_column, read_ids, read_labels, read_vectors

    file, labels, ids = (getattr(arguments, option) for option in (name, f"{name}_labels", f"{name}_ids"))
    found = read_vectors(file)
    own = read_labels(labels) if labels else found.labels
    if own is None:
        rule = "holds vectors and no labels"
        raise CompatError(f"--{name}", value=file, rule=rule, fix=f"give --{name}-labels FILE")
    own_ids = read_column(ids, ID_COLUMN).astype(str) if ids else found.ids
    beside = read_ids(labels) if labels else None
    if beside is not None and own_ids is not None and not np.array_equal(beside, own_ids):  # one item, several rows
        own = own[places(f"--{name}-labels", beside, own_ids)]
    return _Side(found.emb, own, own_ids)


def _same_items(query_labels: np.ndarray, gallery_labels: np.ndarray) -> bool:
    """Whether row i of both seems to be one item, as with new queries and migrated rows: the labels agree row by row,
    and not because both are sorted by class."""
    import numpy as np

    if len(query_labels) < 2 or not np.array_equal(query_labels, gallery_labels):
        return False
    return bool((query_labels[1:] != query_labels[:-1]).sum() >= len(np.unique(query_labels)))


def _print(summary: dict[str, Any]) -> None:
    """A metric per line, in percent with its interval and chance level, then what was measured."""
    lines = []
    for name, entry in summary.items():
        if isinstance(entry, dict) and "value" in entry:
            bounds = f"{percent(entry['ci_low'])} … {percent(entry['ci_high'])}" if entry["ci_low"] is not None else "-"
            lines.append([name, percent(entry["value"]), bounds, percent(summary["chance"].get(name))])
    print_table(["metric", "%", "95 % interval", "chance"], lines, right=(1, 3))
    for name, value in summary.items():
        if not isinstance(value, dict):
            print(f"{name.replace('_', ' ')}: {value}")
