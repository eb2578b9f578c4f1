"""Which rows a part backfill embeds again, in order: the ordering of an option over every row that was given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from compat_core.adapters import VectorMap
from compat_core.retrieval.backfill import backfill_order
from compat_core.retrieval.orderings import ORDERINGS
from compat_core.vectors import options as ways
from compat_core.vectors.decision import Evidence
from compat_core.vectors.given import Given
from compat_core.vectors.option_maker import Orderable, unsure_rows
from compat_core.vectors.options import Option, order_of
from compat_core.vectors.plan import usable_orders

ORDER_FILE = "backfill-order.csv"
BATCH_ROWS = 65_536


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
    name, fitted, count = order_of(option.name), option.vector_map, len(given.old)
    if fitted is None:
        raise ValueError(f"{option.name} maps nothing")
    if name == ways.RANDOM:
        return ways.random_order(count, seed)
    known = Orderable.of(np.arange(count), given.labels, given.weights)
    if name == "class-mean" and known.labels is not None:
        return np.argsort(-_far_from_class_mean(given, fitted, known.labels, distance), kind="stable")
    if name in ("class", "popularity", "sigma"):  # these look at no vector but through the map's doubt
        scores = known.weights if name == "popularity" else _unsure(given, fitted) if name == "sigma" else None
        return backfill_order(name, np.zeros((count, 1), dtype=np.float32), labels=known.labels, scores=scores)
    mapped = np.concatenate([rows for _, rows in _mapped(given, fitted)])
    return usable_orders(mapped, known.labels, known.weights, _unsure(given, fitted), distance)[name]


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


def _mapped(given: Given, fitted: VectorMap) -> Iterator[tuple[slice, np.ndarray]]:
    """Some rows at a time through the map: where they stand, and ``(B, D_new)`` float32."""
    for at, rows, side in _batches(given):
        yield at, ways.mapped_rows(fitted, rows, side).numpy()


def _batches(given: Given) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor | None]]:
    for first in range(0, len(given.old), BATCH_ROWS):
        at = slice(first, first + BATCH_ROWS)
        rows, side = (
            None if emb is None else torch.from_numpy(np.array(emb[at], dtype=np.float32))
            for emb in (given.old, given.side)
        )
        if rows is not None:
            yield at, rows, side


def _unsure(given: Given, fitted: VectorMap) -> np.ndarray | None:
    parts = [unsure_rows(fitted, rows, side) for _, rows, side in _batches(given)]
    found = [part for part in parts if part is not None]
    return np.concatenate(found) if found else None


def _far_from_class_mean(given: Given, fitted: VectorMap, codes: np.ndarray, distance: str) -> np.ndarray:
    """Distance of every mapped row from the mean of its class ``(N,)``, as ``backfill_order`` has it.

    In two passes, so that a gallery need not fit into memory.
    """

    def searched() -> Iterator[tuple[slice, np.ndarray]]:
        for at, mapped in _mapped(given, fitted):
            rows = mapped.astype(np.float64)
            if distance == "cosine":
                rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
            yield at, rows

    counts = np.bincount(codes)
    sums = np.zeros((len(counts), fitted.target_dim))
    for at, rows in searched():
        np.add.at(sums, codes[at], rows)
    means = sums / np.maximum(counts, 1)[:, None]
    return np.concatenate([np.linalg.norm(rows - means[codes[at]], axis=1) for at, rows in searched()])
