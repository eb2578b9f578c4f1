"""``demo`` and ``run``: an experiment in the foreground; ``work`` and ``dispatch``: what the queue starts."""

from __future__ import annotations

import argparse
import contextlib
import shlex
import sys
from typing import TYPE_CHECKING, Any

from compat_core.commands.console import Console, print_json
from compat_core.commands.parser import Subparsers, add_runs_dir, whole
from compat_core.commands.summary import print_results
from compat_core.errors import Cancelled, CompatError
from compat_core.experiments import queue, worker
from compat_core.experiments.run import Run
from compat_core.experiments.store import RunStore
from compat_core.experiments.tracker import RunTracker

if TYPE_CHECKING:
    from compat_core.experiments.config import ExperimentConfig

# Options of ``run`` that replace a value of the configuration: name → what it is.
OVERRIDES: dict[str, dict[str, Any]] = {
    "dataset": {"metavar": "SPEC", "help": "data set name, or folder:PATH; see: datasets"},
    "methods": {"metavar": "A,B,C", "help": "e.g. bct,fct:side=none,epochs=40,as=plain (as: an alias); see: methods"},
    "epochs": {"type": whole, "metavar": "N", "help": "epochs of the old and the new model"},
    "train-limit": {"type": whole, "metavar": "N", "help": "most training images used; 0 = all"},
    "test-limit": {"type": whole, "metavar": "N", "help": "most evaluation images used; 0 = all"},
    "image-size": {"type": whole, "metavar": "PX", "help": "side the images are resized to; 0 = the data set's own"},
    "arch": {"metavar": "NAME", "help": "backbone of both models; see: models"},
    "batch-size": {"type": whole, "metavar": "N", "help": "images per optimiser step"},
    "seeds": {"type": whole, "nargs": "+", "metavar": "S", "help": "one complete repetition per seed"},
    "device": {"metavar": "DEVICE", "help": "auto, cpu, cuda, cuda:N or mps"},
    "precision": {"metavar": "P", "help": "of training: auto, float32 or bfloat16"},
    "distance": {"metavar": "NAME", "help": "cosine, l2 or dot"},
    "eval-split": {"metavar": "HOW", "help": "auto, given, instances or classes"},
    "protocols": {"metavar": "A,B", "help": "beside retrieval: verification, identification; none switches them off"},
    "title": {"metavar": "TEXT", "help": "a name for people"},
}


def add(commands: Subparsers) -> None:
    """Add the commands of this module."""
    demo = commands.add_parser(
        "demo", help="the bundled benchmark, offline, on a CPU", description="Run the bundled benchmark and show it."
    )
    _override(demo, "seeds", "device")
    demo.add_argument("--json", action="store_true", help="print the result rows as JSON instead of a table")
    add_runs_dir(demo)
    demo.set_defaults(handler=_demo)

    run = commands.add_parser(
        "run",
        help="one experiment, in the foreground",
        description="Run one experiment in the foreground, from a file or a preset; options replace its values.",
    )
    run.add_argument("config", nargs="?", metavar="CONFIG.json", help="a configuration file")
    run.add_argument("--preset", metavar="NAME", help="start from a preset; see: presets")
    run.add_argument("--resume", metavar="RUN", help="go on with a run that was lost, failed or cancelled")
    run.add_argument("--dry-run", action="store_true", help="check and print the complete configuration, and stop")
    _override(run, *OVERRIDES)
    add_runs_dir(run)
    run.set_defaults(handler=_run)

    work = commands.add_parser("work")  # no help: internal commands stay out of the list
    work.add_argument("run", metavar="RUN")
    add_runs_dir(work)
    work.set_defaults(handler=_work)

    dispatch = commands.add_parser("dispatch")
    dispatch.add_argument("--device-key", choices=queue.DEVICE_KEYS, required=True)
    add_runs_dir(dispatch)
    dispatch.set_defaults(handler=_dispatch)

    project = commands.add_parser("project")
    project.add_argument("run", metavar="RUN")
    project.add_argument("--config", required=True)
    add_runs_dir(project)
    project.set_defaults(handler=_project)


def _override(parser: argparse.ArgumentParser, *names: str) -> None:
    for name in names:
        parser.add_argument(f"--{name}", **OVERRIDES[name])


def _demo(arguments: argparse.Namespace) -> int:
    from compat_core.experiments.presets import configure

    store = RunStore(arguments.runs_dir)
    config = configure("demo", **_overrides(arguments))
    check(config)
    run = _foreground(store.create(config), arguments.runs_dir)
    if arguments.json:
        print_json(run.rows())
    else:
        _show(run)
    return 0


