"""Maps fitted on pairs of vectors of the same items under two models: one file per family."""

# The order here is the order of lists, colours and tables; any other file of this folder comes after them.
# isort: off
from compat_core.adapters import mean_shift, procrustes, ridge, cca, low_rank, diagonal  # noqa: F401
from compat_core.adapters import residual_mlp, fct_map, fastfill_map, lambda_orthogonality  # noqa: F401
# isort: on

from compat_core.adapters.base import ADAPTERS, Adapter, AdapterConfig
from compat_core.adapters.map import VectorMap, apply_batches, load_map, read_manifest, save_map
from compat_core.adapters.pairs import Pairs
from compat_core.adapters.statistics import PairStatistics, collect, merged
from compat_core.registry import import_modules

import_modules(__name__, __path__)

__all__ = [
    "ADAPTERS",
    "Adapter",
    "AdapterConfig",
    "PairStatistics",
    "Pairs",
    "VectorMap",
    "apply_batches",
    "collect",
    "load_map",
    "merged",
    "read_manifest",
    "save_map",
]
