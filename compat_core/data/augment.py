"""Training augmentation of a whole batch at once, on the device the images live on.

Nothing here loops over images. Every random number comes from the ``torch.Generator`` that is passed in, which must be
on the images' device: the same generator state gives the same augmentation.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from compat_core.data.images import AUGMENTATIONS
from compat_core.errors import unknown_name

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, what Pillow's grey conversion uses
CONTRASTIVE_SCALE = (0.3, 1.0)
CONTRASTIVE_RATIO = (3 / 4, 4 / 3)


def to_float(images: torch.Tensor) -> torch.Tensor:
    """``(x / 255 - 0.5) / 0.5``. Shape: ``(B, C, H, W)`` uint8 → float32 in [-1, 1]."""
    return images.float().mul_(1 / 127.5).sub_(1.0)


def train_augment(images: torch.Tensor, kind: str, generator: torch.Generator) -> torch.Tensor:
    """What a training batch looks like to the network.

    Args:
        images: ``(B, C, H, W)`` uint8.
        kind: none; crop (shifts by up to an eighth of the side); crop-flip (shifts, and half of the images mirrored).
        generator: on the device of ``images``.

    Returns:
        ``(B, C, H, W)`` float32 in [-1, 1].

    Raises:
        CompatError: for an unknown kind.
    """
    _check_kind(kind)
    if kind != "none":
        images = random_crop(images, images.shape[-1] // 8, generator)
    if kind == "crop-flip":
        images = random_flip(images, generator)
    return to_float(images)


def contrastive_view(images: torch.Tensor, kind: str, generator: torch.Generator) -> torch.Tensor:
    """One random view per image for contrastive learning: resized crop, mirroring, colour jitter, random grey.

    Args:
        images: ``(B, C, H, W)`` uint8.
        kind: as in :func:`train_augment`; only crop-flip mirrors. A view is always cropped and jittered, or there would
            be nothing to contrast.
        generator: on the device of ``images``.

    Returns:
        ``(B, C, H, W)`` float32 in [-1, 1].

    Raises:
        CompatError: for an unknown kind.

    Reference: SimCLR, arXiv:2002.05709, appendix A and B.9 (no blur, jitter strength 0.5 for small images).

    Departs from the paper: crops take 30 to 100 % of the area instead of 8 to 100 % (8 % of a 32 px image is 9 px);
    jitter in a fixed order and without hue.
    """
    _check_kind(kind)
    views = random_resized_crop(images, CONTRASTIVE_SCALE, CONTRASTIVE_RATIO, generator)
    if kind == "crop-flip":
        views = random_flip(views, generator)
    views = colour_jitter(views, 0.4, 0.4, 0.4, generator, share=0.8)
    if views.shape[1] == 3:
        views = random_grey(views, 0.2, generator)
    return views.mul_(2.0).sub_(1.0)


def random_crop(images: torch.Tensor, pad: int, generator: torch.Generator) -> torch.Tensor:
    """Shift each image by its own offset in [-pad, pad]² px; what moves in is the reflection at the border.

    Reflection suits light and dark backgrounds alike. Shape: ``(B, C, H, W)`` → the same, of the same dtype.

    Args:
        images: any dtype.
        pad: largest shift in px, below H and W; 0 returns the images.
        generator: on the device of ``images``.
    """
    if pad == 0:
        return images
    batch, channels, height, width = images.shape
    offsets = _crop_offsets(batch, pad, generator)
    rows = _reflected(height, pad, images.device)[offsets[0][:, None] + torch.arange(height, device=images.device)]
    columns = _reflected(width, pad, images.device)[offsets[1][:, None] + torch.arange(width, device=images.device)]
    # (B, H, 1) row starts + (B, 1, W) columns: where each pixel of the shifted image comes from, for all channels.
    pixels = (rows[:, :, None] * width + columns[:, None, :]).view(batch, 1, height * width)
    return images.flatten(2).gather(2, pixels.expand(-1, channels, -1)).view_as(images)


def random_flip(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mirror each image left to right with probability 1/2. Shape: ``(B, C, H, W)`` → the same, of the same dtype."""
    mirrored = torch.rand(len(images), generator=generator, device=images.device) < 0.5
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


