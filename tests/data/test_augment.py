"""Augmentation against slow loops that use the same random numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from compat_core.data import augment
from compat_core.errors import CompatError


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(count: int = 9, channels: int = 3, height: int = 8, width: int = 8) -> torch.Tensor:
    return torch.randint(0, 256, (count, channels, height, width), dtype=torch.uint8, generator=stream(99))


def test_to_float_is_the_stated_formula() -> None:
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    expected = (images.double() / 255 - 0.5) / 0.5
    assert augment.to_float(images).dtype == torch.float32
    assert torch.allclose(augment.to_float(images).double(), expected, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pad", [1, 3])
def test_random_crop_against_a_loop(channels: int, pad: int) -> None:
    images = batch(channels=channels, height=8, width=6)
    offsets = augment._crop_offsets(len(images), pad, stream()).tolist()
    cropped = augment.random_crop(images, pad, stream())
    assert cropped.dtype == torch.uint8
    for index, image in enumerate(images):
        padded = np.pad(image.numpy(), ((0, 0), (pad, pad), (pad, pad)), mode="reflect")
        row, column = offsets[0][index], offsets[1][index]
        assert (cropped[index].numpy() == padded[:, row : row + 8, column : column + 6]).all()
    assert {0, 2 * pad} <= set(augment._crop_offsets(500, pad, stream())[0].tolist())


def test_no_padding_changes_nothing() -> None:
    assert augment.random_crop(batch(), 0, stream()) is not None
    assert torch.equal(augment.random_crop(batch(), 0, stream()), batch())


def test_random_flip_mirrors_about_half() -> None:
    images = batch(200)
    flipped = augment.random_flip(images, stream())
    mirrored = [bool((after == before.flip(2)).all()) for before, after in zip(images, flipped, strict=True)]
    kept = [bool((after == before).all()) for before, after in zip(images, flipped, strict=True)]
    assert all(was != stayed for was, stayed in zip(mirrored, kept, strict=True))
    assert 70 < sum(mirrored) < 130


def test_resized_crop_of_the_whole_image_is_the_image() -> None:
    images = batch()
    whole = augment.random_resized_crop(images, (1.0, 1.0), (1.0, 1.0), stream())
    assert torch.allclose(whole * 255, images.float(), atol=1e-2)


@pytest.mark.parametrize("channels", [1, 3])
def test_resized_crop_against_sampling_point_by_point(channels: int) -> None:
    images = batch(5, channels, 8, 10)
    scale, ratio = (0.2, 0.9), (0.5, 2.0)
    views = augment.random_resized_crop(images, scale, ratio, stream(3))
    draws = torch.rand(4, 5, generator=stream(3)).double().numpy()
    for index in range(5):
        area = scale[0] + (scale[1] - scale[0]) * draws[0, index]
        aspect = ratio[0] * (ratio[1] / ratio[0]) ** draws[1, index]
        wide, high = min((area * aspect) ** 0.5, 1.0) * 10, min((area / aspect) ** 0.5, 1.0) * 8
        left, top = draws[2, index] * (10 - wide), draws[3, index] * (8 - high)
        for row, column in ((0, 0), (3, 7), (7, 9), (5, 2)):
            # pixel centres are at half-integers; outside the border pixel's centre its value continues
            x = np.clip(left + (column + 0.5) * wide / 10 - 0.5, 0, 9)
            y = np.clip(top + (row + 0.5) * high / 8 - 0.5, 0, 7)
            x0, y0 = int(x), int(y)
            x1, y1 = min(x0 + 1, 9), min(y0 + 1, 7)
            pixels = images[index].double().numpy()
            upper = pixels[:, y0, x0] * (1 - x + x0) + pixels[:, y0, x1] * (x - x0)
            lower = pixels[:, y1, x0] * (1 - x + x0) + pixels[:, y1, x1] * (x - x0)
            expected = (upper * (1 - y + y0) + lower * (y - y0)) / 255
            assert np.allclose(views[index, :, row, column].numpy(), expected, atol=1e-4)


def test_colour_jitter_against_a_loop() -> None:
    images = batch().float() / 255
    strengths = (0.4, 0.3, 0.2)
    jittered = augment.colour_jitter(images, *strengths, stream(5), share=0.7)
    draws = torch.rand(4, len(images), 1, 1, 1, generator=stream(5)).flatten(1).tolist()
    for index, image in enumerate(images.double()):
        factor = [1.0] * 3
        if draws[3][index] < 0.7:
            factor = [1 + (2 * draws[step][index] - 1) * strengths[step] for step in range(3)]
        expected = (image * factor[0]).clamp(0, 1)
        grey = 0.299 * expected[0] + 0.587 * expected[1] + 0.114 * expected[2]
        expected = (grey.mean() + (expected - grey.mean()) * factor[1]).clamp(0, 1)
        grey = 0.299 * expected[0] + 0.587 * expected[1] + 0.114 * expected[2]
        expected = (grey + (expected - grey) * factor[2]).clamp(0, 1)
        assert torch.allclose(jittered[index].double(), expected, atol=1e-5)


def test_grey_images_have_no_saturation_to_change() -> None:
    images = batch(channels=1).float() / 255
    assert torch.allclose(augment.colour_jitter(images, 0, 0, 1.0, stream()), images, atol=1e-6)


def test_random_grey_makes_the_channels_equal_for_its_share() -> None:
    images = batch(400).float() / 255
    views = augment.random_grey(images, 0.2, stream())
    grey = (views[:, 0] == views[:, 1]).flatten(1).all(1)
    assert 50 < int(grey.sum()) < 110
    assert torch.equal(views[~grey], images[~grey])
    assert torch.allclose(
        views[grey][:, 0], F.conv2d(images[grey], torch.tensor(augment.LUMA)[None, :, None, None])[:, 0]
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["none", "crop", "crop-flip"])
@pytest.mark.parametrize("view", [augment.train_augment, augment.contrastive_view])
def test_composed(view, kind: str, channels: int) -> None:  # type: ignore[no-untyped-def]
    images = batch(channels=channels)
    before = images.clone()
    torch.manual_seed(0)
    first = view(images, kind, stream(1))
    torch.manual_seed(1)
    assert torch.equal(first, view(images, kind, stream(1)))  # nothing from the global generator
    assert first.shape == images.shape
    assert first.dtype == torch.float32
    assert -1 <= float(first.min()) <= float(first.max()) <= 1
    assert torch.equal(images, before)
    if (view, kind) == (augment.train_augment, "none"):
        assert torch.equal(first, augment.to_float(images))
    else:
        assert not torch.equal(first, view(images, kind, stream(2)))


@pytest.mark.parametrize("view", [augment.train_augment, augment.contrastive_view])
def test_unknown_kind(view) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(CompatError, match="did you mean 'crop-flip'"):
        view(batch(), "crop-flp", stream())


def test_only_crop_flip_mirrors() -> None:
    ramp = torch.arange(0, 160, 20, dtype=torch.uint8).expand(100, 1, 8, 8).contiguous()
    for kind, may_fall in (("crop", False), ("crop-flip", True)):
        views = augment.contrastive_view(ramp, kind, stream())
        assert bool((views[:, 0, :, 0] > views[:, 0, :, -1]).any()) == may_fall


def test_on_a_gpu(gpu: str) -> None:
    images = batch().to(gpu)
    for view in (augment.train_augment, augment.contrastive_view):
        first, again = (view(images, "crop-flip", torch.Generator(gpu).manual_seed(1)) for _ in range(2))
        assert first.is_cuda
        assert torch.equal(first, again)
