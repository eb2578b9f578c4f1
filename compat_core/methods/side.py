"""Side-information ψ(x): what FCT stores beside each old embedding, learned from the OLD training data alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from compat_core.data.augment import contrastive_view, train_augment
from compat_core.data.distant import announced
from compat_core.data.images import ImageSet
from compat_core.losses.base import products
from compat_core.methods.base import Context, train_version
from compat_core.models.autoencoder import Autoencoder
from compat_core.models.embedder import Embedder
from compat_core.training.graphs import Recorded, recordable
from compat_core.training.loop import train
from compat_core.training.seeding import seeded

SIDES = ("none", "autoencoder", "simclr", "alternate")


def train_side(context: Context, kind: str, dim: int, epochs: int, arch: str = "") -> Embedder:
    """An encoder of ``kind`` trained on the images the old model saw.

    Args:
        context: gives the old training images, the old model's architecture and the device.
        kind: ``autoencoder`` or ``simclr``, without labels; ``alternate``, a second supervised model with the old
            model's own loss and schedule, from another initialisation.
        dim: dimension D_side of what is stored.
        epochs: passes over the old training images.
        arch: backbone; empty for the old model's own.
    """
    images = context.old_images
    arch = arch or context.old_config.arch
    if kind == "alternate":
        version = dataclasses.replace(context.old_config, dim=dim, arch=arch)
        version = dataclasses.replace(version, train=dataclasses.replace(version.train, epochs=epochs))
        return train_version(version, images, context.augment, "alternate", context.step("side", 0.0, 0.5)).embedder
    with seeded(context.seed, "side", kind, "init"):
        encoder = Embedder(arch, dim, images.channels, images.size)
        training: SimClrTraining | AutoencoderTraining
        if kind == "simclr":
            training = SimClrTraining(encoder, images, context.augment)
        else:
            training = AutoencoderTraining(encoder, images, context.augment)
    config = dataclasses.replace(context.old_config.train, epochs=epochs)
    train(training, config, context.step("side", 0.0, 0.5))
    return encoder.eval()


class AutoencoderTraining:
    """Mean squared reconstruction error of augmented images."""

    def __init__(self, encoder: Embedder, images: ImageSet, augment: str) -> None:
        self.module: nn.Module = Autoencoder(encoder)
        self.output_of = self.module if recordable(images) else Recorded(self.module)
        self.images, self.augment = images, augment
        self.num_items = len(images)

    def start_epoch(self, epoch: int, epochs: int, batches: Sequence[torch.Tensor]) -> None:
        """Have the images read ahead that are not on the device."""
        announced(self.images.images, batches)

    def recording(self) -> Hashable | None:
        """Nothing but the batch, for small images on the device."""
        return () if recordable(self.images) else None

    def losses(self, indices: torch.Tensor, stream: torch.Generator, progress: float) -> dict[str, torch.Tensor]:
        """The reconstruction error of one batch."""
        images = train_augment(self.images.images[indices], self.augment, stream)
        return {"total": F.mse_loss(self.output_of(images).float(), images)}


class SimClrTraining:
    """SimCLR: two views of an image agree against all other images of the batch.

    A two-layer projection head sits on the encoder during training and is thrown away.

    Reference: Chen et al. 2020, arXiv 2002.05709.
    """

    temperature = 0.5

    def __init__(self, encoder: Embedder, images: ImageSet, augment: str) -> None:
        dim = encoder.dim
        projector = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))
        self.module: nn.Module = nn.Sequential(encoder, projector)
        self.output_of = self.module if recordable(images) else Recorded(self.module)
        self.images, self.augment = images, augment
        self.num_items = len(images)

    def start_epoch(self, epoch: int, epochs: int, batches: Sequence[torch.Tensor]) -> None:
        """Have the images read ahead that are not on the device."""
        announced(self.images.images, batches)

    def recording(self) -> Hashable | None:
        """Nothing but the batch, for small images on the device."""
        return () if recordable(self.images) else None

    def losses(self, indices: torch.Tensor, stream: torch.Generator, progress: float) -> dict[str, torch.Tensor]:
        """NT-Xent of one batch of image pairs."""
        images = self.images.images[indices]
        views = torch.cat([contrastive_view(images, self.augment, stream) for _ in range(2)])
        return {"total": nt_xent(self.output_of(views).float(), self.temperature)}


def nt_xent(emb: torch.Tensor, temperature: float) -> torch.Tensor:
    """Normalised-temperature cross-entropy; rows i and i + B are two views of one image.

    Args:
        emb: ``(2B, D)``.
        temperature: τ > 0.
    """
    unit = F.normalize(emb)
    similarity = products(unit, unit) / temperature  # (2B, 2B)
    similarity = similarity.masked_fill(torch.eye(len(emb), dtype=torch.bool, device=emb.device), -torch.inf)
    partner = torch.arange(len(emb), device=emb.device).roll(len(emb) // 2)
    return F.cross_entropy(similarity, partner)
