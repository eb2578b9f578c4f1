"""A closer look at a decision: pair budget, backfill plan, thresholds, indexes, and who gets worse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from compat_core.adapters.labels import class_codes
from compat_core.vectors import options as ways
from compat_core.vectors.decision import Decision, Evidence
from compat_core.vectors.deployment import index_effects, threshold_shifts
from compat_core.vectors.given import Given
from compat_core.vectors.harm import GROUP, age_groups, group_changes
from compat_core.vectors.labels import for_orders
from compat_core.vectors.option_maker import unsure_rows
from compat_core.vectors.options import CEILING, STATUS_QUO
from compat_core.vectors.pair_budget import pair_budget
from compat_core.vectors.plan import plan_backfill


def studies(
    given: Given,
    decision: Decision,
    evidence: Evidence,
    threshold: float | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """JSON types: ``looked_at`` (the option), ``pair_budget``, ``plan``, ``thresholds``, ``indexes``, ``harm``.

    The option looked at is the recommended one, without labels the closest to the new model, else the best of those
    that migrate the gallery.

    Args:
        given, decision, evidence: of :func:`~compat_core.vectors.decision.decide`.
        threshold: a deployed score, see :func:`threshold_shifts`.
        tell: hears what is being looked at.
    """
    config, judging, relevance = decision.config, evidence.judging, evidence.relevance
    found: dict[str, Any] = {"pair_budget": None, "plan": [], "thresholds": [], "harm": []}
    best = evidence.best
    looked_at = decision.recommended or decision.closest or (best[0].name if best else CEILING)
    found["looked_at"] = looked_at
    if best is not None and best[0].vector_map is not None:
        tell("closer look 1 of 5: pair budget")
        fit = evidence.fit if best[0].vector_map.side_dim or evidence.fit.side is None else evidence.fit.without_side()
        references = (evidence.of(STATUS_QUO)[1], evidence.of(CEILING)[1])
        found["pair_budget"] = asdict(
            pair_budget(
                best[1], fit, judging, relevance, references, config.metric, config.resamples, config.seed, config.steps
            )
        )
        tell("closer look 2 of 5: backfill plan")
        classes = for_orders(given.labels)
        labels = None if classes is None else class_codes(classes)[0][evidence.split.judged]
        weights = None if given.weights is None else np.asarray(given.weights)[evidence.split.judged]
        migrated = ways.mapped_rows(best[0].vector_map, judging.old, judging.side)
        unsure = unsure_rows(best[0].vector_map, judging.old, judging.side)
        found["plan"] = [
            asdict(order)
            for order in plan_backfill(
                judging, relevance, migrated, config.metric, config.resamples, labels, weights, unsure,
            )
        ]  # fmt: skip
        found["plan_map"] = best[0].name
    tell("closer look 3 of 5: thresholds")
    wanted = [option for option, _ in evidence.judged if option.name in (STATUS_QUO, CEILING, looked_at)]
    wanted += [option for option, _ in evidence.judged if option.kind == ways.BACKFILL and option not in wanted]
    if relevance.independent:
        found["thresholds"] = [asdict(shift) for shift in threshold_shifts(wanted, relevance, threshold)]
    tell("closer look 4 of 5: indexes")
    effects, reasons = index_effects(wanted, relevance, config.seed)
    found["indexes"], found["indexes_left_out"] = [asdict(effect) for effect in effects], reasons
    tell("closer look 5 of 5: who gets worse")
    groupings = query_groups(given, evidence)
    if groupings:
        before, after = evidence.of(STATUS_QUO)[1], evidence.of(looked_at)[1]
        found["harm"] = [asdict(change) for change in group_changes(groupings, before, after)]
    return found


def query_groups(given: Given, evidence: Evidence) -> dict[str, np.ndarray]:
    """Grouping -> the group of each judged query ``(Q,)``: class, the user's own columns, and age."""
    rows = evidence.split.judged[evidence.split.queries]
    groupings = {name: np.asarray(column)[rows] for name, column in given.groups.items()}
    if given.labels is not None:
        groupings = {"class": np.asarray(given.labels)[rows].astype(str), **groupings}
    if given.ages is not None:
        groupings["age"] = age_groups(np.asarray(given.ages))[rows]
    return groupings


def per_query(given: Given, evidence: Evidence) -> dict[str, np.ndarray]:
    """Arrays for looking at single queries: which items asked, what each option found first, and how well it did.

    Returns:
        ``queries (Q,)`` rows of the given items; ``judged (G,)`` rows of the searched items; ``options (O,)`` names;
        ``average_precision``, ``top_1 (O, Q)`` and ``first_item (O, Q)``, rows of the given items, −1 where skipped;
        ``group NAME (Q,)`` texts for each grouping; ``ids`` and ``labels (G,)`` texts of the searched items, as given.
    """
    judged = evidence.split.judged
    first = np.stack([found.first_item for _, found in evidence.judged])
    grouped = {f"{GROUP}{name}": column.astype(str) for name, column in query_groups(given, evidence).items()}
    columns = {"ids": given.ids, "labels": given.labels}
    called = {name: np.asarray(column)[judged].astype(str) for name, column in columns.items() if column is not None}
    return (
        grouped
        | called
        | {
            "queries": judged[evidence.split.queries],
            "judged": judged,
            "options": np.array([option.name for option, _ in evidence.judged]),
            "average_precision": np.stack([found.average_precision for _, found in evidence.judged]).astype(np.float32),
            "top_1": np.stack([found.top_1 for _, found in evidence.judged]).astype(np.float32),
            "first_item": np.where(first >= 0, judged[np.maximum(first, 0)], -1),
        }
    )
