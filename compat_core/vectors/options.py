"""What can be done with a gallery of old vectors when a new model arrives, each way as one scoring of its items.

Positions are those of the judged items: ``old (G, D_old)`` and ``new (G, D_new)`` are the same items under both models;
queries are some of them. Nothing here has seen the judged items when it was fitted.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from compat_core.adapters import Adapter, VectorMap
from compat_core.errors import CompatError
from compat_core.retrieval.backfill import backfill_order
from compat_core.retrieval.orderings import ORDERINGS
from compat_core.vectors.given import Candidate
from compat_core.vectors.judge import Scorer
from compat_core.vectors.space import Judging

STATUS_QUO, NAIVE, CEILING = "status quo", "naive swap", "full backfill"
REFERENCE, GALLERY, QUERY, TWO_SPACES, BACKFILL = "reference", "migrate", "map queries", "two spaces", "part backfill"
RETRAIN = "retrain"
SLERP, MERGE = "slerp", "rank merge by"
RANDOM = "random"  # the ordering that needs nothing
SHARES = (0.25, 0.5, 0.75)


@dataclass(frozen=True, slots=True)
class Option:
    """One way.

    Attributes:
        name: unique, for tables.
        kind: reference, migrate (old rows mapped once), map queries (each query mapped), two spaces (old and new
            queries, results merged), part backfill or retrain (a model trained to fit the old gallery).
        summary: one sentence.
        backfilled: share of the gallery embedded by the new model, in [0, 1].
        scorer: scores of all gallery items for some queries.
        vector_map: the fitted map it stands on, or None.
        retrained: whether a model had to be trained for it.
    """

    name: str
    kind: str
    summary: str
    backfilled: float
    scorer: Scorer
    vector_map: VectorMap | None = None
    retrained: bool = False

    @property
    def maps_gallery(self) -> bool:
        """Whether old rows have to be rewritten through a map."""
        return self.kind == GALLERY or (self.vector_map is not None and self.kind == BACKFILL)

    @property
    def maps_queries(self) -> bool:
        """Whether every query goes through a map."""
        return self.vector_map is not None and self.kind in (QUERY, TWO_SPACES)


def references(judging: Judging) -> list[Option]:
    """Status quo, naive swap (where the dimensions allow it) and full backfill: they stand beside every answer."""
    old, new = judging.old, judging.new
    found = [Option(STATUS_QUO, REFERENCE, "Old queries, old gallery: change nothing.", 0.0, judging.space(old, old))]
    if old.shape[1] == new.shape[1]:
        summary = "New queries against the old gallery as it is."
        found.append(Option(NAIVE, REFERENCE, summary, 0.0, judging.space(new, old)))
    summary = "New queries, every item embedded again: the ceiling."
    return [*found, Option(CEILING, REFERENCE, summary, 1.0, judging.space(new, new))]


def candidate_option(judging: Judging, candidate: Candidate, rows: np.ndarray) -> Option:
    """An option made elsewhere; ``rows (G,)`` are the judged items among the candidate's.

    Raises:
        CompatError: for a name that an option has already, sides of two dimensions, or values that are not finite.
    """
    name = candidate.name
    if name in (STATUS_QUO, NAIVE, CEILING, SLERP) or any(part in name for part in ("old→new", "new→old", MERGE)):
        raise CompatError(
            "option", value=name, rule="is the name of an option that every decision has", fix="rename it"
        )
    query, gallery = (_float32(side, rows) for side in (candidate.query, candidate.gallery))
    if query.shape[1] != gallery.shape[1]:
        rule = f"queries have {query.shape[1]} dimensions, gallery rows {gallery.shape[1]}: they cannot be compared"
        raise CompatError("option", value=name, rule=rule)
    if not (torch.isfinite(query).all() and torch.isfinite(gallery).all()):
        raise CompatError("option", value=name, rule="holds NaN or infinite values", fix="drop or repair those items")
    kind = GALLERY if candidate.mapped else RETRAIN if candidate.retrained else QUERY
    space = judging.space(query, gallery)
    return Option(candidate.name, kind, candidate.summary, 0.0, space, retrained=candidate.retrained)


def _float32(side: Any, rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.asarray(side[rows], dtype=np.float32)))


def gallery_option(judging: Judging, adapter: Adapter, fitted: VectorMap) -> Option:
    """Old rows go through the map once; queries are the new model's own."""
    mapped = mapped_rows(fitted, judging.old, judging.side)
    summary = f"{adapter.title}, old → new: rewrite the gallery once, no image is touched."
    name = f"{adapter.name} old→new"
    if fitted.side_dim:
        name, summary = f"{name}, with side-information", f"{summary} Uses the side-information stored with it."
    return Option(name, GALLERY, summary, 0.0, judging.space(judging.new, mapped), fitted)


def query_option(judging: Judging, adapter: Adapter, fitted: VectorMap) -> Option:
    """New queries go through the map; the gallery stays as it is."""
    mapped = mapped_rows(fitted, judging.new)
    summary = f"{adapter.title}, new → old: map every query, leave the gallery alone."
    return Option(f"{adapter.name} new→old", QUERY, summary, 0.0, judging.space(mapped, judging.old), fitted)


def mapped_rows(fitted: VectorMap, rows: torch.Tensor, side: torch.Tensor | None = None) -> torch.Tensor:
    """Rows through the map, with their side-information where the map wants some.

    Raises:
        CompatError: when it does and none is given.
    """
    if fitted.side_dim and side is None:
        raise CompatError("adapter", value=fitted.kind, rule="wants side-information, which was not given")
    beside = side.split(8192) if side is not None and fitted.side_dim else itertools.repeat(None)
    with torch.no_grad():
        return torch.cat([fitted(part, more) for part, more in zip(rows.split(8192), beside, strict=False)])


