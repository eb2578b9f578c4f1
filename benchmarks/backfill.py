"""Backfill curves: 22 points × 4 orderings × mAP and CMC against one evaluation, and against evaluating every step."""

from __future__ import annotations

import numpy as np

from benchmarks.evaluation import world
from benchmarks.race import Race, race, write
from compat_core.metrics import backfill, evaluate_retrieval

ORDERS, STEPS = 4, 22


def curves(count: int, classes: int) -> Race:
    """Self-retrieval over ``count`` items whose old vectors are blurred new ones."""
    new, labels = world(count, classes)
    old = new + 0.08 * np.random.default_rng(1).standard_normal(new.shape, dtype=np.float32)
    ids = np.arange(count)
    orders = [np.random.default_rng(seed).permutation(count) for seed in range(ORDERS)]

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


def main() -> None:
    """All races of this file."""
    write("backfill", [curves(10_000, 200)])


if __name__ == "__main__":
    main()
