"""Backfill: search quality against the share re-embedded, by ordering, on an axis of items, hours, money or days."""

from compat_core.ui import backfill_parts as parts
from compat_core.ui.frame import begin, shown_errors, store

begin("Backfill", "How good search is while the gallery goes over to the new model, and what each step of it costs.")

with shown_errors():
    source = parts.pick_source(store())
    if source is not None:
        costs, items = parts.costs(source)
        parts.show(source, costs, items)
