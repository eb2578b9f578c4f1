"""A whole run on a GPU finds what the same run finds on the CPU."""

import dataclasses

import pytest

from compat_core.experiments.presets import configure
from compat_core.experiments.results import RESULTS_FILE
from compat_core.experiments.runner import run_experiment
from compat_core.experiments.store import RunStore
from compat_core.spec import Spec, parse_specs

# Nothing here draws at random on the device: a GPU's stream is another than the CPU's.
FCT = Spec("fct", {"width": 16, "epochs": 2, "side": "autoencoder", "side_dim": 8, "side_epochs": 1, "views": 0}, "fct")


def config(device):
    demo = configure("demo", epochs=1, train_limit=120, test_limit=30)
    protocols = dataclasses.replace(demo.protocols, verification=True, identification=True)
    return demo.replace(
        methods=(*parse_specs("lce"), FCT), seeds=(0,), resamples=100, backfill_queries=10, device=device,
        precision="float32", protocols=protocols, data=dataclasses.replace(demo.data, augment="none"),
    )  # fmt: skip


def values(run):
    return {(row["method"], row["cell"], row["metric"]): row["value"] for row in run.rows()}


def test_a_run_is_the_same_and_resumes(gpu, tmp_path):
    here = run_experiment(config("cpu"), RunStore(tmp_path / "cpu"))
    there = run_experiment(config(gpu), RunStore(tmp_path / "gpu"))
    assert there.status.device == "cuda:0"
    # its sums are added up in another order: a near tie may fall the other way, one query of 30
    assert values(there) == pytest.approx(values(here), abs=0.05)
    first = values(there)
    (there.path / RESULTS_FILE).unlink()
    run_experiment(there.config, resume=there)  # every model comes from its file
    assert values(there) == first
