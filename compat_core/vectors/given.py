"""What somebody brings: vectors of the same items under two models, what is known of them, and how they are split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from compat_core.adapters import Pairs
from compat_core.errors import CompatError
from compat_core.vectors.pictures import ItemPictures
from compat_core.vectors.relevance import Relevance, from_judgements, from_labels, from_new_model
from compat_core.vectors.space import Judging

FEWEST = 40
FEWEST_CLASSES = 4  # to set two of them apart
FEWEST_QUERIES = 10
VALIDATED = 2_000  # most items that choices between fitted options are made on


# What an option made elsewhere takes: kind -> (whether the gallery's rows are rewritten, whether a model is trained).
CANDIDATE_KINDS = {"retrain": (False, True), "map": (True, False), "query-map": (False, False)}


@dataclass(frozen=True, slots=True)
class Candidate:
    """An option that was made elsewhere, as vectors of the same items: a model retrained for compatibility, say.

    Attributes:
        name: unique, for tables.
        query: ``(N, D)`` every item as a query of this option.
        gallery: ``(N, D)`` every item as its gallery holds it without a backfill.
        summary: one sentence.
        mapped: whether the gallery's rows had to be rewritten.
        retrained: whether a model had to be trained for it.
    """

    name: str
    query: Any
    gallery: Any
    summary: str = ""
    mapped: bool = False
    retrained: bool = True


@dataclass(frozen=True, slots=True)
class Given:
    """The user's vectors: row i of ``old (N, D_old)`` and of ``new (N, D_new)`` are one item.

    Attributes:
        labels: ``(N,)``, or None; items without one as in :mod:`~compat_core.vectors.labels`.
        ids: ``(N,)`` texts; row numbers where there are none.
        judgements: query id -> item id -> relevance, or None.
        fit: pairs of other items to fit adapters on; None: some of the given items are set aside for that.
        candidates: options made elsewhere, judged on the same items.
        groups: name -> ``(N,)`` texts; who gets worse is answered for each.
        ages: ``(N,)`` numbers or datetime64, larger is newer, or None.
        weights: ``(N,)`` how often an item is asked for, or None; orders a backfill.
        side: ``(N, D_side)`` side-information stored with the old vectors, or None; FCT and FastFill use it.
        pictures: what items look like and are called, or None.
        rows: ``(N,)`` the old file's rows that the items are; None: all of them, in order.
        doubt: what speaks against the rows being the same items, one sentence; empty where nothing does.
    """

    old: Any
    new: Any
    labels: np.ndarray | None = None
    ids: np.ndarray | None = None
    judgements: dict[str, dict[str, float]] | None = None
    fit: Pairs | None = None
    candidates: tuple[Candidate, ...] = ()
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)
    ages: np.ndarray | None = None
    weights: np.ndarray | None = None
    side: Any | None = None
    pictures: ItemPictures | None = None
    rows: np.ndarray | None = None
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Split:
    """Disjoint sets of rows: ``fit`` adapters on, ``validate`` choices between them, ``judge`` every option.

    ``fit`` and ``validate`` are rows of the pairs set apart where there are such, else of the given items; ``queries``
    are positions among ``judged``.
    """

    fit: np.ndarray
    validate: np.ndarray
    judged: np.ndarray
    queries: np.ndarray


def split_rows(
    count: int,
    fitted: int | None,
    pairs: int,
    judged: int,
    queries: int,
    seed: int,
    askable: np.ndarray | None = None,
    classes: np.ndarray | None = None,
) -> Split:
    """A random but fixed split.

    Choices are made on items as strange to the fit as the judged ones: with ``classes`` these are whole classes of
    which nothing is fitted on, else single items. A map that knows its classes by heart would win among items of them.

    Args:
        count: given items.
        fitted: items to fit on that are not among them; None: at most half of the given items are judged, the others
            may be fitted on.
        pairs: most items to fit on and choose by; judged, queries: most items judged, and querying.
        seed: of the split.
        askable: ``(count,)`` bool, items that may query; None: all.
        classes: ``(fitted,)`` of the pairs to fit on, where none of these classes is judged.

    Raises:
        CompatError: for fewer than 40 items, or fewer than 10 that may query among those to be judged.
    """
    if count < FEWEST or (fitted is not None and fitted < FEWEST):
        few = count if count < FEWEST else fitted
        raise CompatError(
            "vectors", value=f"{few} items", rule=f"needs at least {FEWEST}: some to fit on, others to judge on"
        )
    order = np.random.default_rng(seed).permutation(count)
    chosen = np.sort(order[: min(judged, count if fitted is not None else count // 2)])
    rest = order[len(chosen) :] if fitted is None else np.random.default_rng(seed + 2).permutation(fitted)
    rest = rest[:pairs]
    chosen_by = _set_apart(rest, min(VALIDATED, len(rest) // 5), classes, seed)
    asking = np.random.default_rng(seed + 1).permutation(len(chosen))
    if askable is not None:
        asking = asking[askable[chosen[asking]]]
        if len(asking) < FEWEST_QUERIES:
            rule = f"needs at least {FEWEST_QUERIES} with judgements or a label among the {len(chosen):,} to judge on"
            raise CompatError("queries", value=f"{len(asking)} items", rule=rule, fix="judge or label more of them")
    asking = asking[:queries]
    return Split(np.sort(rest[~chosen_by]), np.sort(rest[chosen_by]), chosen, np.sort(asking))


def fitted_rows(count: int, pairs: int, judged: int, seed: int) -> np.ndarray:
    """The rows of ``count`` given items that a decision fits on, ascending: with them its maps can be fitted again.

    Which items may query, and how many do, changes nothing about them. Raises CompatError as :func:`split_rows`.
    """
    return split_rows(count, None, pairs, judged, 0, seed).fit


def _set_apart(rows: np.ndarray, most: int, classes: np.ndarray | None, seed: int) -> np.ndarray:
    """Which of ``rows (R,)`` choices are made on ``(R,)`` bool: the first ``most``, or whole classes, two at least."""
    if classes is not None:
        names, codes, sizes = np.unique(classes[rows], return_inverse=True, return_counts=True)
        if len(names) >= FEWEST_CLASSES:
            drawn = np.random.default_rng(seed + 3).permutation(len(names))
            return np.isin(codes, drawn[: max(2, int((sizes[drawn].cumsum() <= most).sum()))])
    return np.arange(len(rows)) < most


def held_out(
    given: Given, pairs: Pairs, rows: np.ndarray, queries: np.ndarray, distance: str
) -> tuple[Judging, Relevance]:
    """Some items to search among, and what answers their queries.

    Args:
        given: where judgements and ids come from; they are of ``pairs``' items.
        pairs: old and new vectors, and labels.
        rows: of ``pairs``, the gallery.
        queries: positions among ``rows``.
        distance: see :class:`Judging`.
    """
    taken = pairs.take(rows)
    old, new = (torch.from_numpy(np.array(side, dtype=np.float32)) for side in (taken.source, taken.target))
    side = None if taken.side is None else torch.from_numpy(np.array(taken.side, dtype=np.float32))
    for name, emb in (("old vectors", old), ("new vectors", new), ("side-information", side)):
        if emb is not None and not torch.isfinite(emb).all():
            row = int(rows[int(torch.nonzero(~torch.isfinite(emb).all(dim=1))[0, 0])])
            raise CompatError(name, rule=f"NaN or infinite values in row {row}", fix="drop or repair that item")
    judging = Judging(old, new, queries, distance, side)
    if given.judgements is not None:
        if given.ids is None:
            raise CompatError(
                "ids", value=None, rule="relevance judgements name items by id", fix="give the ids as well"
            )
        ids = np.asarray(given.ids).astype(str)[rows]
        return judging, from_judgements(given.judgements, ids[queries], ids, queries)
    if taken.labels is not None:
        return judging, from_labels(taken.labels[queries], taken.labels, queries)
    return judging, from_new_model(new[torch.from_numpy(queries)], new, queries, distance)
