"""Runs that differ only in their seeds, read as one run of all these seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.results import named

# Names of a run and the machine it happened to be given: two seeds on two devices are still two draws of one thing.
BESIDE_THE_POINT = ("seeds", "title", "preset", "device")


def merge_seeds(results: Sequence[dict[str, Any]], configs: Mapping[str, ExperimentConfig]) -> list[dict[str, Any]]:
    """``results`` with those of runs that differ only in seeds merged, each group at the place of its first run.

    A group is read as the one run of all its seeds that it might have been: equal configurations, the same images and
    metric definitions, and no seed twice (a repeated seed is no further draw, and stays a run of its own).

    Args:
        results: the results of several runs.
        configs: configurations by run; a run without one stays alone.

    Returns:
        results dicts, named ``RUN (seeds 0, 1)`` where runs were merged.
    """
    groups: list[list[dict[str, Any]]] = []
    for one in results:
        for group in groups:
            if _one_more_draw(one, group, configs):
                group.append(one)
                break
        else:
            groups.append([one])
    return [_merged(group, configs) if len(group) > 1 else group[0] for group in groups]


def _one_more_draw(
    one: dict[str, Any], group: Sequence[dict[str, Any]], configs: Mapping[str, ExperimentConfig]
) -> bool:
    ids = [member["run"] for member in (*group, one)]
    if not all(run in configs for run in ids):
        return False
    seeds = [seed for run in ids for seed in configs[run].seeds]
    return len(seeds) == len(set(seeds)) and _what_was_measured(one, configs) == _what_was_measured(group[0], configs)


def _what_was_measured(one: dict[str, Any], configs: Mapping[str, ExperimentConfig]) -> str:
    """Everything that must agree for two results to be draws of the same thing, as comparable text."""
    config = {key: value for key, value in configs[one["run"]].to_dict().items() if key not in BESIDE_THE_POINT}
    images = one.get("dataset_card", {}).get("checksum")
    return json.dumps([config, images, one.get("num_queries"), one.get("metric_versions")], sort_keys=True)


def _merged(group: list[dict[str, Any]], configs: Mapping[str, ExperimentConfig]) -> dict[str, Any]:
    """The entries of all seeds one after the other, as the runner lists those of one run's seeds."""
    first, ordered = group[0], sorted(group, key=lambda one: min(configs[one["run"]].seeds))
    seeds = sorted(seed for one in group for seed in configs[one["run"]].seeds)
    lists = {
        key: [entry for one in ordered for entry in one.get(key, ())]
        for key, value in first.items()
        if isinstance(value, list)
    }
    elapsed = {"elapsed_s": sum(one.get("elapsed_s") or 0.0 for one in group)}
    return named({**first, **lists, **elapsed}, f"{first['run']} (seeds {', '.join(map(str, seeds))})")
