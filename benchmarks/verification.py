"""Verification at FAR 1e-5 over 200 million pairs, none of which are kept, against the bare matrix product."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.evaluation import bare_product, world
from benchmarks.race import PeakAbove, Race, race, write
from compat_core.metrics.verification import verify

QUERIES, ITEMS = 20_000, 10_000


def many_pairs() -> Race:
    """20,000 × 10,000 pairs; the threshold is checked by counting the impostors above it once more."""
    emb, labels = world(QUERIES + ITEMS, 1_000)
    query, gallery = emb[:QUERIES], emb[QUERIES:]
    query_labels, gallery_labels = labels[:QUERIES], labels[QUERIES:]

    def run() -> Any:
        return verify(query, query_labels, gallery, gallery_labels, device="cpu")

    with PeakAbove() as peak:
        scores = run()
    found = race(
        f"Verification over {QUERIES * ITEMS:,} pairs, FAR 1e-5 to 1e-1, ROC, AUC and EER",
        {"bare matrix product": lambda: bare_product(query, gallery), "verify": run}, "bare matrix product", 3,
        target="no pair kept, exact at the threshold",
    )  # fmt: skip
    found.facts = {
        "memory above the vectors, MiB": round(peak.mib),
        "impostor pairs": scores.num_impostor,
        "TAR at FAR 1e-5": scores.tar[1e-5],
    }
    sample = np.random.default_rng(0).permutation(QUERIES)[:2_000]
    impostor = query_labels[sample][:, None] != gallery_labels
    accepted = query[sample] @ gallery.T > scores.points[1e-5].threshold
    found.facts["FAR at that threshold on 2,000 of the queries, counted pair by pair"] = float(
        (accepted & impostor).sum() / impostor.sum()
    )
    return found


def main() -> None:
    """All races of this file."""
    write("verification", [many_pairs()])


if __name__ == "__main__":
    main()
