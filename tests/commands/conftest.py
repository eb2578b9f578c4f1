"""A store of its own per test, with a finished run, and ``run`` without training."""

from __future__ import annotations

import pytest

from compat_core.commands import experiment
from compat_core.experiments import files, worker
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.status import RunStatus
from compat_core.experiments.store import RunStore
from tests.commands.stage import RESULTS


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
