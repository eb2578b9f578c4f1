"""Embedding models: backbones, the embedding head, old→new maps, and how they are kept on disk.

A backbone of your own is one file of this folder that registers a :class:`Backbone`.
"""

from compat_core.models.backbones import BACKBONES, Backbone, check_image_size
from compat_core.models.embedder import Embedder
from compat_core.models.footprint import Footprint, footprint
from compat_core.models.saved import SavedModule, is_saved, load_module, save_module
from compat_core.registry import import_modules

import_modules(__name__, __path__)

__all__ = [
    "BACKBONES",
    "Backbone",
    "Embedder",
    "Footprint",
    "SavedModule",
    "check_image_size",
    "footprint",
    "is_saved",
    "load_module",
    "save_module",
]
