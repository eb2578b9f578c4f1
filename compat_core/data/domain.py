"""Domain shift: train on one data set, evaluate on the images of another."""

from __future__ import annotations

import dataclasses

import torch

from compat_core.data.distant import whole
from compat_core.data.images import Dataset, ImageSet


def shifted_to(dataset: Dataset, other: Dataset) -> Dataset:
    """``dataset`` with the evaluation images of ``other``, brought to its number of channels.

    Classes of equal name are the same class; the class list is the sorted union, so labels of both parts are
    renumbered.

    Args:
        dataset: gives the training images, the augmentation and the image size.
        other: gives the evaluation images, of the same size.
    """
    names = tuple(sorted({*dataset.train.class_names, *other.test.class_names}))
    return dataclasses.replace(
        dataset,
        name=f"{dataset.name}→{other.name}",
        title=f"{dataset.title}, evaluated on {other.title}",
        train=_renamed(dataset.train, names, dataset.train.channels),
        test=_renamed(other.test, names, dataset.train.channels),
        notes=(
            *dataset.notes,
            f"domain shift: evaluation images come from {other.title}",
            *(f"{other.name}: {note}" for note in other.notes),
        ),
        split="given",
        unreadable=(*dataset.unreadable, *((f"{other.name}: {file}", reason) for file, reason in other.unreadable)),
    )


def _renamed(images: ImageSet, names: tuple[str, ...], channels: int) -> ImageSet:
    place = torch.tensor([names.index(name) for name in images.class_names])
    pixels = whole(images.images)
    if images.channels < channels:
        pixels = pixels.expand(-1, channels, -1, -1).contiguous()
    elif images.channels > channels:
        weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]  # ITU-R 601 luma, as Pillow converts
        chunks = [(chunk.float() * weights).sum(1, keepdim=True).round().byte() for chunk in pixels.split(1024)]
        pixels = torch.cat(chunks)
    return ImageSet(pixels, place[images.labels], images.ids, names)
