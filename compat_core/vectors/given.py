"""What somebody brings: vectors of the same items under two models, and what is known of them."""

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
