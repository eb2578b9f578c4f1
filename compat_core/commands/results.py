"""``runs``, ``show``, ``table``, ``report``: what came out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from compat_core.commands.console import print_json, print_table
from compat_core.commands.parser import Subparsers, add_runs_dir
from compat_core.commands.summary import headline, percent, print_results
from compat_core.errors import CompatError
from compat_core.experiments.files import CLOSED
from compat_core.experiments.run import Run
from compat_core.experiments.store import RunStore

FORMATS = ("csv", "json", "parquet", "md", "latex")


def add(commands: Subparsers) -> None:
    """Add the commands of this module."""
    runs = commands.add_parser("runs", help="the runs, newest first", description="List the runs, newest first.")
    runs.add_argument("--json", action="store_true", help="as JSON")
    add_runs_dir(runs)
    runs.set_defaults(handler=_runs)

    show = commands.add_parser("show", help="one run", description="Show one run: status, results, log tail.")
    show.add_argument("run", metavar="RUN", help="id of the run, or a unique beginning of it")
    show.add_argument("--json", action="store_true", help="as JSON")
    add_runs_dir(show)
    show.set_defaults(handler=_show)

    table = commands.add_parser(
        "table", help="result tables for papers and programs", description="Write the results of runs as a table."
    )
    table.add_argument("run", metavar="RUN", nargs="+", help="ids of the runs")
    _add_metric(table, "every one; md and latex: mAP and CMC@1; also of a protocol, such as TAR@FAR=0.01")
    table.add_argument("--format", choices=FORMATS, default="csv", help="default: csv")
    table.add_argument("--out", metavar="FILE", help="write to a file instead of stdout")
    add_runs_dir(table)
    table.set_defaults(handler=_table)

    report = commands.add_parser(
        "report", help="one self-contained HTML page", description="Write one self-contained HTML page about runs."
    )
    report.add_argument("run", metavar="RUN", nargs="+", help="ids of the runs")
    _add_metric(report, "mAP and CMC@1")
    report.add_argument("--out", metavar="FILE.html", required=True, help="the file to write")
    add_runs_dir(report)
    report.set_defaults(handler=_report)


def _add_metric(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument(
        "--metric", metavar="NAME", action="append",
        help=f"only this one; repeat it for several; see: python -m compat_core metrics (default: {default})",
    )  # fmt: skip


def _runs(arguments: argparse.Namespace) -> int:
    store = RunStore(arguments.runs_dir)
    listed = []
    for run in store.list():
        try:
            listed.append(_overview(run))
        except CompatError as error:
            if run.exists():
                print(f"{run.id}: {error}", file=sys.stderr)  # one damaged run must not hide the others
    for path in store.unreadable():
        print(f"{path}: {CLOSED}", file=sys.stderr)
    if arguments.json:
        print_json(listed)
    elif not listed:
        print(f"no runs in {store.root}; start one with: python -m compat_core demo")
    else:
        print_table(
            ["run", "state", "done", "data set", "old/old", "best method", "new/migrated", "ceiling"],
            [_overview_line(entry) for entry in listed],
            right=(2, 4, 6, 7),
        )
        print("\nmAP in %, mean over seeds")
    return 0


def _overview(run: Run) -> dict[str, Any]:
    config, status, meta = run.config_dict(), run.status, run.meta
    return {
        "run": run.id,
        "name": meta.name,
        "state": status.state,
        "stage": status.stage,
        "progress": status.progress,
        "created_at": meta.created_at,
        "dataset": config.get("data", {}).get("dataset"),
        "seeds": config.get("seeds"),
        "tags": list(meta.tags),
        "pinned": meta.pinned,
        "archived": meta.archived,
        "error": status.error.message if status.error else None,
        "headline": headline(run.rows()),
    }


def _overview_line(entry: dict[str, Any]) -> list[str]:
    best = entry["headline"] or {}
    return [
        entry["run"],
        entry["state"],
        f"{100 * entry['progress']:.0f} %",
        str(entry["dataset"]),
        percent(best.get("old/old")),
        best.get("best_method", "-"),
        percent(best.get("new/migrated")),
        percent(best.get("paragon")),
    ]


def _show(arguments: argparse.Namespace) -> int:
    run = RunStore(arguments.runs_dir).get(arguments.run)
    status, results = run.status, run.results()
    if arguments.json:
        print_json(
            {
                **_overview(run),
                "path": str(run.path),
                "status": status.to_dict(),
                "config": run.config_dict(),
                "environment": run.environment(),
                "results": results,
            }
        )
        return 0
    print(f"{run.id}  {status.state}, {100 * status.progress:.0f} %  {status.stage}".rstrip())
    environment = run.environment() or {}
    for name, text in (
        ("name", run.meta.name),
        ("device", environment.get("device", "")),
        ("why", environment.get("device_reason", "")),
        ("command", environment.get("command", "")),
        ("error", status.error.message if status.error else ""),
        ("what to do", status.error.fix if status.error else ""),
    ):
        if text:
            print(f"{name}: {text}")
    if results is not None:
        print_results(results)
    elif tail := run.log_tail(10):
        print(f"\n{tail}")
    print(f"\n{run.path}")
    return 0


def _table(arguments: argparse.Namespace) -> int:
    from compat_core.reports.held import protocol_metrics
    from compat_core.reports.tables import results_to_format

    results = [run.results() or {} for run in _with_results(arguments)]
    data = results_to_format(results, arguments.format, metrics=_metrics(arguments, protocol_metrics(results)))
    if arguments.out:
        _write(arguments.out, data)
    elif arguments.format == "parquet" and sys.stdout.isatty():
        raise CompatError("--out", rule="Parquet is binary and not for a terminal", fix="name a file with --out")
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
    return 0


def _report(arguments: argparse.Namespace) -> int:
    metrics, runs = _metrics(arguments), _with_results(arguments)
    from compat_core.methods import available
    from compat_core.reports.html import html_report

    _write(arguments.out, html_report(runs, available(), metrics).encode())
    return 0


def _metrics(arguments: argparse.Namespace, others: Iterable[str] = ()) -> list[str] | None:
    """The metrics that were asked for, by their registered names or as ``others``; None where none was."""
    if not arguments.metric:
        return None
    from compat_core.metrics import resolve  # late: it loads torch

    spelt = {name.lower(): name for name in others}
    return list(dict.fromkeys(spelt.get(name.strip().lower()) or resolve(name).name for name in arguments.metric))


def _with_results(arguments: argparse.Namespace) -> list[Run]:
    store = RunStore(arguments.runs_dir)
    runs = list(dict.fromkeys(store.get(run_id) for run_id in arguments.run))
    for run in runs:
        if run.results() is None:
            raise CompatError("run", value=run.id, rule=f"has no results, it is {run.status.state}")
    return runs


def _write(name: str, data: bytes) -> None:
    path = Path(name)
    try:
        path.write_bytes(data)
    except OSError as error:
        raise CompatError(
            "--out",
            value=name,
            rule=f"cannot be written ({error.strerror})",
            fix="name a file in a folder you can write",
        ) from error
    print(f"wrote {path} ({len(data):,} bytes)", file=sys.stderr)
