"""Mean shift: the cheapest map there is, and the control for all others."""

from __future__ import annotations

from compat_core.adapters.base import ADAPTERS, Adapter, AdapterConfig
from compat_core.adapters.linear_map import ShiftMap
from compat_core.adapters.statistics import PairStatistics, merged


def solve(parts: tuple[PairStatistics, ...], config: AdapterConfig) -> ShiftMap:
    """``x − x̄ + ȳ``."""
    pairs = merged(parts)
    fitted = ShiftMap(pairs.source_dim, pairs.target_dim, config.normalise)
    fitted.centre.copy_(pairs.source_mean)
    fitted.offset.copy_(pairs.target_mean)
    return fitted


ADAPTERS.add(
    Adapter(
        name="mean-shift",
        title="Mean shift",
        summary="Moves every vector by the difference of the two means; helps only where the axes already agree.",
        paper="a control; no paper",
        formula=r"x-\bar x+\bar y",
        config=AdapterConfig,
        dimensions="The first components are kept, or zeros appended, before the shift.",
        min_pairs=1,
        solve=solve,
    )
)
