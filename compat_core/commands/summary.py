"""A run's results in a few lines of text: per method, each cell in percent, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from compat_core.commands.console import print_table

CELLS = ("old/old", "new/old", "new/migrated", "new/new", "paragon")
SHARED_CELLS = ("old/old", "paragon")  # the same for every method of a seed
METRICS = ("mAP", "CMC@1")

Row = Mapping[str, Any]


def method_names(rows: Sequence[Row]) -> list[str]:
    """The methods, in the order of the rows; only those with a cell of their own."""
    return list(dict.fromkeys(row["method"] for row in rows if row["cell"] not in SHARED_CELLS))


def mean_value(rows: Sequence[Row], method: str, cell: str, metric: str) -> float | None:
    """Mean over seeds of one cell, a fraction in [0, 1]; None where it was not measured.

    The status quo and the ceiling may be recorded once per seed rather than once per method.
    """
    fitting = [row for row in rows if row["cell"] == cell and row["metric"] == metric and row["value"] is not None]
    own = [row for row in fitting if row["method"] == method]
    used = own or (fitting if cell in SHARED_CELLS else [])
    return sum(row["value"] for row in used) / len(used) if used else None


def headline(rows: Sequence[Row], metric: str = "mAP") -> dict[str, Any] | None:
    """Status quo, the best method's new/migrated, and the ceiling; None without results."""
    methods = method_names(rows)
    scores = {method: mean_value(rows, method, "new/migrated", metric) for method in methods}
    known = {method: score for method, score in scores.items() if score is not None}
    if not known:
        return None
    best = max(known, key=known.__getitem__)
    return {
        "metric": metric,
        "old/old": mean_value(rows, best, "old/old", metric),
        "best_method": best,
        "new/migrated": known[best],
        "paragon": mean_value(rows, best, "paragon", metric),
    }


def print_results(results: Mapping[str, Any]) -> None:
    """The compact table of one run on stdout: for each metric, methods by cells, with the verdict over seeds.

    A chain has cells of its own, ``v3/v1`` and the like; its last column is AC, the share of compatible pairs.
    """
    rows, chain = results["rows"], results.get("chain", ())
    cells = tuple(dict.fromkeys(row["cell"] for row in rows)) if chain else CELLS
    seeds = sorted({row["seed"] for row in rows})
    queries = max((row["num_queries"] or 0 for row in rows), default=0)
    spread = f"mean of {len(seeds)} seeds" if len(seeds) > 1 else f"seed {seeds[0]}" if seeds else "no seeds"
    for metric in METRICS:
        needed = cells[0] if chain else "new/new"
        methods = [name for name in method_names(rows) if mean_value(rows, name, needed, metric) is not None]
        if not methods:
            continue
        print(f"\n{metric} in %, query/gallery, {queries} queries, {results.get('distance', '')} distance, {spread}")
        lines = []
        for name in methods:
            shares = [one["AC"] for one in chain if (one["method"], one["metric"]) == (name, metric)]
            last = percent(sum(shares) / len(shares)) if shares else verdict(results, name, metric)
            lines.append([name, *(percent(mean_value(rows, name, cell, metric)) for cell in cells), last])
        print_table(["method", *cells, "AC" if chain else "verdict"], lines, right=range(1, 1 + len(cells)))


def verdict(results: Mapping[str, Any], method: str, metric: str) -> str:
    """``compatible``, ``not compatible`` or ``undecided``; where seeds differ, how many say what."""
    said = [
        entry["outcome"]
        for entry in results.get("verdicts", [])
        if entry["method"] == method and entry["metric"] == metric
    ]
    counts = {outcome: said.count(outcome) for outcome in dict.fromkeys(said)}
    if len(counts) <= 1:
        return next(iter(counts), "-")
    return ", ".join(f"{count}/{len(said)} {outcome}" for outcome, count in counts.items())


def percent(fraction: float | None) -> str:
    """One decimal, or a dash."""
    return "-" if fraction is None else f"{100 * fraction:.1f}"
