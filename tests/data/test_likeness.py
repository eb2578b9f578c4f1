"""Evaluation images that were prepared another way than the training images are noticed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from compat_core.data.assemble import About, from_arrays
from compat_core.data.config import DataConfig
from compat_core.data.images import ImageSet
from compat_core.data.likeness import LOOKED_AT, relative_sharpness, sharpness

CLASSES = ("a", "b", "c", "d")


def photographs(count: int, seed: int) -> torch.Tensor:
    """Smooth pictures of very unequal contrast, as photographs are."""
    draw = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 8, 8, generator=draw) * torch.rand(count, 1, 1, 1, generator=draw) * 40
    return (F.interpolate(coarse, (16, 16), mode="bicubic") + 128).clamp(0, 255).byte()


def softened(images: torch.Tensor) -> torch.Tensor:
    return F.avg_pool2d(images.float(), 3, stride=1, padding=1, count_include_pad=False).byte()


def image_set(images: torch.Tensor, labels: np.ndarray | None = None) -> ImageSet:
    labels = np.arange(len(images)) % len(CLASSES) if labels is None else labels
    names = np.array([f"{index}" for index in range(len(images))])
    return ImageSet(images, torch.from_numpy(labels), names, CLASSES)


def test_sharpness_is_the_mean_difference_of_neighbours() -> None:
    images = torch.zeros(1, 1, 4, 4, dtype=torch.uint8)
    images[0, 0, :, 2:] = 12  # one of three steps to the right is 12, none downwards
    assert sharpness(image_set(images), np.arange(4)) == pytest.approx([2.0])


def test_only_the_classes_asked_for_and_no_more_than_needed() -> None:
    flat = torch.zeros(3 * LOOKED_AT, 1, 4, 4, dtype=torch.uint8)
    steps = torch.arange(4, dtype=torch.uint8).expand(len(flat), 1, 4, 4)
    both = image_set(torch.cat([flat, steps]), np.repeat([0, 1], len(flat)))
    assert sharpness(both, np.array([1])) == pytest.approx(np.full(LOOKED_AT, 0.5))
    assert len(sharpness(both, np.array([0, 1]))) == LOOKED_AT
    assert sharpness(both, np.array([0, 1])).mean() == pytest.approx(0.25, abs=0.001)


@pytest.mark.parametrize("seed", range(5))
def test_two_halves_of_the_same_pictures_are_alike(seed: int) -> None:
    assert relative_sharpness(image_set(photographs(600, seed)), image_set(photographs(100, 100 + seed))) is None


def test_another_filter_is_noticed_with_its_size_and_direction() -> None:
    sharp, soft = image_set(photographs(600, 1)), image_set(softened(photographs(400, 2)))
    ratio = sharpness(soft, np.arange(4)).mean() / sharpness(sharp, np.arange(4)).mean()
    assert ratio < 0.85
    assert relative_sharpness(sharp, soft) == pytest.approx(ratio)
    assert relative_sharpness(soft, sharp) == pytest.approx(1 / ratio)


def test_other_classes_and_too_few_images_say_nothing() -> None:
    sharp, soft = photographs(400, 1), softened(photographs(400, 2))
    first, second = np.arange(400) % 2, 2 + np.arange(400) % 2
    assert relative_sharpness(image_set(sharp, first), image_set(soft, second)) is None
    assert relative_sharpness(image_set(sharp), image_set(soft[:3])) is None
    assert relative_sharpness(image_set(sharp), image_set(torch.zeros(40, 3, 16, 16, dtype=torch.uint8))) is None


@pytest.mark.parametrize("split, noted", [("given", True), ("instances", False), ("classes", False)])
def test_a_data_set_says_it_of_its_own_split_alone(split: str, noted: bool) -> None:
    images = torch.cat([photographs(400, 1), softened(photographs(400, 2))])
    labels, is_test = np.arange(800) % 4, np.arange(800) >= 400
    ids = np.arange(800).astype(np.str_)
    config = DataConfig(dataset="toy", eval_split=split)
    made = from_arrays(images, labels, ids, CLASSES, is_test, config, About("toy", "Toy"))
    card = made.card()
    assert any("times as sharp" in note for note in card["notes"]) is noted
    assert (card["sharpness"] is not None and card["sharpness"] < 0.85) is noted
