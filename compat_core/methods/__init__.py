"""Upgrade methods: one file each, which registers itself when it is imported."""

# The order here is the order of lists, colours and tables; any other file of this folder comes after them.
# isort: off
from compat_core.methods import independent, l2, lwf, bct, unibct, lce, hot_refresh, advbct, bt2, d_simplex  # noqa: F401
from compat_core.methods import lce_transformed, fct, fastfill, cross_model  # noqa: F401
# isort: on

from compat_core.methods.base import FAMILIES, METHODS, Context, Method, TrainedModel, train_version
from compat_core.methods.upgrade import Upgrade, match_dim
from compat_core.registry import import_modules

import_modules(__name__, __path__)


def available() -> tuple[str, ...]:
    """Names of all methods."""
    return METHODS.names()


def get(name: str) -> Method:
    """The method called ``name``. Raises CompatError with the nearest known name when there is none."""
    return METHODS.get(name)


__all__ = [
    "FAMILIES", "METHODS", "Context", "Method", "TrainedModel", "Upgrade", "available", "get", "match_dim",
    "train_version",
]  # fmt: skip
