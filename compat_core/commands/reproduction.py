"""``reproduction``: keep what runs showed, and write the page about it."""

from __future__ import annotations

import argparse
from pathlib import Path

from compat_core.commands.parser import Subparsers, add_runs_dir
from compat_core.errors import CompatError
from compat_core.experiments.files import read_json, write_json
from compat_core.experiments.store import RunStore

FOLDER, PAGE = Path("docs/reproduction"), Path("docs/reproduction.md")


def add(commands: Subparsers) -> None:
    """Add the command of this module."""
    parser = commands.add_parser(
        "reproduction",
        help="write docs/reproduction.md from kept results",
        description="Write the reproduction page from the results kept as JSON; --keep adds runs to them first.",
    )
    parser.add_argument("--keep", metavar="RUN", nargs="+", default=[], help="finished runs to keep before writing")
    parser.add_argument("--folder", metavar="DIR", type=Path, default=FOLDER, help=f"kept results; default: {FOLDER}")
    parser.add_argument("--out", metavar="FILE.md", type=Path, default=PAGE, help=f"the page; default: {PAGE}")
    add_runs_dir(parser)
    parser.set_defaults(handler=_reproduction)


def _reproduction(arguments: argparse.Namespace) -> int:
    from compat_core.reports.reproduction import keep
    from compat_core.reports.reproduction_page import page

    store = RunStore(arguments.runs_dir)
    for name in arguments.keep:
        run = store.get(name)
        if run.results() is None:
            raise CompatError("run", value=run.id, rule=f"has no results, it is {run.status.state}", fix="resume it")
        arguments.folder.mkdir(parents=True, exist_ok=True)
        write_json(arguments.folder / f"{run.id}.json", keep(run))
    kept = [read(path) for path in sorted(arguments.folder.glob("*.json"))]
    if not kept:
        raise CompatError("--folder", value=str(arguments.folder), rule="holds no kept results", fix="use --keep RUN")
    arguments.out.write_text(page(kept), encoding="utf-8")
    print(f"{arguments.out} from {len(kept)} kept run{'s' if len(kept) > 1 else ''}")
    return 0


def read(path: Path) -> dict[str, object]:
    """One kept run. Raises CompatError for a file that is not JSON or of another schema."""
    from compat_core.reports.reproduction import SCHEMA_VERSION

    kept = read_json(path)
    if not isinstance(kept, dict) or kept.get("schema_version") != SCHEMA_VERSION:
        raise CompatError("kept results", value=str(path), rule=f"this program reads schema {SCHEMA_VERSION}")
    return kept
