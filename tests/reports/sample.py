"""A small, realistic results.json for the report tests: two methods, two seeds, every cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.results import named
from compat_core.spec import Spec

VALUES = {  # (mAP, CMC@1) per cell; the spread over seeds is added below
    "independent": {"old/old": (0.584, 0.712), "new/old": (0.031, 0.024), "new/migrated": (0.031, 0.024),
                    "new/new": (0.921, 0.957), "paragon": (0.921, 0.957)},
    "fct": {"old/old": (0.584, 0.712), "new/old": (0.031, 0.024), "new/migrated": (0.852, 0.903),
            "new/new": (0.921, 0.957), "paragon": (0.921, 0.957)},
}  # fmt: skip


def sample_results(
    run: str = "demo", methods: tuple[str, ...] = ("independent", "fct"), seeds=(0, 1)
) -> dict[str, Any]:
    """A results dict; a method name that is not in VALUES behaves like ``fct``."""
    rows: list[dict[str, Any]] = []
    verdicts: list[dict[str, Any]] = []
    curves: list[dict[str, Any]] = []
    per_class: list[dict[str, Any]] = []
    for method in methods:
        cells = VALUES.get(method, VALUES["fct"])
        for seed in seeds:
            shift = 0.004 * seed

            def row(cell, metric, value, low=None, high=None, method=method, seed=seed):
                key = {"run": run, "dataset": "digits", "method": method, "seed": seed, "cell": cell}
                numbers = {"value": value, "ci_low": low, "ci_high": high, "num_queries": 450}
                rows.append({**key, "metric": metric, **numbers})

            for cell, pair in cells.items():
                for metric, value in zip(("mAP", "CMC@1"), pair, strict=True):
                    value += shift
                    row(cell, metric, value, value - 0.02, value + 0.02)
                curves.append(_curve(method, seed, cell, pair[0], pair[1] + shift))
                for name, offset in (("zero", 0.05), ("eight", -0.1)):
                    line = {"method": method, "seed": seed, "cell": cell, "class": name, "num_queries": 45}
                    per_class.append({**line, "CMC@1": pair[1], "mAP": max(0.0, pair[0] + offset)})
            for place, metric in enumerate(("mAP", "CMC@1")):
                old, cross, ceiling = (cells[cell][place] for cell in ("old/old", "new/migrated", "paragon"))
                gain, ratio = cross - old, (cross - old) / (ceiling - old)
                row("new/migrated", f"gain({metric})", gain, gain - 0.016, gain + 0.015)
                row("new/migrated", f"update_gain({metric})", ratio if gain > 0 else None)
                row("new/migrated", f"recovered_gain({metric})", ratio)
                row("new/migrated", f"naive_gain({metric})", cells["new/old"][place] - old)
                row("new/new", f"cost_to_new({metric})", 0.0, 0.0, 0.0)
                outcome = "compatible" if gain > 0 else "not compatible"
                verdict = {"method": method, "seed": seed, "metric": metric, "outcome": outcome}
                verdicts.append({**verdict, "difference": gain, "ci_low": gain - 0.016, "ci_high": gain + 0.015})
            row("new/migrated", "negative_flips", 0.02 if method != "independent" else 0.69)
            row("new/migrated", "positive_flips", 0.21 if method != "independent" else 0.01)
    return {
        "schema_version": 1, "run": run, "dataset": "digits", "distance": "cosine", "num_queries": 450, "rows": rows,
        "verdicts": verdicts, "curves": curves, "chance": {"mAP": 0.1, "CMC@1": 0.1}, "per_class": per_class,
        "dataset_card": {"name": "digits", "train": {"images": 1347}}, "metric_versions": {"mAP": 1, "CMC@1": 1},
        "elapsed_s": 12.5, "stages": [{"name": "train old", "seconds": 3.0}],
    }  # fmt: skip


def _curve(method: str, seed: int, cell: str, mean_ap: float, cmc1: float) -> dict[str, Any]:
    ranks, recall = np.arange(50), np.linspace(0, 1, 101)
    cmc = 1 - (1 - cmc1) * np.exp(-ranks / 10)
    precision = mean_ap * (1 - recall**3)
    curve = {"method": method, "seed": seed, "cell": cell}
    return {**curve, "cmc": cmc.tolist(), "precision_at_recall": precision.tolist()}


@dataclass
class SampleRun:
    """What a report needs of a run."""

    id: str = "demo"
    config: ExperimentConfig = field(
        default_factory=lambda: ExperimentConfig(methods=(Spec("independent"), Spec("fct")), seeds=(0, 1))
    )
    data: dict[str, Any] | None = field(default_factory=sample_results)
    meta: dict[str, Any] = field(default_factory=lambda: {"title": "Demo", "tags": ["digits"], "notes": ""})

    def results(self) -> dict[str, Any] | None:
        return named(self.data, self.id) if self.data else None

    def environment(self) -> dict[str, Any]:
        return {
            "git_commit": "0123abc", "git_dirty": False, "command": "python -m compat_core demo",
            "device": "cpu", "device_reason": "CPU, 2 cores (no GPU was found), float32",
            "packages": {"torch": "2.15.0", "numpy": "2.3.1"},
        }  # fmt: skip
