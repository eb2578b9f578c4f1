"""A small finished run that claims are put to."""

import pytest

from compat_core.experiments.presets import configure
from compat_core.experiments.runner import run_experiment
from compat_core.experiments.store import RunStore
from compat_core.spec import Spec, parse_specs


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    fct = {"width": 32, "epochs": 20, "side_dim": 8, "side_epochs": 2, "views": 1, "batch_size": 128, "lr": 2e-3}
    methods = (
        *parse_specs("independent,bct-sys,l2"), Spec("fct", fct, "fct"), Spec("fct", fct | {"side": "none"}, "plain"),
    )  # fmt: skip
    config = configure("demo", epochs=8, seeds=(0, 1)).replace(methods=methods, resamples=200)
    return run_experiment(config, RunStore(tmp_path_factory.mktemp("runs")))
