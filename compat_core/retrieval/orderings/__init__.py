"""Orderings of the backfill: one file each, which registers itself when it is imported."""

# The order here is the order of lists, curves and colours; any other file of this folder comes after them.
# isort: off
from compat_core.retrieval.orderings import random_order, sigma, class_mean, whole_classes  # noqa: F401
from compat_core.retrieval.orderings import popularity, oracle  # noqa: F401
# isort: on

from compat_core.registry import import_modules
from compat_core.retrieval.orderings.base import NEEDS, ORDERINGS, Gallery, Ordering, drawable_orders, largest_first

import_modules(__name__, __path__)

__all__ = ["NEEDS", "ORDERINGS", "Gallery", "Ordering", "drawable_orders", "largest_first"]
