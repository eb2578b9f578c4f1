"""Where images and labels come from: data sets by name, splits, and augmentation on the device.

A data set is one file of this folder that registers a :class:`DatasetEntry`.
"""

import dataclasses
from pathlib import Path

from compat_core.data import digits, folder, torchvision_sets  # noqa: F401  (in this order on every list)
from compat_core.data.base import DATASETS, DatasetEntry, Progress
from compat_core.data.config import DataConfig, ScenarioConfig
from compat_core.data.domain import shifted_to
from compat_core.data.images import Dataset, ImageSet
from compat_core.data.splits import epoch_batches, old_subset
from compat_core.data.torchvision_sets import downloaded
from compat_core.errors import CompatError
from compat_core.registry import import_modules

import_modules(__name__, __path__)

__all__ = [
    "DATASETS",
    "DataConfig",
    "Dataset",
    "DatasetEntry",
    "ImageSet",
    "ScenarioConfig",
    "dataset_entry",
    "downloaded",
    "epoch_batches",
    "load_dataset",
    "old_subset",
]


def dataset_entry(written: str) -> DatasetEntry:
    """The entry that ``written``, a name or ``name:what it takes``, stands for; nothing is looked for on disk.

    Raises:
        CompatError: for an unknown name, the bare path of a folder, or something behind a name that takes nothing.
    """
    name, colon, rest = written.partition(":")
    if name not in DATASETS and Path(written).expanduser().is_dir():
        raise CompatError("data set", value=written, rule="is a folder, not a name", fix=f"write folder:{written}")
    entry = DATASETS.get(name)
    if colon and not entry.takes:
        raise CompatError("data set", value=written, rule=f"{name} takes no {rest!r}", fix=f"write {name}")
    return entry


def load_dataset(config: DataConfig, seed: int = 0, progress: Progress | None = None) -> Dataset:
    """Load the images that ``config`` describes, decoded, resized, split and limited.

    Args:
        config: the data set and what to do with it.
        seed: the experiment's seed. It changes nothing here, on purpose: every seed trains on the same images and
            answers the same queries, so that seeds can be compared in pairs. It is part of the interface for data sets
            that are drawn at random; :func:`old_subset` uses it.
        progress: called with (images decoded, images in all).

    Raises:
        CompatError: for an unknown name, missing or unreadable images, or a split that cannot be made.
    """
    del seed
    dataset = dataset_entry(config.dataset).load(config, progress)
    if not config.eval_dataset:
        return dataset
    other = dataclasses.replace(
        config, dataset=config.eval_dataset, eval_dataset="", image_size=dataset.train.size, train_limit=0
    )
    return shifted_to(dataset, load_dataset(other, progress=progress))
