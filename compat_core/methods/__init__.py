"""Upgrade methods: one file each, registered by importing its module here."""

# Each module registers itself; the order here is the order of lists, colours and tables.
# isort: off
from compat_core.methods import independent, l2, lwf, bct, unibct, lce, hot_refresh, advbct, bt2, d_simplex  # noqa: F401
from compat_core.methods import lce_transformed, fct, fastfill, cross_model  # noqa: F401
# isort: on

from compat_core.methods.base import FAMILIES, METHODS, Context, Method, TrainedModel, train_version
from compat_core.methods.upgrade import Upgrade, match_dim


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
