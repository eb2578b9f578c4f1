"""Experiments by name: one file per family of scenarios, which registers its own when it is imported."""

# The order here is the order of lists and forms; any other file of this folder comes after them.
# isort: off
from compat_core.experiments.presets import demo, more_data, open_set, changed_model, domain_shift  # noqa: F401
from compat_core.experiments.presets import chain, lambda_sweep, biased_old, controls  # noqa: F401
# isort: on

from compat_core.experiments.presets.base import PRESETS, Preset, command_line, configure
from compat_core.registry import import_modules

import_modules(__name__, __path__)

__all__ = ["PRESETS", "Preset", "command_line", "configure"]
