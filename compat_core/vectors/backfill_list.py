"""Which rows a part backfill embeds again, in order: the ordering of an option over every row that was given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from compat_core.adapters import VectorMap
from compat_core.retrieval.orderings import ORDERINGS, Gallery
from compat_core.retrieval.orderings.base import BATCH_ROWS
from compat_core.vectors import options as ways
from compat_core.vectors.decision import Evidence
from compat_core.vectors.given import Given
from compat_core.vectors.option_maker import Orderable, unsure_rows
from compat_core.vectors.options import Option, order_of

ORDER_FILE = "backfill-order.csv"


def order_sentence(option: str) -> str:
    """What the ordering of the part backfill ``option`` means and takes; empty for an option of another kind."""
    return order_sentences([order_of(option)])


def order_sentences(orders: Iterable[str]) -> str:
    """The same of some orderings, by name; those that are no longer registered are passed over."""
    means = "; ".join(ORDERINGS.get(order).sentence for order in orders if order in ORDERINGS)
    return f"{means[0].upper()}{means[1:]}." if means else ""


def listed_option(decided: Mapping[str, Any]) -> str:
    """The part backfill whose rows are listed: the recommended option where it is one, else the one that gains most.

    Args:
        decided: ``Decision.to_dict()``.

    Returns:
        its name; empty where no part backfill was judged.
    """
    chosen, metric = decided["recommended"] or decided["closest"], decided["config"]["metric"]
    rows = [row for row in decided["rows"] if row["kind"] == ways.BACKFILL]
    best = max(rows, key=lambda row: (row["name"] == chosen, row["gain"][metric]["value"] or 0.0), default=None)
    return "" if best is None else str(best["name"])


def order_of_all(given: Given, option: Option, distance: str, seed: int) -> np.ndarray:
    """Every given item in the order in which ``option`` embeds them again, ``(N,)`` positions.

    Args:
        given: the items and what is known of them.
        option: a part backfill; its map and its ordering are taken.
        distance: how the gallery is searched.
        seed: of a random ordering.
    """
    ordering, fitted, count = ORDERINGS.get(order_of(option.name)), option.vector_map, len(given.old)
    if fitted is None:
        raise ValueError(f"{option.name} maps nothing")
    if ordering.name == ways.RANDOM:
        return ways.random_order(count, seed)
    known = Orderable.of(np.arange(count), given.labels, given.weights)
    rows = _MappedRows(given, fitted)
    unsure = rows.unsure() if "uncertainty" in ordering.needs else None
    return ordering.order(Gallery(rows, known.labels, None, unsure, known.weights, distance=distance))


def write_order(folder: Path, given: Given, evidence: Evidence, decided: Mapping[str, Any]) -> dict[str, Any] | None:
    """Write ORDER_FILE: rank from 1, row of the old file, id where there are ids, and the share that is then done.

    Args:
        folder: of the decision.
        given, evidence, decided: of :func:`~compat_core.vectors.decision.decide`.

    Returns:
        ``option``, ``order``, ``file`` and ``rows`` for the document; None where no part backfill was judged.
    """
    name = listed_option(decided)
    if not name:
        return None
    config = decided["config"]
    order = order_of_all(given, evidence.of(name)[0], config["distance"], config["seed"])
    rank = np.arange(1, len(order) + 1)
    columns = {"rank": rank, "row": order if given.rows is None else given.rows[order]}
    if given.ids is not None:
        columns["id"] = np.asarray(given.ids)[order]
    pd.DataFrame(columns | {"share": rank / len(order)}).to_csv(folder / ORDER_FILE, index=False)
    return {"option": name, "order": order_of(name), "file": ORDER_FILE, "rows": len(order)}


class _MappedRows:
    """Old rows ``(N, D_new)`` in the new space, mapped when they are asked for: a gallery need not fit into memory."""

    def __init__(self, given: Given, fitted: VectorMap) -> None:
        self.given, self.fitted = given, fitted

    def __len__(self) -> int:
        return len(self.given.old)

    def __getitem__(self, rows: slice, /) -> np.ndarray:
        return ways.mapped_rows(self.fitted, *self._of_files(rows)).numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.concatenate([self[at] for at in self._slices()]).astype(dtype or np.float32, copy=False)

    def unsure(self) -> np.ndarray | None:
        """How unsure the map is of each row ``(N,)``; None where it cannot tell."""
        parts = [unsure_rows(self.fitted, *self._of_files(at)) for at in self._slices()]
        found = [part for part in parts if part is not None]
        return np.concatenate(found) if found else None

    def _slices(self) -> list[slice]:
        return [slice(first, first + BATCH_ROWS) for first in range(0, len(self), BATCH_ROWS)]

    def _of_files(self, rows: slice) -> tuple[torch.Tensor, torch.Tensor | None]:
        def part(emb: Any) -> torch.Tensor:
            return torch.from_numpy(np.array(emb[rows], dtype=np.float32))

        return part(self.given.old), None if self.given.side is None else part(self.given.side)
