"""A world small enough to train in: six striped classes of 8 × 8 images, an old model that knows three of them."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from compat_core.data.images import ImageSet
from compat_core.device import pick_device
from compat_core.experiments.tracker import NullTracker
from compat_core.methods import Context, train_version
from compat_core.spec import Spec
from compat_core.training.config import TrainConfig, VersionConfig
from compat_core.training.loop import Job

CLASSES, PER_CLASS = 6, 24


def stripes(seed: int = 0, per_class: int = PER_CLASS) -> ImageSet:
    """Class k is a fixed random pattern under strong noise."""
    patterns = torch.Generator().manual_seed(123)
    centres = torch.rand(CLASSES, 1, 8, 8, generator=patterns) * 255
    noise = torch.Generator().manual_seed(seed)
    labels = torch.arange(CLASSES).repeat_interleave(per_class)
    images = centres[labels] + 60 * torch.randn(len(labels), 1, 8, 8, generator=noise)
    ids = np.array([f"{seed}-{index}" for index in range(len(labels))])
    return ImageSet(images.clamp(0, 255).to(torch.uint8), labels, ids, tuple("abcdef"))


def job(name: str = "toy", device: str = "cpu") -> Job:
    return Job(name, 0, pick_device(device, "float32"), NullTracker())


def version(**changes) -> VersionConfig:
    return VersionConfig(**({"dim": 16, "train": TrainConfig(epochs=15, batch_size=32)} | changes))


def make_context(
    old_dim: int = 16,
    new_dim: int = 16,
    loss: str = "normsoftmax",
    device: str = "cpu",
    epochs: int = 15,
    per_class: int = PER_CLASS,
) -> Context:
    """Old model on classes a–c, paragon on all six, both trained with ``loss``."""
    images, train, made = stripes(per_class=per_class), TrainConfig(epochs=epochs, batch_size=32), job(device=device)
    images = dataclasses.replace(images, images=images.images.to(device), labels=images.labels.to(device))
    old_indices = torch.nonzero(images.labels < 3)[:, 0]
    old_config = version(dim=old_dim, loss=Spec(loss), train=train)
    new_config = version(dim=new_dim, loss=Spec(loss), train=train)
    old = train_version(old_config, images.subset(old_indices), "none", "old", made)
    paragon = train_version(new_config, images, "none", "new", made)
    for model in (old, paragon):
        model.embedder.requires_grad_(False)
        model.head.requires_grad_(False)
    return Context(
        seed=0, train_images=images, augment="none", old_indices=old_indices, old=old, paragon=paragon,
        new_config=new_config, old_config=old_config, job=made, cache={},
    )  # fmt: skip
