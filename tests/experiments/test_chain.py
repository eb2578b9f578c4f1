"""Chains: v3 never sees v1, the matrix is what the vectors say, and a stopped chain resumes to the same numbers."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from compat_core.commands.summary import print_results
from compat_core.config import param
from compat_core.errors import CompatError
from compat_core.experiments.artefacts import Artefacts
from compat_core.experiments.presets import configure
from compat_core.experiments.reporting import NullTracker
from compat_core.experiments.runner import execute, run_experiment
from compat_core.experiments.store import RunStore
from compat_core.methods import METHODS, Upgrade
from compat_core.metrics.chain import chain_summary
from compat_core.reports.claims import CLAIMS, answer
from compat_core.spec import parse_specs


def quick():
    config = configure("chain", methods=parse_specs("independent,bct-sys"), epochs=5, train_limit=600, test_limit=150)
    return config.replace(resamples=200)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run_experiment(quick(), RunStore(tmp_path_factory.mktemp("runs")))


def test_matrix_and_summary_agree_with_the_rows(finished):
    rows = {(row["method"], row["cell"], row["metric"]): row["value"] for row in finished.rows()}
    (entry,) = [one for one in finished.results()["chain"] if (one["method"], one["metric"]) == ("bct-sys", "mAP")]
    matrix = np.array([[np.nan if value is None else value for value in row] for row in entry["matrix"]])
    for later in range(3):
        for earlier in range(later + 1):
            cell = f"v{later + 1}/v{earlier + 1}"
            assert matrix[later, earlier] == pytest.approx(rows["bct-sys", cell, "mAP"])
    summary = chain_summary(matrix)
    assert (entry["AC"], entry["AM"]) == pytest.approx((summary.compatibility, summary.mean))
    assert len(entry["pairs"]) == 3
    assert entry["paragons"][1] == pytest.approx(rows["bct-sys", "paragon2", "mAP"])


def test_methods_share_v1_and_the_independent_chain_is_the_paragons(finished):
    rows = {(row["method"], row["cell"], row["metric"]): row["value"] for row in finished.rows()}
    assert rows["independent", "v1/v1", "mAP"] == rows["bct-sys", "v1/v1", "mAP"]
    assert rows["independent", "v3/v3", "mAP"] == rows["independent", "paragon3", "mAP"]
    assert rows["independent", "v2/v1", "mAP"] < rows["bct-sys", "v2/v1", "mAP"]


def test_steps_of_the_independent_chain_share_no_initialisation(finished):
    rows = {(row["method"], row["cell"], row["metric"]): row["value"] for row in finished.rows()}
    assert rows["independent", "v3/v2", "mAP"] < 0.5 * rows["independent", "v3/v3", "mAP"]


class Stopped(Exception):
    """Stands for a power cut."""


class StoppingTracker(NullTracker):
    def __init__(self, after):
        self.left = after

    def event(self, kind, **fields):
        self.left -= 1
        if self.left < 0:
            raise Stopped


@pytest.mark.parametrize("after", [9, 22])
def test_stopped_chain_resumes_to_the_same_table(after, finished, tmp_path, monkeypatch):
    monkeypatch.setattr("compat_core.training.loop.CHECKPOINT_EVERY_S", 0.0)
    run = RunStore(tmp_path).create(quick())
    with pytest.raises(Stopped):
        execute(run, StoppingTracker(after))
    execute(run)
    for ours, theirs in zip(run.rows(), finished.rows(), strict=True):
        assert ours | {"run": ""} == theirs | {"run": ""}


def test_methods_that_map_old_vectors_are_refused(tmp_path):
    with pytest.raises(CompatError, match="leave old vectors"):
        run_experiment(quick().replace(methods=parse_specs("fct")), RunStore(tmp_path))


def own_training(context, config):
    """Trains a copy of the paragon by itself, without context.train_new."""
    net = copy.deepcopy(context.paragon.embedder).requires_grad_(True)
    with torch.no_grad():
        net.head.weight.mul_(-1)
        net.head.bias.mul_(-1)
    if config.told:
        context.trained = dataclasses.replace(context.paragon, embedder=net)
    return Upgrade(context.old.embedder, net)


@dataclasses.dataclass(frozen=True)
class OwnConfig:
    told: bool = param(False, "say which model was trained, with its classifier")


def test_a_method_s_own_model_is_used_in_a_chain_or_refused(tmp_path, monkeypatch):
    """It must never be reported with the paragon's numbers under its own name."""
    monkeypatch.setattr(METHODS, "_entries", dict(METHODS._entries))
    entry = METHODS.get("independent")
    METHODS.add(dataclasses.replace(entry, name="own", config=OwnConfig, fit=own_training))
    METHODS.add(dataclasses.replace(entry, name="nothing", fit=lambda context, config: None))
    config = quick().replace(methods=parse_specs("independent,own:told=true"), resamples=100)
    config = config.replace(scenario=dataclasses.replace(config.scenario, chain=(0.5, 1.0)))
    run = run_experiment(config, RunStore(tmp_path))
    rows = {(row["method"], row["cell"], row["metric"]): row["value"] for row in run.rows()}
    own = run.config.methods[1].label
    assert rows[own, "v2/v2", "mAP"] == pytest.approx(rows["independent", "v2/v2", "mAP"])  # a sign turns no cosine
    assert abs(rows[own, "v2/v1", "mAP"] - rows["independent", "v2/v1", "mAP"]) > 1e-3
    for spec, message in (("own", "method own: a chain needs the classifier"), ("nothing", "must return an Upgrade")):
        with pytest.raises(CompatError, match=message):
            run_experiment(config.replace(methods=parse_specs(spec)), RunStore(tmp_path))


