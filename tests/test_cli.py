"""The command line's stable face: what goes to stdout, what to stderr, and the exit status."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compat_core.cli import main
from compat_core.commands import catalogue, experiment
from compat_core.commands.console import Console, duration, progress_text
from compat_core.errors import Cancelled, CompatError
from compat_core.experiments import files, worker
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.presets import PRESETS
from compat_core.experiments.status import RunStatus
from compat_core.experiments.store import RunStore

ROOT = Path(__file__).resolve().parents[1]
CELLS = {"old/old": 0.3, "new/old": 0.1, "new/migrated": 0.5, "new/new": 0.7, "paragon": 0.8}


def tidy_rows(method: str, shift: float = 0.0, seed: int = 0) -> list[dict]:
    return [
        {
            "dataset": "digits", "method": method, "seed": seed, "cell": cell, "metric": metric, "value": value + shift,
            "ci_low": value - 0.1, "ci_high": value + 0.1, "num_queries": 450,
        }
        for metric in ("mAP", "CMC@1")
        for cell, value in CELLS.items()
    ]  # fmt: skip


RESULTS = {
    "schema_version": 1,
    "dataset": "digits",
    "distance": "cosine",
    "rows": tidy_rows("bct") + tidy_rows("bct", 0.02, seed=1) + tidy_rows("fct", 0.1),
    "verdicts": [
        {"method": "bct", "seed": 0, "metric": "mAP", "outcome": "compatible"},
        {"method": "bct", "seed": 1, "metric": "mAP", "outcome": "undecided"},
        {"method": "fct", "seed": 0, "metric": "mAP", "outcome": "compatible"},
    ],
}


@pytest.fixture
def store(tmp_path, monkeypatch) -> RunStore:
    monkeypatch.setenv("COMPATBENCH_RUNS", str(tmp_path / "runs"))
    return RunStore()


@pytest.fixture
def finished(store):
    run = store.create(ExperimentConfig(device="cpu"), "Finished")
    files.write_json(run.path / "results.json", RESULTS | {"run": run.id})
    run.write_status(RunStatus(state="done", progress=1.0))
    return run


@pytest.fixture
def pretend(monkeypatch, store):
    """``run`` and ``demo`` without training: ``pretend(execute)`` sets what is executed."""
    monkeypatch.setattr(experiment, "check", lambda config: None)

    def fake(run, tracker):
        tracker.start("cpu", "a test")
        tracker.stage("pretend", 0, 1)
        print("a library talks")
        files.write_json(run.path / "results.json", RESULTS | {"run": run.id})

    def use(execute) -> None:
        monkeypatch.setattr(worker, "load_execute", lambda: execute)

    use(fake)
    return use


def failing(error: BaseException):
    def execute(run, tracker):
        raise error

    return execute


def one_error_line(capsys) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1, captured.err
    return captured.err


# -- help and mistakes -------------------------------------------------------------------------------------------------


def test_help_lists_the_commands_for_people(capsys):
    for arguments in ([], ["--help"]):
        assert main(arguments) == 0
        shown = capsys.readouterr().out
        for name in (
            "demo",
            "run",
            "runs",
            "show",
            "table",
            "report",
            "claims",
            "reproduction",
            "evaluate",
            "decide",
            "gate",
            "check",
            "fit-map",
            "migrate",
            "stamp",
            "mixed-search",
            *catalogue.CATALOGUES,
        ):
            assert f"\n    {name} " in shown or f"\n    {name}\n" in shown  # a long name has its own line
        assert "dispatch" not in shown and "\n    work" not in shown
    assert main(["run", "--help"]) == 0 and "--train-limit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["rnu"], ["unknown command", "'rnu'", "did you mean 'run'"]),
        (["dmeo"], ["did you mean 'demo'"]),
        (["run", "--preset", "demo", "--epohcs", "3"], ["--epohcs", "did you mean --epochs"]),
        (["run", "--preset", "demo", "--epohcs=3"], ["--epohcs", "did you mean --epochs"]),
        (["run", "--pre", "demo"], ["unknown option", "did you mean --preset"]),
        (["--verison"], ["did you mean --version"]),
        (["runs", "extra"], ["unexpected argument 'extra'"]),
        (["run", "--preset", "demo", "--epochs", "many"], ["--epochs", "'many'", "whole number"]),
        (["run", "--preset", "demo", "--epochs", "-3"], ["--epochs"]),
        (["run", "--preset", "demo", "--epochs", "0", "--dry-run"], ["epochs", "got 0", "from 1"]),
        (["run", "--preset", "dmo"], ["unknown preset", "'dmo'", "did you mean 'demo'"]),
        (["run", "--preset", "demo", "--distance", "cosin"], ["distance", "did you mean 'cosine'"]),
        (["run", "--preset", "demo", "--methods", "bct,bct"], ["methods", "named twice"]),
        (["run", "--preset", "demo", "--methods", "bct:x"], ["'x'", "key=value"]),
        (["run"], ["needs CONFIG.json", "--preset"]),
        (["run", "a.json", "--preset", "demo"], ["not both"]),
        (["run", "nowhere.json"], ["config file", "nowhere.json", "no such file"]),
        (["run", "--resume", "nothing"], ["unknown run", "'nothing'"]),
        (["show", "../secret"], ["run", "must be an id"]),
        (["show"], ["show", "required", "RUN"]),
        (["table", "x", "--format", "xls"], ["--format", "'xls'", "csv"]),
        (["report", "x"], ["--out"]),
        (["work", "nothing"], ["unknown run"]),
        (["dispatch", "--device-key", "tpu"], ["--device-key", "tpu"]),
        (["evaluate", "--query", "q.npy"], ["required", "--query-labels"]),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_status_2(store, capsys, arguments, parts):
    assert main(arguments) == 2
    line = one_error_line(capsys)
    for part in parts:
        assert part in line
    assert store.list() == []


def test_an_absent_gpu_is_refused_before_a_run_is_made(store, capsys, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["run", "--preset", "demo", "--device", "cuda"]) == 2
    assert "no CUDA GPU" in one_error_line(capsys)
    assert main(["demo", "--device", "abacus"]) == 2
    assert "abacus" in one_error_line(capsys)
    assert store.list() == []


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--dataset", "digist"], "did you mean 'digits'"),
        (["--dataset", "folder:/no/such/place"], "no such folder"),
        (["--methods", "bct,fcd"], "did you mean 'fct'"),
        (["--methods", "bct:lamda=1"], "lamda"),
        (["--arch", "resnt18"], "did you mean 'resnet18'"),
        (["--protocols", "verificaton"], "did you mean 'verification'"),
    ],
)
def test_unknown_names_are_refused_before_a_run_is_made(store, capsys, options, part):
    assert main(["run", "--preset", "demo", *options]) == 2
    assert part in one_error_line(capsys)
    assert store.list() == []


def test_methods_that_need_equal_dimensions_are_refused_before_a_run_is_made(store, capsys):
    assert main(["run", "--preset", "dimension-up", "--methods", "l2"]) == 2
    assert "needs equal dimensions" in one_error_line(capsys)
    assert store.list() == []


# -- running -----------------------------------------------------------------------------------------------------------


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


def test_a_bug_is_raised(pretend, store):
    pretend(failing(KeyError("x")))
    with pytest.raises(KeyError):
        main(["run", "--preset", "demo"])
    assert store.list()[0].status.state == "failed"


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


# -- results -----------------------------------------------------------------------------------------------------------


def test_runs_lists_what_there_is(store, capsys):
    assert main(["runs"]) == 0 and "compat_core demo" in capsys.readouterr().out
    assert main(["runs", "--json"]) == 0 and json.loads(capsys.readouterr().out) == []


def test_runs_show_and_table(finished, store, capsys):
    lost = store.create(ExperimentConfig())
    lost.write_status(RunStatus(state="running"))
    assert main(["runs"]) == 0
    shown = capsys.readouterr().out
    assert "60.0" in next(line for line in shown.splitlines() if finished.id in line)
    assert "lost" in next(line for line in shown.splitlines() if lost.id in line)
    assert main(["runs", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry["state"] for entry in listed] == ["lost", "done"]
    assert listed[1]["headline"]["best_method"] == "fct" and listed[0]["headline"] is None

    assert main(["show", finished.id[:-1]]) == 0
    assert "verdict" in capsys.readouterr().out
    assert main(["show", finished.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["results"]["rows"] == RESULTS["rows"]
    assert main(["show", lost.id]) == 0 and "lost" in capsys.readouterr().out

    assert main(["table", finished.id, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == finished.rows()
    assert main(["table", finished.id, lost.id]) == 2
    assert "has no results, it is lost" in one_error_line(capsys)


@pytest.mark.parametrize("format", ["csv", "md", "latex", "parquet"])
def test_tables_in_every_format(finished, tmp_path, capsys, format):
    out = tmp_path / "table"
    assert main(["table", finished.id, "--format", format, "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert captured.out == "" and out.stat().st_size > 100
    assert main(["table", finished.id, "--format", format, "--out", str(tmp_path / "no" / "where")]) == 2
    assert "cannot be written" in one_error_line(capsys)


def test_a_damaged_run_does_not_hide_the_others(finished, store, capsys):
    damaged = store.create(ExperimentConfig())
    (damaged.path / "config.json").write_text("{")
    assert main(["runs", "--json"]) == 0
    captured = capsys.readouterr()
    assert [entry["run"] for entry in json.loads(captured.out)] == [finished.id]
    assert damaged.id in captured.err and "not valid JSON" in captured.err


def test_report_writes_a_page(finished, tmp_path):
    pytest.importorskip("plotly")
    out = tmp_path / "report.html"
    assert main(["report", finished.id, "--out", str(out)]) == 0
    assert "<html" in out.read_text(encoding="utf-8").lower()


# -- registries and vectors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", list(catalogue.CATALOGUES))
def test_catalogues(command, capsys):
    assert main([command]) == 0
    text = capsys.readouterr().out
    assert main([command, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert entries
    for entry in entries:
        assert entry["name"] in text and entry["title"]
        for parameter in entry.get("parameters", []):
            assert parameter["help"] and {"unit", "low", "high", "choices", "paper", "default"} <= set(parameter)


@pytest.fixture
def vectors(tmp_path) -> list[str]:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 4)
    arguments = ["evaluate"]
    for side in ("query", "gallery"):
        emb = np.eye(5)[labels] + 0.3 * rng.normal(size=(20, 5))
        np.save(tmp_path / f"{side}.npy", emb.astype(np.float32))
        np.save(tmp_path / f"{side}-labels.npy", labels)
        np.save(tmp_path / f"{side}-ids.npy", np.arange(20))
        arguments += [f"--{side}", str(tmp_path / f"{side}.npy")]
        arguments += [f"--{side}-labels", str(tmp_path / f"{side}-labels.npy")]
    return [*arguments, "--device", "cpu"]


def test_evaluate_gives_metrics_of_any_vectors(vectors, tmp_path, capsys):
    from compat_core.metrics import evaluate_retrieval

    assert main([*vectors, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    arrays = {
        name: np.load(tmp_path / f"{name}.npy") for name in ("query", "query-labels", "gallery", "gallery-labels")
    }
    assert repr(evaluate_retrieval(*arrays.values()).mean_ap)[:8] in json.dumps(summary)
    assert main([*vectors, "--ci"]) == 0 and "mAP" in capsys.readouterr().out


def test_evaluate_refuses_bad_files(vectors, tmp_path, capsys):
    assert main([*vectors, "--query-ids", str(tmp_path / "query-ids.npy")]) == 2
    assert "--gallery-ids" in one_error_line(capsys)
    (tmp_path / "query.npy").write_bytes(b"no array")
    assert main(vectors) == 2
    assert "query.npy" in one_error_line(capsys)


# -- as a process ------------------------------------------------------------------------------------------------------


def process(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "compat_core", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60, **options,
    )  # fmt: skip


def test_the_process_ends_with_2_and_one_line():
    ended = process("run", "--preset", "demo", "--epohcs", "3")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert "did you mean --epochs" in ended.stderr


def test_a_closed_pipe_is_no_error(finished):
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-m", "compat_core", "show", finished.id],
        cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
    )  # fmt: skip
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_command_line_and_the_run_list_are_light():
    code = (
        "import sys, compat_core.cli, compat_core.experiments, compat_core.experiments.queue, "
        "compat_core.experiments.worker\n"
        "from compat_core.experiments import RunStore\n"
        "heavy = {'torch', 'numpy', 'pandas', 'streamlit', 'plotly'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


# -- what a terminal shows ---------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_one_line_of_progress_that_is_rewritten():
    terminal = Terminal()
    console = Console(terminal)
    console.status(RunStatus(state="running", stage="old", progress=0.25, eta_s=42.0))
    console.line("a log line")
    console.status(RunStatus(state="done", progress=1.0))
    shown = terminal.getvalue()
    assert "25 %  old, 42 s left\r" in shown.replace(" " * 10, "") or "42 s left" in shown
    assert shown.endswith("\ra log line\n")


def test_a_file_gets_plain_lines():
    stream = io.StringIO()
    console = Console(stream)
    console.status(RunStatus(state="running", progress=0.5))
    console.line("stage 1/2: old")
    assert stream.getvalue() == "stage 1/2: old\n"


def test_words_for_progress():
    assert progress_text(RunStatus(stage="x", progress=0.5), width=4) == "[##..]  50 %  x"
    assert [duration(seconds) for seconds in (3.4, 720.0, 7200.0)] == ["3 s", "12 min", "2.0 h"]