def _run(arguments: argparse.Namespace) -> int:
    from compat_core.experiments.runner import check_names

    changes = _overrides(arguments)
    store = RunStore(arguments.runs_dir)
    if arguments.resume:
        run = _resumed(store, arguments, changes)
    else:
        config = _configured(arguments, changes)
        if arguments.dry_run:  # it may be meant for another machine, with its own data and devices
            check_names(config)
            print_json(config.to_dict())
            return 0
        check(config)
        run = store.create(config)
    _show(_foreground(run, arguments.runs_dir))
    return 0


def _resumed(store: RunStore, arguments: argparse.Namespace, changes: dict[str, Any]) -> Run:
    for name, given in (("CONFIG.json", arguments.config), ("--preset", arguments.preset), *changes.items()):
        if given is not None:
            option = name if name[0] in "C-" else "--" + name.replace("_", "-")
            raise CompatError(option, value=given, rule="a resumed run keeps its own configuration", fix="leave it out")
    run = store.get(arguments.resume)
    if arguments.dry_run:
        raise CompatError("--dry-run", rule="does not go with --resume", fix=f"see {run.path / 'config.json'}")
    queue.check_resumable(run)
    check(run.config)
    run.clear_cancel()
    return run


def _configured(arguments: argparse.Namespace, changes: dict[str, Any]) -> ExperimentConfig:
    from compat_core.experiments.config import ExperimentConfig
    from compat_core.experiments.presets import configure

    if arguments.config and arguments.preset:
        raise CompatError("run", rule="takes CONFIG.json or --preset, not both", fix="leave one of them out")
    if not arguments.config and not arguments.preset:
        raise CompatError(
            "run", rule="needs CONFIG.json, --preset NAME or --resume RUN", fix="see: python -m compat_core presets"
        )
    base = ExperimentConfig.from_file(arguments.config) if arguments.config else None
    return configure(arguments.preset, base, **changes)


def _overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    """The given override options, in the types that ``presets.configure`` takes."""
    from compat_core.spec import parse_specs

    names = [name.replace("-", "_") for name in OVERRIDES]
    changes = {name: value for name in names if (value := getattr(arguments, name, None)) is not None}
    if "methods" in changes:
        changes["methods"] = parse_specs(changes["methods"])
    if "protocols" in changes:
        words = [word.strip() for word in changes["protocols"].split(",") if word.strip()]
        changes["protocols"] = () if words == ["none"] else tuple(words)
    if "seeds" in changes:
        changes["seeds"] = tuple(changes["seeds"])
    return changes


def check(config: ExperimentConfig) -> None:
    """Refuse what this machine or the registries do not have, before a run folder is made for it.

    Raises:
        CompatError: for an absent device, an unknown data set or an unusable folder, and an unknown method, loss,
            backbone or parameter.
    """
    from compat_core.data import DATASETS, load_dataset
    from compat_core.device import pick_device

    pick_device(config.device, config.precision)
    if config.data.dataset not in DATASETS:  # misspelt, or a folder: is it there, and laid out as it should be?
        with contextlib.suppress(_EnoughError):
            load_dataset(config.data, progress=_stop_loading)
    from compat_core.experiments.runner import check_names

    check_names(config)


class _EnoughError(Exception):
    """Ends the loading of images once the first of them could be read."""


def _stop_loading(done: int, total: int) -> None:
    raise _EnoughError


def _foreground(run: Run, runs_dir: str | None) -> Run:
    """Work on ``run`` in this process, showing its progress on stderr; ``runs_dir`` as given on the command line."""
    console = Console()
    console.line(f"run: {run.path}")
    tracker = RunTracker(run, echo=console.line, on_status=console.status)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # whatever a library prints must not mix with the results
            worker.supervise(run, tracker, lambda *arguments: worker.load_execute()(*arguments))
    except (Cancelled, KeyboardInterrupt) as stop:
        where = ["--runs-dir", runs_dir] if runs_dir else []
        command = shlex.join(["python", "-m", "compat_core", "run", "--resume", run.id, *where])
        raise Cancelled(f"run {run.id} was cancelled; go on with: {command}") from stop
    return run


def _show(run: Run) -> None:
    results = run.results()
    if results is not None:
        print_results(results)
    print(f"\nrun {run.id} in {run.path}")


def _work(arguments: argparse.Namespace) -> int:
    worker.work(arguments.run, arguments.runs_dir)
    return 0


def _project(arguments: argparse.Namespace) -> int:
    from compat_core.experiments import projection

    print(projection.project(RunStore(arguments.runs_dir).get(arguments.run), projection.from_json(arguments.config)))
    return 0


def _dispatch(arguments: argparse.Namespace) -> int:
    queue.dispatch(RunStore(arguments.runs_dir), arguments.device_key)
    return 0
