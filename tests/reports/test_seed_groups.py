"""Runs that differ only in seeds read as one; whatever else differs keeps them apart."""

import dataclasses

import pandas as pd

from compat_core.experiments.config import ExperimentConfig
from compat_core.reports.frames import matrix_table
from compat_core.reports.seed_groups import merge_seeds
from compat_core.reports.verdicts import verdict_table
from tests.reports.sample import sample_results

CONFIG = ExperimentConfig(seeds=(0,))


def one(run, *seeds, **changes):
    return sample_results(run, seeds=seeds) | changes


def merged_runs(*runs):
    """The names after merging ``(results, config)`` pairs."""
    found = merge_seeds([results for results, _ in runs], {results["run"]: config for results, config in runs})
    return [results["run"] for results in found]


def test_two_runs_of_one_seed_are_the_one_run_of_two_seeds():
    later, earlier = one("b", 1, elapsed_s=2.0), one("a", 0, elapsed_s=3.0)
    configs = {"b": CONFIG.replace(seeds=(1,), device="cpu", title="mine"), "a": CONFIG}
    (merged,) = merge_seeds([later, earlier], configs)
    assert merged["run"] == "b (seeds 0, 1)" and merged["elapsed_s"] == 5.0
    assert [row["seed"] for row in merged["verdicts"][::4]] == [0, 1], "in the order of the seeds"
    whole = sample_results(merged["run"], seeds=(0, 1))
    for table in (lambda results: matrix_table(results["rows"], "mAP"), verdict_table):
        pd.testing.assert_frame_equal(table(merged), table(whole))
    assert later["run"] == "b" and {row["run"] for row in later["rows"]} == {"b"}, "what was given stays as it is"


def test_what_else_differs_keeps_runs_apart():
    first = (one("a", 0), CONFIG)
    other_seed = CONFIG.replace(seeds=(1,))
    for results, config in (
        (one("b", 1), other_seed.replace(distance="l2")),
        (one("b", 1), other_seed.replace(resamples=500)),
        (one("b", 1), other_seed.replace(old=dataclasses.replace(CONFIG.old, dim=32))),
        (one("b", 1, dataset_card={"checksum": "changed"}), other_seed),
        (one("b", 1, num_queries=449), other_seed),
        (one("b", 1, metric_versions={"mAP": 2}), other_seed),
        (one("b", 0), CONFIG),  # the same seed is no further draw
    ):
        assert merged_runs(first, (results, config)) == ["a", "b"]
    assert merge_seeds([first[0], one("b", 1)], {"a": CONFIG}) == [first[0], one("b", 1)], "an unreadable configuration"


def test_each_group_stands_where_its_first_run_stood():
    runs = [
        (one("a", 0), CONFIG),
        (one("x", 0), CONFIG.replace(distance="l2")),
        (one("again", 0), CONFIG),
        (one("c", 2, 1), CONFIG.replace(seeds=(2, 1))),
        (one("y", 1), CONFIG.replace(distance="l2", seeds=(1,))),
    ]
    assert merged_runs(*runs) == ["a (seeds 0, 1, 2)", "x (seeds 0, 1)", "again"]
