"""Backfill curves with a bill: the same curve against items, GPU-hours, money or days; the share needed, priced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from compat_core.reports.backfill_curves import SHARE_AXIS, Curve, curves_figure
from compat_core.reports.frames import MISSING, amount_text, percent_text, records
from compat_core.vectors.bill import CostConfig, Work, bill

AXES = {
    "share": SHARE_AXIS,
    "items": "items embedded again",
    "gpu_hours": "GPU-hours",
    "money": "money",
    "days": "days",
}

PART = "part of what a full backfill would still add (%)"
SHARE, LOW, HIGH = "smallest share (%)", "smallest share, 95 % low (%)", "smallest share, 95 % high (%)"
MONEY = "money (in the unit of the prices)"


@dataclass(frozen=True, slots=True)
class Priced:
    """Prices, the number of items in production, and the dimensions and kind of the gallery."""

    costs: CostConfig
    items: int
    old_dim: int
    new_dim: int
    mapped: bool

    def at(self, share: float) -> dict[str, float]:
        """What backfilling ``share`` of the gallery costs, by axis; the rest is mapped where the method maps rows."""
        rest = 1.0 - share if self.mapped else 0.0
        found = bill(Work(share, rest, self.new_dim, True, self.old_dim), self.costs, self.items)
        count = share * (self.costs.items or self.items)
        return {"share": 100 * share, "items": count, "gpu_hours": found.gpu_hours, "money": found.money,
                "days": found.days, "gigabytes": found.gigabytes}  # fmt: skip


def priced_figure(
    curves: Sequence[Curve],
    priced: Priced,
    axis: str,
    metric: str,
    title: str,
    references: Mapping[str, float] | None = None,
) -> go.Figure:
    """The metric against one of AXES, one line per ordering, with the band of repeated ones.

    Args:
        curves, priced: what is drawn, and what a share costs.
        axis: one of AXES.
        metric, title: words.
        references: cell -> the metric of the status quo (``old/old``) and the ceiling (``paragon``), fractions.
    """
    place_of = None if axis == "share" else lambda share: priced.at(share)[axis]
    return curves_figure(curves, metric, title, references or {}, AXES[axis], place_of)


def needed_lines(curves: Sequence[Curve], priced: Priced) -> pd.DataFrame:
    """One line per ordering and part of what a full backfill would still add: the smallest share, and its bill.

    Numbers, unrounded but for the whole items; the names of the columns hold the units. Missing where no share gives
    that part, and the bounds of the share also where it has no interval.
    """
    lines = []
    for curve in curves:
        for part, (share, low, high) in curve.needed.items():
            costs = priced.at(share) if share is not None else {}
            lines.append(
                {
                    "ordering": curve.order,
                    "area (%)": 100 * curve.auc,
                    PART: round(100 * part, 10),  # not 28.999999999999996
                    SHARE: _percent(share),
                    LOW: _percent(low),
                    HIGH: _percent(high),
                    "items": round(costs["items"]) if costs else None,
                    "GPU-hours": costs.get("gpu_hours"),
                    MONEY: costs.get("money"),
                    "days": costs.get("days"),
                }
            )
    table = pd.DataFrame(lines)
    types = {name: "float64" for name in table.columns if name not in ("ordering", "items")}
    return table.astype(types | {"items": "Int64"}) if lines else table


def orders_without_gain(curves: Sequence[Curve]) -> list[str]:
    """Orderings of which no share can be named: at their end stands no more than at their beginning."""
    return [curve.order for curve in curves if all(share is None for share, *_ in curve.needed.values())]


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


def needed_table(needed: pd.DataFrame) -> pd.DataFrame:
    """The lines of :func:`needed_lines` as people read them."""
    return pd.DataFrame([_read(line) for line in records(needed)])


def _read(line: Mapping[str, Any]) -> dict[str, str]:
    bounds = "" if pd.isna(line[LOW]) else f" ({line[LOW]:.0f} … {line[HIGH]:.0f})"
    missing = pd.isna(line[SHARE])
    return {
        "ordering": line["ordering"],
        "area %": percent_text(line["area (%)"] / 100),
        "of what a full backfill would still add": f"{line[PART]:.0f} %",
        "smallest share (95 %)": MISSING if missing else f"{line[SHARE]:.0f} %{bounds}",
        "items": MISSING if missing else f"{line['items']:,}",
        "GPU-hours": MISSING if missing else amount_text(line["GPU-hours"]),
        "money": MISSING if missing else amount_text(line[MONEY]),
        "days": MISSING if missing else amount_text(line["days"]),
    }
