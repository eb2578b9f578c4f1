"""A run's vectors in a decision: the same numbers as on the run's own pages."""

import pytest

from compat_core.errors import CompatError
from compat_core.experiments.presets import configure
from compat_core.experiments.runner import run_experiment
from compat_core.experiments.store import RunStore
from compat_core.spec import parse_specs
from compat_core.vectors.decision import decide
from compat_core.vectors.of_run import given_from_run
from tests.vectors.worlds import quick

MAPPED = "fct:epochs=3,side=none"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    methods = parse_specs(f"independent,bct-sys,{MAPPED}")
    config = configure("demo", methods=methods, epochs=3, train_limit=400, test_limit=150)
    return run_experiment(config.replace(resamples=200), RunStore(tmp_path_factory.mktemp("runs")))


def test_status_quo_naive_swap_methods_and_ceiling_are_the_runs(run):
    given = given_from_run(run, 0, pairs=300)
    decision, _ = decide(given, quick(judged=10_000, queries=10_000))
    rows = {(row["method"], row["cell"], row["metric"]): row["value"] for row in run.rows()}
    for metric in ("mAP", "CMC@1"):
        for option, method, cell in [
            ("status quo", "bct-sys", "old/old"), ("naive swap", "independent", "new/old"),
            ("bct-sys", "bct-sys", "new/migrated"), (MAPPED, MAPPED, "new/migrated"),
            ("full backfill", "independent", "paragon"),
        ]:  # fmt: skip
            found = decision.row(option).values[metric]["value"]
            assert found == pytest.approx(rows[method, cell, metric], abs=1e-6), (option, metric)
    kinds = {row.name: (row.kind, row.bill.gpu_hours > 50) for row in decision.rows}
    assert kinds["bct-sys"] == ("retrain", True) and kinds[MAPPED] == ("migrate", False)


def test_pairs_are_training_images_that_are_not_judged(run):
    given = given_from_run(run, 0, pairs=123)
    assert len(given.fit) == 123 and len(given.old) == 150
    assert not (given.fit.source[:, None] == given.old[None]).all(axis=2).any()


def test_a_seed_the_run_does_not_have_is_refused(run):
    with pytest.raises(CompatError, match="seed"):
        given_from_run(run, 7, pairs=100)
