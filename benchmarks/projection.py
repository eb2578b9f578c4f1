"""Projection: UMAP of 10,000 points (old, new and migrated together) against umap-learn on its own."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.manifold import trustworthiness

from benchmarks.evaluation import world
from benchmarks.race import Race, grow, race, write
from compat_core.experiments.projection import lay_out

NEIGHBOURS, CHECKED = 15, 4_000


def versions(count: int) -> np.ndarray:
    """``(count, 128)`` unit rows: items under a new model, migrated, and under an unrelated old one."""
    rng = np.random.default_rng(0)
    new, _ = world(-(-count // 3), 50)
    turn = np.linalg.qr(rng.standard_normal((new.shape[1], new.shape[1])))[0]
    stacked = np.concatenate([new, new + 0.05 * rng.standard_normal(new.shape), new @ turn])[:count]
    return (stacked / np.linalg.norm(stacked, axis=1, keepdims=True)).astype(np.float32)


def plain(unit: np.ndarray) -> np.ndarray:
    """umap-learn with the same parameters and seed, everything else its own."""
    import umap

    fitted: np.ndarray = umap.UMAP(n_neighbors=NEIGHBOURS, min_dist=0.1, random_state=0, n_jobs=1).fit_transform(unit)
    return fitted


def against_umap() -> Race:
    """Both compiled before the clock starts."""
    unit = versions(10_000)
    plain(unit[:500])
    layouts: dict[str, np.ndarray] = {}

    def keep(name: str, layout: np.ndarray) -> None:
        layouts[name] = layout

    found = race(
        "UMAP of 10,000 × 128 points",
        {
            "umap-learn": lambda: keep("umap-learn", plain(unit)),
            "exact neighbours and a PCA start": lambda: keep("ours", lay_out(unit, NEIGHBOURS, 0.1, 0)),
        },
        "umap-learn", 2, target="at most half of umap-learn's time, trustworthiness not lower",
    )  # fmt: skip
    chosen = np.random.default_rng(1).permutation(len(unit))[:CHECKED]
    for name, layout in layouts.items():
        score = float(trustworthiness(unit[chosen], layout[chosen], n_neighbors=NEIGHBOURS))
        found.facts[f"trustworthiness on {CHECKED:,} points, {name}"] = round(score, 4)
    return found


def in_new_processes() -> Race:
    """What the app's user waits for: every projection is a process of its own, compiling included."""
    code = "import benchmarks.projection as p; u = p.versions(10_000); {}"
    calls = {
        "umap-learn": code.format("p.plain(u)"),
        "exact neighbours and a PCA start": code.format("p.lay_out(u, p.NEIGHBOURS, 0.1, 0)"),
    }
    return race(
        "The same in a new process each, imports and compiling included",
        {name: lambda call=call: subprocess.run([sys.executable, "-c", call], check=True, capture_output=True)
         for name, call in calls.items()},
        "umap-learn", 2, once=list(calls), target="at most half of umap-learn's time",
    )  # fmt: skip


def growth() -> dict[str, Any]:
    """The layout against the number of points."""

    def make(count: int) -> Callable[[], Any]:
        unit = versions(count)
        return lambda: lay_out(unit, NEIGHBOURS, 0.1, 0)

    return grow("projection", "points", (5_000, 10_000, 20_000, 40_000), make)


def main() -> None:
    """All races of this file."""
    warnings.filterwarnings("ignore", module="umap")
    grown = growth()
    write("projection", [against_umap(), in_new_processes()], [grown])


if __name__ == "__main__":
    main()