def random_resized_crop(
    images: torch.Tensor, scale: tuple[float, float], ratio: tuple[float, float], generator: torch.Generator
) -> torch.Tensor:
    """Cut a random rectangle out of each image and stretch it to full size (bilinear).

    The rectangle's share of the area is uniform in ``scale``, its aspect ratio (width / height, relative to the
    image's) log-uniform in ``ratio``, its place uniform. A side longer than the image is shortened to it.

    Args:
        images: ``(B, C, H, W)`` uint8.
        scale: smallest and largest share of the area, in (0, 1].
        ratio: smallest and largest aspect ratio, > 0.
        generator: on the device of ``images``.

    Returns:
        ``(B, C, H, W)`` float32 in [0, 1].
    """
    batch, channels, height, width = images.shape
    draws = torch.rand(4, batch, generator=generator, device=images.device)
    area = scale[0] + (scale[1] - scale[0]) * draws[0]
    aspect = torch.exp(math.log(ratio[0]) + (math.log(ratio[1]) - math.log(ratio[0])) * draws[1])
    sides = torch.stack([torch.sqrt(area * aspect), torch.sqrt(area / aspect)]).clamp_(max=1.0)  # (2, B): width, height
    centres = (2 * draws[2:] - 1) * (1 - sides)  # grid_sample's coordinates: the image spans [-1, 1]
    theta = images.new_zeros((batch, 2, 3), dtype=torch.float32)
    theta[:, 0, 0], theta[:, 1, 1] = sides
    theta[:, 0, 2], theta[:, 1, 2] = centres
    grid = F.affine_grid(theta, [batch, channels, height, width], align_corners=False)
    cut = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return cut.mul_(1 / 255).clamp_(0.0, 1.0)


def colour_jitter(
    images: torch.Tensor,
    brightness: float,
    contrast: float,
    saturation: float,
    generator: torch.Generator,
    share: float = 1.0,
) -> torch.Tensor:
    """Change brightness, then contrast, then (RGB only) saturation of each image by its own random factors.

    Each factor is uniform in [1 - strength, 1 + strength]: brightness scales the values, contrast their distance from
    the image's mean grey, saturation their distance from each pixel's grey.

    Args:
        images: ``(B, C, H, W)`` float32 in [0, 1].
        brightness, contrast, saturation: strengths in [0, 1].
        generator: on the device of ``images``.
        share: share of the images that is changed at all.

    Returns:
        ``(B, C, H, W)`` float32 in [0, 1].
    """
    batch = len(images)
    draws = torch.rand(4, batch, 1, 1, 1, generator=generator, device=images.device)
    spread = 2 * draws[:3] - 1
    for one, strength in zip(spread, (brightness, contrast, saturation), strict=True):
        one.mul_(strength)  # a tensor of the three would be sent to the device, and waited for, in every step
    factors = 1 + spread
    factors = torch.where(draws[3] < share, factors, 1.0)  # (3, B, 1, 1, 1)
    jittered = (images * factors[0]).clamp_(0.0, 1.0)
    mean = _grey(jittered).mean((1, 2, 3), keepdim=True)
    jittered = torch.lerp(mean, jittered, factors[1]).clamp_(0.0, 1.0)
    if images.shape[1] == 3:
        jittered = torch.lerp(_grey(jittered), jittered, factors[2]).clamp_(0.0, 1.0)
    return jittered


def random_grey(images: torch.Tensor, share: float, generator: torch.Generator) -> torch.Tensor:
    """Replace a random ``share`` of the images by their grey version. Shape: ``(B, 3, H, W)`` float → the same."""
    chosen = torch.rand(len(images), generator=generator, device=images.device) < share
    return torch.where(chosen[:, None, None, None], _grey(images), images)


def _grey(images: torch.Tensor) -> torch.Tensor:
    """``(B, C, H, W)`` float → ``(B, 1, H, W)``: luma of RGB, grey images as they are."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.split(1, dim=1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2])


def _crop_offsets(batch: int, pad: int, generator: torch.Generator) -> torch.Tensor:
    """``(2, B)`` int64 in [0, 2·pad]: where each image's window starts in the padded image (row, column)."""
    return torch.randint(2 * pad + 1, (2, batch), generator=generator, device=generator.device)


def _reflected(side: int, pad: int, device: torch.device) -> torch.Tensor:
    """``(side + 2·pad,)``: which row the padded image shows, mirrored at the border without repeating it."""
    positions = torch.arange(-pad, side + pad, device=device).abs_()
    return torch.where(positions < side, positions, 2 * (side - 1) - positions)


def _check_kind(kind: str) -> None:
    if kind not in AUGMENTATIONS:
        raise unknown_name("augmentation", kind, AUGMENTATIONS)