def test_a_version_whose_classifier_sees_fewer_dimensions_is_loaded_again(tmp_path):
    """BT² trains a longer embedding than its classifier is of, and a chain goes on from the saved version."""
    config = quick().replace(methods=parse_specs("bt2:extra=8"))
    config = config.replace(scenario=dataclasses.replace(config.scenario, chain=(0.5, 1.0)))
    run = run_experiment(config, RunStore(tmp_path))
    files, rows = Artefacts(run.path), run.rows()
    label = next(path.name for path in files.model_dir(0, "x").parent.iterdir() if "bt2" in path.name)
    model = files.load_version(0, label, config.new.loss, torch.device("cpu"))
    assert model.head.weight.shape[1] + 8 == model.embedder.dim
    (run.path / "results.json").unlink()
    execute(run, NullTracker())
    assert run.rows() == rows


@pytest.mark.parametrize("chain", [[0.5], [0.5, 0.5], [1.0, 0.5], [0.0, 1.0], [0.5, 2.0]])
def test_bad_shares(chain):
    values = quick().to_dict()
    values["scenario"]["chain"] = chain
    with pytest.raises(CompatError, match=r"scenario\.chain"):
        type(quick()).from_dict(values)


def test_the_claim_about_two_steps_reads_the_chain_and_other_claims_pass_it_over(finished):
    answered = {claim.name: answer(claim, [finished], resamples=200) for claim in CLAIMS}
    (finding,) = answered.pop("chain-two-steps").findings
    rows = {(row["method"], row["cell"], row["metric"]): row["value"] for row in finished.rows()}
    expected = rows["bct-sys", "v3/v1", "mAP"] - rows["bct-sys", "v1/v1", "mAP"]
    assert finding.value == pytest.approx(expected, abs=1e-6)
    assert {one.outcome for one in answered.values()} == {"not tested"}


def test_the_terminal_shows_every_cell_of_a_chain(finished, capsys):
    print_results(finished.results())
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines() if line.startswith("method")]
    assert {"v1/v1", "v3/v1", "paragon3", "AC"} <= set(lines[0])
    value = next(row["value"] for row in finished.rows() if (row["method"], row["cell"]) == ("bct-sys", "v3/v1"))
    assert f"{100 * value:.1f}" in shown
