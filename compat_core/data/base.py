"""What a data set is to the rest of the program: a registry entry that loads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from compat_core.data.config import DataConfig
from compat_core.data.images import Dataset
from compat_core.registry import Registry

Progress = Callable[[int, int], None]
"""Called with (images decoded so far, images in all); may raise to stop the loading."""


class Loader(Protocol):
    """Loads the data set that ``config.dataset`` names."""

    def __call__(self, config: DataConfig, progress: Progress | None = None) -> Dataset: ...


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    """One source of images.

    Attributes:
        name: as written in ``DataConfig.dataset``.
        title: name for people.
        summary: one sentence: what it shows, how many images and classes, how it is split.
        offline: True when nothing is ever downloaded.
        source: who made it and where it comes from.
        load: the function that loads it.
        takes: what stands behind its name and a colon, such as ``PATH`` in ``folder:PATH``; empty for nothing.
    """

    name: str
    title: str
    summary: str
    offline: bool
    source: str
    load: Loader
    takes: str = ""


DATASETS: Registry[DatasetEntry] = Registry("data set")
