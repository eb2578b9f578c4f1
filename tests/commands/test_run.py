"""``demo`` and ``run``: what goes to stdout and stderr, how a run ends, and going on with one."""

from __future__ import annotations

import json
import shlex

import pytest

from compat_core.cli import main
from compat_core.errors import Cancelled, CompatError
from compat_core.experiments import files
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.presets import PRESETS
from compat_core.experiments.store import RunStore
from tests.commands.stage import RESULTS, failing, one_error_line


def test_demo_json_is_exactly_the_rows(pretend, store, capsys):
    assert main(["demo", "--json", "--seeds", "0", "1"]) == 0
    captured = capsys.readouterr()
    run = store.list()[0]
    assert json.loads(captured.out) == run.rows()
    assert next(iter(json.loads(captured.out)[0])) == "run"
    assert "a library talks" in captured.err and "stage 1/1: pretend" in captured.err
    assert run.status.state == "done" and run.config.seeds == (0, 1) and run.config.preset == "demo"


def test_demo_prints_a_table_and_the_folder(pretend, store, capsys):
    assert main(["demo"]) == 0
    shown = capsys.readouterr().out
    assert "mAP in %" in shown and "CMC@1 in %" in shown and "450 queries" in shown
    line = next(line for line in shown.splitlines() if line.startswith("bct"))
    assert line.split()[:6] == ["bct", "31.0", "11.0", "51.0", "71.0", "81.0"]
    assert "1/2 compatible, 1/2 undecided" in line
    assert str(store.list()[0].path) in shown


def test_run_options_replace_values(store, capsys):
    options = [
        "--dataset", "folder:pictures", "--methods", "independent,bct:weight=2", "--epochs", "3", "--train-limit", "50",
        "--test-limit", "20", "--image-size", "16", "--arch", "resnet18", "--batch-size", "8", "--seeds", "4", "5",
        "--device", "cpu", "--distance", "l2", "--eval-split", "instances", "--title", "Mine",
        "--protocols", "identification",
    ]  # fmt: skip
    assert main(["run", "--preset", "half-data", *options, "--dry-run"]) == 0
    config = ExperimentConfig.from_dict(json.loads(capsys.readouterr().out))
    assert (config.preset, config.title, config.seeds) == ("half-data", "Mine", (4, 5))
    assert [spec.name for spec in config.methods] == ["independent", "bct"]
    assert config.methods[1].params == {"weight": 2}
    for version in (config.old, config.new):
        assert (version.arch, version.train.epochs, version.train.batch_size) == ("resnet18", 3, 8)
    assert (config.data.dataset, config.data.train_limit, config.data.test_limit) == ("folder:pictures", 50, 20)
    assert (config.data.image_size, config.data.eval_split) == (16, "instances")
    assert (config.device, config.distance) == ("cpu", "l2")
    assert (config.protocols.verification, config.protocols.identification) == (False, True)
    assert store.list() == []


def test_run_takes_a_file(pretend, store, tmp_path, capsys):
    path = tmp_path / "config.json"
    config = PRESETS.get("demo").config.replace(title="From a file", resamples=500)
    files.write_json(path, config.to_dict())
    assert main(["run", str(path), "--seeds", "7", "--runs-dir", str(tmp_path / "elsewhere")]) == 0
    run = RunStore(tmp_path / "elsewhere").list()[0]
    assert run.config == config.replace(seeds=(7,)) and "-from-a-file-" in run.id
    files.write_json(path, config.to_dict() | {"sedes": [1]})
    capsys.readouterr()
    assert main(["run", str(path)]) == 2
    assert "did you mean 'seeds'" in one_error_line(capsys)


@pytest.mark.parametrize(
    ("error", "status", "state", "said"),
    [
        (CompatError("images", value=0, rule="too few"), 2, "failed", "images: got 0; too few"),
        (MemoryError(), 2, "failed", "--batch-size"),
        (Cancelled("asked"), 130, "cancelled", "--resume"),
        (KeyboardInterrupt(), 130, "cancelled", "--resume"),
    ],
)
def test_how_a_run_ends(pretend, store, capsys, error, status, state, said):
    pretend(failing(error))
    assert main(["run", "--preset", "demo"]) == status
    run = store.list()[0]
    assert run.status.state == state
    captured = capsys.readouterr()
    assert captured.out == "" and said in captured.err.splitlines()[-1] and "Traceback" not in captured.err
    assert captured.err.splitlines()[0] == f"run: {run.path}" and len(captured.err.splitlines()) == 2


def test_the_command_that_goes_on_names_the_folder_of_runs(pretend, tmp_path, capsys):
    pretend(failing(KeyboardInterrupt()))
    elsewhere = tmp_path / "my runs"
    assert main(["demo", "--runs-dir", str(elsewhere)]) == 130
    command = capsys.readouterr().err.splitlines()[-1].partition("go on with: ")[2]
    pretend(lambda run, tracker: files.write_json(run.path / "results.json", RESULTS))
    program, *arguments = shlex.split(command)[2:]
    assert program == "compat_core" and main(arguments) == 0
    assert RunStore(elsewhere).list()[0].status.state == "done"


def test_a_bug_is_raised(pretend, store):
    pretend(failing(KeyError("x")))
    with pytest.raises(KeyError):
        main(["run", "--preset", "demo"])
    assert store.list()[0].status.state == "failed"


def test_a_seed_that_no_table_holds_is_refused_in_one_line(store, capsys):
    assert main(["run", "--preset", "demo", "--seeds", "9" * 20]) == 2
    assert "seeds are whole numbers from 0 to" in one_error_line(capsys)
    assert not store.list()


def test_resuming(pretend, store, capsys):
    pretend(failing(KeyboardInterrupt()))
    assert main(["run", "--preset", "demo"]) == 130
    run = store.list()[0]
    capsys.readouterr()
    assert main(["run", "--resume", run.id, "--seeds", "3"]) == 2
    assert "keeps its own configuration" in one_error_line(capsys)
    pretend(lambda run, tracker: files.write_json(run.path / "results.json", RESULTS))
    assert main(["run", "--resume", run.id]) == 0
    assert run.status.state == "done" and store.list() == [run]
    capsys.readouterr()
    assert main(["run", "--resume", run.id]) == 2
    assert "it is done" in one_error_line(capsys)
