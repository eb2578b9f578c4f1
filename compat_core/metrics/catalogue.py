"""Every metric there is, by name and by the other names people use.

A new one is a file in this package that calls ``METRICS.add``; it is found by itself.
"""

from __future__ import annotations

from compat_core.errors import unknown_name
from compat_core.metrics.base import Metric
from compat_core.metrics.retrieval import RETRIEVAL_METRICS
from compat_core.registry import Registry

METRICS: Registry[Metric] = Registry("metric")
for _entry in RETRIEVAL_METRICS:
    METRICS.add(_entry)


def resolve(name: str) -> Metric:
    """The metric called ``name`` or known under that synonym, in any case (``recall@1`` is CMC@1).

    Raises:
        CompatError: for an unknown name, with the nearest known one.
    """
    wanted = str(name).strip().lower()
    known = {spelling.lower(): entry for entry in METRICS for spelling in (entry.name, *entry.synonyms)}
    if wanted not in known:
        raise unknown_name(
            "metric", name, [spelling for entry in METRICS for spelling in (entry.name, *entry.synonyms)]
        )
    return known[wanted]
