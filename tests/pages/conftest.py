"""One small finished run and one decision for all page tests, and an app that shows them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from compat_core.experiments.presets import configure
from compat_core.experiments.runner import run_experiment
from compat_core.experiments.store import RunStore
from compat_core.reports.decision import decision_page
from compat_core.spec import Spec, parse_specs
from compat_core.vectors.decision import decide
from compat_core.vectors.jobs import DecisionStore
from compat_core.vectors.studies import per_query, studies
from tests.vectors.worlds import better_new, quick

ROOT = Path(__file__).parents[2]
QUICK_FCT = Spec("fct", {"width": 32, "epochs": 3, "side_dim": 8, "side_epochs": 2, "views": 1}, "fct")


def quick_config():
    config = configure("demo", methods=parse_specs("independent,bct-sys"), epochs=4, train_limit=400, seeds=(0, 1))
    return config.replace(methods=(*config.methods, QUICK_FCT), resamples=200)


@pytest.fixture(scope="session")
def finished_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    run_experiment(quick_config(), RunStore(root))
    return root


@pytest.fixture(scope="session")
def chain_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("chain")
    config = configure("chain", methods=parse_specs("independent,bct-sys"), epochs=2, train_limit=300, test_limit=100)
    run_experiment(config.replace(resamples=200), RunStore(root))
    return root


@pytest.fixture
def chain(chain_root, monkeypatch):
    """A finished chain of versions, alone in its store; pages show it."""
    monkeypatch.setenv("COMPATBENCH_RUNS", str(chain_root))
    (run,) = RunStore(chain_root).list()
    return run


@pytest.fixture
def finished(finished_root, monkeypatch):
    """The store that holds the finished run; pages show it."""
    monkeypatch.setenv("COMPATBENCH_RUNS", str(finished_root))
    return RunStore(finished_root)


@pytest.fixture
def copied(finished_root, tmp_path, monkeypatch):
    """A copy of the finished run that a test may change; nothing is really started from it."""
    shutil.copytree(finished_root, tmp_path / "runs")
    monkeypatch.setenv("COMPATBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("compat_core.experiments.queue.spawn_dispatcher", lambda store, key: None)
    return RunStore(tmp_path / "runs")


@pytest.fixture
def empty(tmp_path, monkeypatch):
    """An empty store, as on a new machine; nothing is really started from it."""
    monkeypatch.setenv("COMPATBENCH_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr("compat_core.experiments.queue.spawn_dispatcher", lambda store, key: None)
    return RunStore(tmp_path / "runs")


@pytest.fixture
def visit():
    """Open a page of the app, as its own address would; fails on any exception."""

    def open_page(name, **query):
        app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)
        for key, value in query.items():
            app.query_params[key] = value
        app.switch_page(f"pages/{name}.py").run()
        assert not app.exception, app.exception
        return app

    return open_page


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """What ``decide`` writes, made once."""
    given = better_new()
    decision, evidence = decide(given, quick())
    looked = studies(given, decision, evidence)
    document = {
        "schema_version": 1,
        "decision": decision.to_dict(),
        "studies": looked,
        "inputs": {"old": {}},
        "environment": {},
    }
    return json.loads(json.dumps(document)), per_query(given, evidence)


@pytest.fixture
def decided(written, empty):
    """A store with one finished decision."""
    job = DecisionStore(empty.root).create("shop vectors", ["--old", "o.npy", "--new", "n.npy"])
    document, arrays = written
    np.savez(job.path / "per_query.npz", **arrays)
    (job.path / "decision.html").write_text(decision_page(document))
    (job.path / "decision.json").write_text(json.dumps(document))
    return job


@pytest.fixture
def started(monkeypatch):
    jobs = []
    monkeypatch.setattr("compat_core.vectors.jobs.DecisionJob.start", lambda job: jobs.append(job))
    return jobs