def part_backfill(judging: Judging, base: Option, share: float, order: np.ndarray, by: str = RANDOM) -> Option:
    """``share`` of the gallery embedded again, the rest migrated by ``base``'s map.

    Args:
        judging: the held-out items.
        base: an option that migrates the gallery.
        share: in (0, 1).
        order: ``(G,)`` positions, first backfilled first.
        by: the ordering's name, one of :data:`~compat_core.retrieval.orderings.ORDERINGS`.
    """
    if base.vector_map is None:
        raise ValueError(f"{base.name} maps nothing")
    mixed = mapped_rows(base.vector_map, judging.old, judging.side)
    chosen = torch.from_numpy(np.ascontiguousarray(order[: round(share * len(order))]))
    mixed[chosen] = judging.new[chosen]
    name = f"{base.name} + {100 * share:.0f} % backfilled ({by} order)"
    first = ORDERINGS.get(by).summary
    summary = f"{base.summary.rstrip('.')}; {100 * share:.0f} % of the items embedded again: {first}."
    return Option(name, BACKFILL, summary, share, judging.space(judging.new, mixed), base.vector_map)


def order_of(option: str) -> str:
    """The ordering that the part backfill of that name is in, such as ``class-mean``; empty for other options."""
    found = re.search(r" % backfilled \((.+) order\)$", option)
    return found[1] if found else ""


def rank_merge(judging: Judging, share: float, order: np.ndarray, by: str) -> Option:
    """Search the backfilled part with the new query, the rest with the old one, and merge the two lists.

    The query itself stands in neither list: it would take the first place of one of them, and put everything else of
    that list behind its like of the other.

    Args:
        judging: the held-out items.
        share: in (0, 1), of the gallery that is backfilled.
        order: as for :func:`part_backfill`.
        by: ``rank`` (position in its own list, as a share of that list) or ``score`` (standardised over its own list).
    """
    backfilled = torch.zeros(len(judging.old), dtype=torch.bool)
    backfilled[torch.from_numpy(np.ascontiguousarray(order[: round(share * len(order))]))] = True
    parts = [
        (torch.nonzero(backfilled)[:, 0], judging.space(judging.new, judging.new)),
        (torch.nonzero(~backfilled)[:, 0], judging.space(judging.old, judging.old)),
    ]

    def score(positions: np.ndarray) -> torch.Tensor:
        merged = torch.empty(len(positions), len(judging.old))
        itself = torch.from_numpy(judging.queries[positions])[:, None]  # (B, 1)
        for columns, scorer in parts:
            others = columns == itself
            if by == "rank":
                merged[:, columns] = _by_rank(scorer(positions)[:, columns], others)
            else:  # as users see them: a spread of squared distances is not one of distances
                merged[:, columns] = _by_score(scorer.public(positions)[:, columns], others)
        return merged

    name = f"{MERGE} {by}, {100 * share:.0f} % backfilled"
    summary = "Two searches, one in each space, merged; nothing is trained, both models serve queries."
    return Option(name, TWO_SPACES, summary, share, score)


def _by_rank(scores: torch.Tensor, itself: torch.Tensor) -> torch.Tensor:
    """Minus the place in the list, as a share of it; what is ``itself (B, G)`` bool comes behind all others."""
    others = scores.masked_fill(itself, float("-inf"))
    ranks = others.argsort(dim=1, descending=True, stable=True).argsort(dim=1, stable=True)
    return -(ranks + 0.5) / (~itself).sum(dim=1, keepdim=True).clamp_min(1)


def _by_score(scores: torch.Tensor, itself: torch.Tensor) -> torch.Tensor:
    """Scores less their mean, over their standard deviation, both without what is ``itself (B, G)`` bool."""
    count = (~itself).sum(dim=1, keepdim=True).clamp_min(1)
    centred = scores - scores.masked_fill(itself, 0).sum(dim=1, keepdim=True) / count
    # a list of a single item has no spread, and stands at its own mean
    variance = centred.masked_fill(itself, 0).square().sum(dim=1, keepdim=True) / (count - 1).clamp_min(1)
    return centred / variance.sqrt().clamp_min(1e-12)


def slerp(judging: Judging, fitted: VectorMap, weight: float) -> Option:
    """The old query turned towards the new query, mapped into the old space, by a share of the angle between them.

    Args:
        judging: the held-out items.
        fitted: a map new → old.
        weight: 0 is the old query, 1 the mapped new one.
    """
    query = interpolated(judging.old, mapped_rows(fitted, judging.new), weight)
    summary = f"Old query and mapped new query, interpolated on the sphere ({weight:g} of the way); gallery untouched."
    return Option(SLERP, TWO_SPACES, summary, 0.0, judging.space(query, judging.old), fitted)


def interpolated(start: torch.Tensor, end: torch.Tensor, weight: float) -> torch.Tensor:
    """Spherical interpolation, row by row, of directions. Shape: ``(N, D)``, ``(N, D)`` → ``(N, D)``."""
    start, end = F.normalize(start), F.normalize(end)
    angle = (start * end).sum(dim=1, keepdim=True).clamp(-1, 1).acos()
    sine = angle.sin()
    turned = (((1 - weight) * angle).sin() * start + (weight * angle).sin() * end) / sine.clamp_min(1e-6)
    return torch.where(sine > 1e-6, turned, torch.lerp(start, end, weight))


def random_order(count: int, seed: int) -> np.ndarray:
    """``(count,)`` a random order of backfilling, the same for the same seed."""
    return backfill_order(RANDOM, np.zeros((count, 1), dtype=np.float32), seed=seed)
