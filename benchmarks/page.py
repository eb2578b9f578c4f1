"""``docs/performance.md`` from the results kept under ``benchmarks/results``: nothing in it is typed by hand."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.race import RESULTS

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
TITLES = {
    "evaluation": "Exact evaluation",
    "backfill": "Backfill curves",
    "verification": "Verification",
    "training": "Training",
    "transformation": "Transformations",
    "search": "Search",
    "projection": "Projection",
    "migration": "Migration",
}
ON_PAPER = (10_000_000, 100_000_000)
LEAST_EXPONENT = 0.1  # below it a fit of a few noisy points says nothing about sizes a hundred times larger
LEAST_MIB = 8  # less is not told from what the interpreter does meanwhile
INTRO = """# Performance

Written by `python -m benchmarks.page` from `benchmarks/results/*.json`; `make bench` runs the races anew. A ratio is
taken within one round of one process, so that a slow minute of a shared machine hits both sides; the yardstick has
ratio 1.
"""


def page(folder: Path = RESULTS) -> str:
    """The whole page, Markdown. ``NAME-SOME-WORDS.json`` beside ``NAME.json`` is of a machine of another kind."""
    parts = [INTRO]
    for name, title in TITLES.items():
        for path in [*folder.glob(f"{name}.json"), *sorted(folder.glob(f"{name}-*.json"))]:
            which = path.stem.removeprefix(name).removeprefix("-").replace("-", " ")
            heading = f"{title}, {which}" if which else title
            parts.append(section(heading, json.loads(path.read_text(encoding="utf-8"))))
    return "\n".join(parts)


def section(title: str, document: Mapping[str, Any]) -> str:
    """One benchmark: the machine, a table per race, and growth."""
    machine = document["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items() if name in SHOWN)
    gpu = f"{machine['device']}; " if machine.get("device") else ""
    lines = [
        f"## {title}\n",
        f"{gpu}{machine['cpu']}, {machine['cpu_cores']} cores, Python {machine['python']}, {packages}.\n",
    ]
    for race in document["races"]:
        lines += [f"### {race['title']}\n"]
        if race["target"]:
            lines += [f"Aim: {race['target']}.\n"]
        lines += ["| | seconds | ratio | |", "|---|---:|---:|---|"]
        lines += [
            f"| {lap['name']} | {lap['seconds']:.3g} | {lap['ratio']:.3g} | {lap['note']} |" for lap in race["laps"]
        ]
        lines += [""]
        lines += [f"- {name}: {_number(value)}" for name, value in race["facts"].items()]
        lines += [f"- {note}" for note in race["notes"]]
        lines += [""]
    for curve in document["growth"]:
        lines += growth(curve)
    return "\n".join(lines)


SHOWN = ("torch", "numpy", "numba", "faiss-cpu", "umap-learn")


def growth(curve: Mapping[str, Any]) -> list[str]:
    """Time and memory against size, the fitted exponent, and what sizes beyond this machine would take."""
    points = curve["points"]
    lines = [
        f"### Growth: {curve['what']}\n",
        f"| {curve['unit']} | seconds | MiB above the start |",
        "|---:|---:|---:|",
    ]
    lines += [f"| {point['n']:,} | {point['seconds']:.3g} | {point['mib']:,.0f} |" for point in points]
    time = power_law([point["n"] for point in points], [point["seconds"] for point in points])
    sentence = f"\nTime grows as {curve['unit']}^{time[1]:.2f} (fitted to the larger half)."
    if time[1] < LEAST_EXPONENT:
        sentence = f"\nTime does not grow measurably up to {points[-1]['n']:,} {curve['unit']}."
    else:
        papers = ", ".join(f"{count:,} {curve['unit']} about {duration(at(time, count))}" for count in ON_PAPER)
        sentence += f" On paper, on this machine: {papers}."
    return [*lines, sentence + f" {_memory(curve)}\n"]


def _memory(curve: Mapping[str, Any]) -> str:
    """What memory grows with, where what was measured can say it."""
    sizes, mib = ([point[what] for point in curve["points"]] for what in ("n", "mib"))
    larger = mib[len(mib) // 2 :]
    if larger[0] < LEAST_MIB or any(later <= sooner for sooner, later in itertools.pairwise(larger)):
        most = f"{max(mib):,.0f} MiB" if max(mib) >= 1 else "1 MiB"
        return (
            f"Memory above the start stays within {most} and follows no law that sizes beyond these could be read off."
        )
    law = power_law(sizes, mib)
    needs = ", ".join(f"{at(law, count) / 1024:,.0f} GiB for {count:,}" for count in ON_PAPER)
    return f"Memory grows as {curve['unit']}^{law[1]:.2f}: {needs}."


def power_law(sizes: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """``(constant, exponent)`` of ``constant · size^exponent``, least squares in logarithms over the larger half."""
    half = len(sizes) // 2
    exponent, constant = np.polyfit(np.log(sizes[half:]), np.log(values[half:]), 1)
    return float(math.exp(constant)), float(exponent)


def at(law: tuple[float, float], size: float) -> float:
    """The law's value."""
    return law[0] * size ** law[1]


def duration(seconds: float) -> str:
    """A length of time in words."""
    for name, size in (("years", 31_557_600.0), ("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {name}"
    return f"{seconds:.0f} seconds" if seconds >= 10 else f"{seconds:.2g} seconds"


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
