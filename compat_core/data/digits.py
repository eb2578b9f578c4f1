"""scikit-learn's bundled handwritten digits: 1,797 grey images of 8 × 8 px, ten classes, nothing to download."""

from __future__ import annotations

import numpy as np
import torch

from compat_core.data.assemble import About, from_arrays
from compat_core.data.base import DATASETS, DatasetEntry, Progress
from compat_core.data.config import DataConfig
from compat_core.data.images import Dataset

# Mirrored digits are not digits: shifts only.
ABOUT = About("digits", "Handwritten digits (8 x 8)", augment="crop")


def load(config: DataConfig, progress: Progress | None = None) -> Dataset:
    """The digits, values 0 … 16 spread over 0 … 255, split as ``config`` says (auto: a share of every class).

    Raises:
        CompatError: for ``eval_split = given`` (there is none), or a limit that would lose classes.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = torch.from_numpy((bunch.images * (255 / 16)).round().astype(np.uint8))[:, None]
    labels = bunch.target.astype(np.int64)
    ids = np.array([f"{index:04d}" for index in range(len(labels))])
    dataset = from_arrays(images, labels, ids, [str(digit) for digit in range(10)], None, config, ABOUT)
    if progress is not None:
        progress(len(labels), len(labels))
    return dataset


DATASETS.add(
    DatasetEntry(
        name="digits",
        title=ABOUT.title,
        summary="1,797 grey 8 × 8 images of ten handwritten digits; bundled, the demo's data set.",
        offline=True,
        source="UCI optical recognition of handwritten digits (Alpaydin, Kaynak 1998), bundled with scikit-learn",
        load=load,
    )
)
