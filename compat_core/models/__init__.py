"""Embedding models: backbones, the embedding head, old→new maps, and how they are kept on disk."""

from compat_core.models.backbones import BACKBONES, Backbone, check_image_size
from compat_core.models.embedder import Embedder
from compat_core.models.footprint import Footprint, footprint
from compat_core.models.saved import SavedModule, is_saved, load_module, save_module

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
