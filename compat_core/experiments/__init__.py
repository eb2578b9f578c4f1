"""Experiments and their runs. Names are loaded when first used: a program that only lists runs never imports torch."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compat_core.experiments.config import ExperimentConfig as ExperimentConfig
    from compat_core.experiments.run import Run as Run
    from compat_core.experiments.runner import run_experiment as run_experiment
    from compat_core.experiments.store import RunStore as RunStore

_HOME = {
    "ExperimentConfig": "config",
    "Run": "run",
    "RunStore": "store",
    "run_experiment": "runner",
}

__all__ = ["ExperimentConfig", "Run", "RunStore", "run_experiment"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
