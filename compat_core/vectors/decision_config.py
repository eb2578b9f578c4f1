"""What can be set of a decision about vectors."""

from __future__ import annotations

from dataclasses import dataclass, field

from compat_core.adapters import ADAPTERS
from compat_core.config import check_ranges, param
from compat_core.errors import CompatError
from compat_core.vectors.bill import CostConfig
from compat_core.vectors.judge import METRICS
from compat_core.vectors.options import SHARES


@dataclass(frozen=True, slots=True)
class DecisionConfig:
    """How options are fitted, judged and chosen between."""

    adapters: tuple[str, ...] = param((), "adapters to fit; empty = all that the given data allow")
    pairs: int = param(20_000, "most pairs the adapters are fitted on", unit="pairs", low=10, high=10_000_000)
    steps: int = param(
        0, "most optimiser steps of a trained adapter, for a quick look; 0 = each one's own", unit="steps", low=0
    )
    judged: int = param(4_000, "most held-out items that are searched", unit="items", low=20, high=200_000)
    queries: int = param(1_000, "most held-out items that query", unit="queries", low=10, high=200_000)
    distance: str = param("cosine", "how vectors are compared", choices=("cosine", "l2", "dot"))
    shares: tuple[float, ...] = param(SHARES, "shares of the gallery tried as a part backfill, each in (0, 1)")
    metric: str = param("mAP", "the metric the recommendation rests on", choices=METRICS)
    target: float = param(0.9, "share of the possible gain that is good enough", low=0.0, high=1.0)
    resamples: int = param(10_000, "bootstrap resamples of each interval", low=100, high=1_000_000)
    seed: int = param(0, "of the split, the fits and the backfill order", low=0)
    costs: CostConfig = field(default_factory=CostConfig, metadata={"help": "the inputs of the bill"})

    def __post_init__(self) -> None:
        check_ranges(self)
        if not all(0 < share < 1 for share in self.shares):
            raise CompatError("shares", value=list(self.shares), rule="must lie between 0 and 1")
        for name in self.adapters:
            ADAPTERS.get(name)
