"""Claims of FastFill: which rows to backfill first."""

from __future__ import annotations

from collections.abc import Callable

from compat_core.methods.fastfill import searched_error
from compat_core.reports.claims.base import CLAIMS, Claim
from compat_core.reports.claims.papers import FASTFILL
from compat_core.reports.evidence import Evidence, Measurement


def _beats_random(order: str) -> Callable[[Evidence], list[Measurement]]:
    """Backfill curves of FastFill with σ of the error that the run's search suffers; another error is another
    experiment."""

    def measure(evidence: Evidence) -> list[Measurement]:
        errors = ("searched", searched_error(evidence.config.distance))
        orders = [evidence.backfill_differences("fastfill", order, "random", "mAP", error=error) for error in errors]
        return [found for of_error in orders for found in of_error]

    return measure


CLAIMS.add(
    Claim(
        "sigma-beats-random",
        "Backfilling in the order of FastFill's predicted uncertainty beats a random order.",
        f"{FASTFILL}, backfill curves",
        "A run in which the area under fastfill's σ curve is not above that of its random curves (mAP), σ trained on "
        "the error that the run's distance sees: raw vectors under l2, as published, directions under cosine.",
        _beats_random("sigma"),
    )
)
CLAIMS.add(
    Claim(
        "worst-first-beats-random",
        "Backfilling the rows that lie farthest from their new vectors first beats a random order.",
        f"{FASTFILL}, the idea behind its ordering",
        "A run in which the area under fastfill's oracle curve is not above that of its random curves (mAP).",
        _beats_random("oracle"),
    )
)
