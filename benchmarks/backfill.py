"""Backfill curves: 22 points × 4 orderings × mAP and CMC against one evaluation, and against evaluating every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.evaluation import world
from benchmarks.race import Race, grow, race, write
from compat_core.metrics import backfill, evaluate_retrieval

ORDERS, STEPS, QUERIES = 4, 22, 1_000


def blurred(count: int, classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray]]:
    """``(old, new, labels, orders)``: the old vectors are blurred new ones."""
    new, labels = world(count, classes)
    old = new + 0.08 * np.random.default_rng(1).standard_normal(new.shape, dtype=np.float32)
    return old, new, labels, [np.random.default_rng(seed).permutation(count) for seed in range(ORDERS)]


def curves(count: int, classes: int) -> Race:
    """Self-retrieval over ``count`` items."""
    old, new, labels, orders = blurred(count, classes)
    ids = np.arange(count)

    def follow() -> list[dict[str, backfill.BackfillCurve]]:
        return backfill.backfill_curves_of_orders(new, labels, old, new, labels, orders, ids, ids, device="cpu")

    def again() -> dict[str, backfill.BackfillCurve]:
        """One ordering, every step evaluated."""
        before, backfill.WORTH_COMPILING = backfill.WORTH_COMPILING, np.inf
        try:
            return backfill.backfill_curves(new, labels, old, new, labels, orders[0], ids, ids, device="cpu")
        finally:
            backfill.WORTH_COMPILING = before

    found = race(
        f"Backfill curves over {count:,} items, {classes:,} classes: {STEPS} points × {ORDERS} orderings × mAP, CMC@1",
        {
            "one evaluation": lambda: evaluate_retrieval(new, labels, old, labels, ids, ids, device="cpu"),
            "all curves, by updating counts": follow,
            "one ordering, every step evaluated": again,
        },
        "one evaluation", 3, once=["one ordering, every step evaluated"], target="under 4 × one evaluation",
    )  # fmt: skip
    followed, evaluated = follow()[0], again()
    found.facts["largest difference to evaluating every step"] = max(
        float(np.abs(followed[name].per_query - evaluated[name].per_query).max()) for name in evaluated
    )
    return found


def growth() -> dict[str, Any]:
    """All curves against the number of items, at 50 items per class; 1,000 of the items query, as in a run."""

    def make(count: int) -> Callable[[], Any]:
        old, new, labels, orders = blurred(count, count // 50)
        rows = np.random.default_rng(9).permutation(count)[:QUERIES]
        ids = np.arange(count)
        return lambda: backfill.backfill_curves_of_orders(
            new[rows], labels[rows], old, new, labels, orders, ids[rows], ids, device="cpu"
        )

    what = f"{STEPS} points × {ORDERS} orderings × mAP, CMC@1 of {QUERIES:,} queries"
    return grow(what, "items", (12_500, 25_000, 50_000, 100_000, 200_000), make)


def main() -> None:
    """All races of this file."""
    grown = growth()
    write("backfill", [curves(10_000, 200)], [grown])


if __name__ == "__main__":
    main()
