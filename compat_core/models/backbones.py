"""Backbones behind one face: ``build(channels, image_size, pretrained)`` gives a feature extractor and its width.

torchvision's networks expect 224 px photographs. For images up to 64 px their stem (stride 2 and a max-pool, or a
4×4 patch layer) throws most of the picture away, so it is replaced by a 3×3 convolution with stride 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from compat_core.errors import CompatError
from compat_core.models.tiny_conv import TinyConv
from compat_core.registry import Registry

SMALL_IMAGE_PX = 64

Built = tuple[nn.Module, int]


@dataclass(frozen=True, slots=True)
class Backbone:
    """Registry entry of a backbone; ``build`` returns the module and its feature width F (output ``(B, F)``).

    ``fusable`` says that its forward pass is the same chain of modules whatever it is given, and that what it adds up
    has one shape: frozen copies of it may then be rewritten (:mod:`compat_core.models.fused`).
    """

    name: str
    title: str
    summary: str
    min_image_px: int
    build: Callable[[int, int, bool], Built]
    fusable: bool = False


BACKBONES: Registry[Backbone] = Registry("backbone")


def check_image_size(arch: str, image_px: int) -> None:
    """Raise CompatError when images with a side of ``image_px`` pixels are too small for the backbone ``arch``."""
    smallest = BACKBONES.get(arch).min_image_px
    if image_px >= smallest:
        return
    others = [entry.name for entry in BACKBONES if entry.min_image_px <= image_px]
    raise CompatError(
        "arch",
        value=arch,
        rule=f"needs images of at least {smallest} px, these have {image_px}",
        fix=(f"use {others[0]}, or " if others else "") + f"set data.image_size to {smallest} or more",
    )


def _tiny_conv(channels: int, image_size: int, pretrained: bool) -> Built:
    if pretrained:
        raise CompatError("pretrained", value=True, rule="tiny-conv has no published weights", fix="use a resnet")
    module = TinyConv(channels, image_size)
    return module, module.width


def _networks() -> Any:
    """torchvision's models. Importing them takes a second, so only what builds one does."""
    from torchvision import models

    return models


def _fetch(name: str, weights: str, pretrained: bool) -> Any:
    make = getattr(_networks(), name)
    if not pretrained:
        return make(weights=None)
    try:
        return make(weights=weights)
    except (OSError, RuntimeError) as error:  # URLError is an OSError; a broken file raises RuntimeError
        raise CompatError(
            "pretrained",
            value=name,
            rule=f"torchvision could not fetch the weights ({error})",
            fix="train from scratch, or put the file into torch's hub cache by hand",
        ) from error


def _resnet(name: str) -> Callable[[int, int, bool], Built]:
    def build(channels: int, image_size: int, pretrained: bool) -> Built:
        net = _fetch(name, "IMAGENET1K_V1", pretrained)
        if image_size <= SMALL_IMAGE_PX:
            net.conv1 = nn.Conv2d(channels, 64, 3, stride=1, padding=1, bias=False)
            net.maxpool = nn.Identity()
        elif channels != 3:
            net.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        width = net.fc.in_features
        net.fc = nn.Identity()
        return net, width

    return build


def _mobilenet(channels: int, image_size: int, pretrained: bool) -> Built:
    net = _fetch("mobilenet_v3_small", "IMAGENET1K_V1", pretrained)
    stride = 1 if image_size <= SMALL_IMAGE_PX else 2
    if stride == 1 or channels != 3:
        net.features[0][0] = nn.Conv2d(channels, 16, 3, stride=stride, padding=1, bias=False)
    width = net.classifier[0].in_features
    net.classifier = nn.Identity()
    return net, width


def _convnext(channels: int, image_size: int, pretrained: bool) -> Built:
    net = _fetch("convnext_tiny", "IMAGENET1K_V1", pretrained)
    if image_size <= SMALL_IMAGE_PX:
        net.features[0][0] = nn.Conv2d(channels, 96, 3, stride=1, padding=1)
    elif channels != 3:
        net.features[0][0] = nn.Conv2d(channels, 96, 4, stride=4)
    net.classifier[2] = nn.Identity()  # keeps the final layer norm and the flattening
    return net, 768


def _vit(channels: int, image_size: int, pretrained: bool) -> Built:
    if pretrained and image_size != 224:
        raise CompatError("image_size", value=image_size, rule="vit-b-16's pretrained weights need 224 px")
    if pretrained:
        net = _fetch("vit_b_16", "IMAGENET1K_V1", True)
        patch = 16
    else:
        patch = 4 if image_size <= SMALL_IMAGE_PX else 16
        side = max(patch, image_size // patch * patch)
        net = _networks().VisionTransformer(side, patch, 12, 12, 768, 3072)
    if channels != 3:
        net.conv_proj = nn.Conv2d(channels, 768, patch, stride=patch)
    net.heads = nn.Identity()
    if image_size % patch:
        net = nn.Sequential(_CentreCrop(image_size // patch * patch), net)
    return net, 768


class _CentreCrop(nn.Module):
    """Cuts the middle ``side × side`` pixels, so that the patches of a transformer fit."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        start = (images.shape[-1] - self.side) // 2
        return images[..., start : start + self.side, start : start + self.side]


for _entry in (
    Backbone(
        "tiny-conv",
        "Tiny convnet",
        "Four small convolution stages: minutes on a CPU, for images up to 64 px.",
        8,
        _tiny_conv,
        fusable=True,
    ),
    Backbone("resnet18", "ResNet-18", "torchvision's ResNet-18.", 16, _resnet("resnet18"), fusable=True),
    Backbone("resnet34", "ResNet-34", "torchvision's ResNet-34.", 16, _resnet("resnet34"), fusable=True),
    Backbone("resnet50", "ResNet-50", "torchvision's ResNet-50.", 16, _resnet("resnet50"), fusable=True),
    Backbone("mobilenet-v3", "MobileNetV3 small", "torchvision's MobileNetV3-Small, made for phones.", 16, _mobilenet),
    Backbone("convnext-tiny", "ConvNeXt-T", "torchvision's ConvNeXt-Tiny.", 16, _convnext),
    Backbone("vit-b-16", "ViT-B/16", "torchvision's ViT-B; 4 px patches up to 64 px images, else 16.", 8, _vit),
):
    BACKBONES.add(_entry)
