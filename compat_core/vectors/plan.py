"""The backfill planner: the curve of every ordering, and the smallest share for most of what is left to gain."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import torch

from compat_core.metrics.backfill import BackfillCurve, backfill_points
from compat_core.metrics.order_curve import RANDOM_SEEDS, OrderCurve
from compat_core.retrieval.orderings import ORDERINGS, Gallery, Ordering, drawable_orders
from compat_core.vectors.judge import judge
from compat_core.vectors.relevance import Relevance
from compat_core.vectors.space import Judging


@dataclass(frozen=True, slots=True)
class PlannedOrder:
    """One ordering's curve.

    Attributes:
        order: its name.
        shares, values: ``(P,)`` share backfilled and the metric there.
        low, high: of the repetitions of a random ordering.
        auc: plain mean of the points (FastFill's area).
        needed: part of what a full backfill would still add to the mapped rows at 0 % -> smallest share with its
            interval, None where it adds nothing.
    """

    order: str
    shares: list[float]
    values: list[float]
    low: list[float]
    high: list[float]
    auc: float
    needed: dict[str, dict[str, float | None]]


def plan_backfill(
    judging: Judging,
    relevance: Relevance,
    mapped: torch.Tensor,
    metric: str,
    resamples: int,
    labels: np.ndarray | None = None,
    weights: np.ndarray | None = None,
    unsure: np.ndarray | None = None,
) -> list[PlannedOrder]:
    """Draw the curve of every ordering that the inputs allow; queries are the new model's.

    Args:
        judging, relevance: the held-out items and their truth.
        mapped: ``(G, D_new)`` the old rows in the new space, before their backfill.
        metric: mAP or CMC@1.
        resamples: of the bootstrap behind the shares' intervals.
        labels: ``(G,)`` codes from 0, for the orderings that need them.
        weights: ``(G,)`` how much each row is requested.
        unsure: ``(G,)`` how unsure the map is of each row.
    """
    gallery = Gallery(mapped.numpy(), labels, judging.new.numpy(), unsure, weights, distance=judging.distance)
    orders = drawable_orders(gallery, RANDOM_SEEDS, last=lambda ordering: ordering.bound)
    return [
        _planned(name, [_curve(judging, relevance, mapped, order, metric) for order in repeats], resamples)
        for name, repeats in orders.items()
    ]


def choosable(at_hand: Collection[str]) -> list[Ordering]:
    """The orderings a part backfill can choose from: neither random nor a bound, and what they need is ``at_hand``."""
    return [one for one in ORDERINGS if not one.random and not one.bound and one.drawable(at_hand)]


def usable_orders(
    mapped: np.ndarray,
    labels: np.ndarray | None,
    weights: np.ndarray | None,
    unsure: np.ndarray | None,
    distance: str,
) -> dict[str, np.ndarray]:
    """Every ordering that can be had before the new vectors are there and is not random, by name; each ``(G,)``.

    Args:
        mapped: ``(G, D_new)`` the old rows in the new space.
        labels, weights, unsure: as :func:`plan_backfill`.
        distance: how the gallery is searched.
    """
    gallery = Gallery(mapped, labels, None, unsure, weights, distance=distance)
    return {ordering.name: ordering.order(gallery) for ordering in choosable(gallery.at_hand)}


def _curve(
    judging: Judging, relevance: Relevance, mapped: torch.Tensor, order: np.ndarray, metric: str
) -> BackfillCurve:
    gallery, done, found = mapped.clone(), 0, []
    points = backfill_points(len(order))
    for count in points:
        rows = torch.from_numpy(np.ascontiguousarray(order[done:count]))
        gallery[rows] = judging.new[rows]
        done = int(count)
        column = judge(judging.space(judging.new, gallery), relevance, len(gallery)).of(metric)
        found.append(column[~np.isnan(column)])
    return BackfillCurve(metric, points / len(order), np.stack(found))


def _planned(name: str, curves: list[BackfillCurve], resamples: int) -> PlannedOrder:
    drawn = OrderCurve.of(curves, resamples)
    needed = {
        str(share.target): {"value": share.share, "ci_low": share.low, "ci_high": share.high} for share in drawn.needed
    }
    shares, values, low, high = (
        [float(value) for value in row] for row in (drawn.mean.shares, drawn.mean.values, drawn.low, drawn.high)
    )
    return PlannedOrder(name, shares, values, low, high, drawn.mean.auc, needed)
