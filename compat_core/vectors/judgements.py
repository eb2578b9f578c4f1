"""Do relevance judgements and vectors belong together? What they name has to be there."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from compat_core.vectors.checks import INFO, STOP, WARN, Finding

NAMED = 3  # ids named in a sentence


def check_judgements(judged: Mapping[str, Mapping[str, float]], ids: np.ndarray | None) -> list[Finding]:
    """How many of the judged queries and of the items relevant to them are among the vectors; worst first.

    Args:
        judged: query id -> item id -> relevance, as :func:`~compat_core.vectors.sources.read_qrels` gives them.
        ids: ``(N,)`` of the vectors, or None.
    """
    if ids is None:
        return [
            Finding(STOP, "judgements", "relevance judgements name items by id: give the ids of the old rows (--ids)")
        ]
    known = set(np.asarray(ids).astype(str).tolist())
    relevant = {query: [item for item, value in items.items() if value > 0] for query, items in judged.items()}
    wanted = dict.fromkeys(item for items in relevant.values() for item in items)
    answered = [query for query, items in relevant.items() if query in known and not known.isdisjoint(items)]
    if not answered:
        sentence = (
            f"no judged query with an item relevant to it is among the ids: judgements name {_some(list(judged))}, the "
            f"vectors {_some([str(name) for name in ids[:NAMED]])}"
        )
        return [Finding(STOP, "judgements", sentence)]
    found = []
    for what, names in (("judged queries", relevant), ("relevant items", wanted)):
        missing = [name for name in names if name not in known]
        if missing:
            share = 100 * len(missing) / len(names)
            sentence = (
                f"{len(missing):,} of {len(names):,} {what} ({share:.1f} %) are not among the ids: {_some(missing)}"
            )
            found.append(Finding(WARN, f"coverage of {what}", sentence))
    sentence = f"{len(answered):,} of {len(ids):,} items can query: they have a relevant item among the vectors"
    return [*found, Finding(INFO, "judgements", sentence)]


def _some(names: list[str]) -> str:
    return ", ".join(names[:NAMED]) + (" …" if len(names) > NAMED else "")
