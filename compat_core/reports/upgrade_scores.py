"""P_up, P_comp and P_1 of every method over several runs, each on a test set of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from compat_core.metrics.aggregate import upgrade_scores
from compat_core.reports.frames import aggregate, records

CELLS = ("new/new", "new/migrated", "old/old", "paragon")


def num_test_sets(results: Sequence[Mapping[str, Any]]) -> int:
    """How many different sets of images the runs are judged on: a run that was repeated brings no other one."""
    checksums = [one.get("dataset_card", {}).get("checksum") for one in results]
    return len({checksum or f"unknown, {place}" for place, checksum in enumerate(checksums)})


def upgrade_score_table(results: Sequence[Mapping[str, Any]], metric: str = "mAP") -> pd.DataFrame:
    """One line per method that has ``metric`` in every run: P_up, P_comp, P_1 in [0, 1], and the runs they span.

    Means over a run's seeds come first, then the mean over runs. Runs whose paragon does not beat the old model give
    no share of a gain: they are left out and counted.

    Columns: method, P_up, P_comp, P_1, runs, left out.
    """
    means = [
        {
            (line["method"], line["cell"]): line["mean"]
            for line in records(aggregate(one["rows"]))
            if line["metric"] == metric
        }
        for one in results
    ]
    methods = dict.fromkeys(row["method"] for one in results for row in one["rows"])
    shared = [name for name in methods if all((name, cell) in found for found in means for cell in CELLS)]
    lines = []
    for method in shared:
        sets = [[found[method, cell] for cell in CELLS] for found in means]
        usable = [values for values in sets if values[3] > values[2]]
        line: dict[str, Any] = {"method": method, "P_up": None, "P_comp": None, "P_1": None}
        if usable:
            own, cross, old, paragon = (list(column) for column in zip(*usable, strict=True))
            scores = upgrade_scores(own, cross, old, paragon)
            line |= {"P_up": scores.p_up, "P_comp": scores.p_comp, "P_1": scores.p_1}
        lines.append(line | {"runs": len(usable), "left out": len(sets) - len(usable)})
    return pd.DataFrame(lines, columns=["method", "P_up", "P_comp", "P_1", "runs", "left out"])
