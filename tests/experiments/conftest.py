"""Runs without training: a store in a temporary folder and a worker process that only pretends."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.run import Run
from compat_core.experiments.store import RunStore

FAKE_WORKER = '''
"""Works on a run as the real worker does, except that the run's title says what happens."""
import os, signal, sys, time
from compat_core.experiments.worker import work

def execute(run, tracker):
    title = run.config_dict()["title"]
    tracker.start("cpu", "a test")
    tracker.stage("pretend", 0, 2)
    with open(run.path.parent / "order.txt", "a") as file:
        file.write(run.id + chr(10))
    marker = run.path / "stage-1-done"
    if title == "stuck":
        while True:
            tracker.check_cancelled()
            time.sleep(0.02)
    if title == "deaf":
        time.sleep(60)
    if title == "exit":
        print("last words", flush=True)
        os._exit(3)
    if title == "bug":
        raise ValueError("a bug")
    if title == "memory":
        raise MemoryError("too much")
    if title == "killed" and not marker.exists():
        marker.write_text("once")
        os.kill(os.getpid(), signal.SIGKILL)
    tracker.stage("end", 1, 2)

try:
    work(sys.argv[1], sys.argv[2], execute)
finally:
    time.sleep(float(os.environ.get("LINGER_S", 0)))
'''


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


@pytest.fixture
def config() -> ExperimentConfig:
    return ExperimentConfig(device="cpu")


@pytest.fixture
def fake_worker(tmp_path: Path) -> Callable[[Run], list[str]]:
    """The command of a worker that does what the run's title says."""
    script = tmp_path / "fake_worker.py"
    script.write_text(FAKE_WORKER, encoding="utf-8")
    return lambda run: [sys.executable, str(script), run.id, str(run.path.parent)]
