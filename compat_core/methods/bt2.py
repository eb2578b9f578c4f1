"""BT²: a few extra dimensions and two rotations, so that being compatible costs the new features nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from compat_core.config import check_ranges, param
from compat_core.data.augment import train_augment
from compat_core.data.distant import announced
from compat_core.data.images import ImageSet
from compat_core.losses import ClassificationLoss, build_loss
from compat_core.losses.normsoftmax import NormSoftmax, NormSoftmaxConfig
from compat_core.methods.base import METHODS, Context, Method, Setting, TrainedModel, class_means
from compat_core.methods.upgrade import Upgrade
from compat_core.models.basis_embedder import BasisEmbedder, check_extra
from compat_core.models.embedder import Embedder
from compat_core.training.loop import train
from compat_core.training.seeding import seeded


@dataclass(frozen=True, slots=True)
class Bt2Config:
    """Extra dimensions, the length of the new features, and the weights of three losses."""

    extra: int = param(
        32, "Δ, dimensions added to the new embedding's", unit="dimensions", low=1, high=4096, paper="32 (code)"
    )
    stretch: float = param(2.0, "C, length of the new features beside the old ones' 1", low=0.1, high=100, paper="2")
    match: float = param(1.0, "λ1, weight of matching the independent new model", low=0.0, high=1e4, paper="1 (code)")
    prototypes: float = param(
        10.0, "λ2, weight of classification by old prototypes", low=0.0, high=1e4, paper="10 (code)"
    )
    old: float = param(5.0, "λ3, weight of matching the old embedding", low=0.0, high=1e4, paper="5 (code)")
    scale: float = param(16.0, "inverse temperature of the prototypes' cosine logits", low=1.0, high=256.0)

    def __post_init__(self) -> None:
        check_ranges(self, "bt2")


class BasisTraining:
    """``L_new(φ) + λ1 (1 − cos(φ, n')) + λ2 CE(b; old prototypes) + λ3 (1 − cos(b, o))``, n' the independent new model.

    Args:
        embedder: makes φ and, as its first ``D_old`` components, b.
        head: the new model's classification loss on φ.
        images: training images, on the device.
        augment: kind of augmentation.
        old, free: the frozen old and independent new embedder.
        prototypes: frozen classifier whose rows are mean old embeddings ``(K, D_old)``.
        config: weights.
    """

    def __init__(
        self,
        embedder: BasisEmbedder,
        head: ClassificationLoss,
        images: ImageSet,
        augment: str,
        old: Embedder,
        free: Embedder,
        prototypes: ClassificationLoss,
        config: Bt2Config,
    ) -> None:
        self.module: nn.Module = nn.ModuleDict({"embedder": embedder, "head": head})
        self.num_items = len(images)
        self.embedder, self.head, self.images, self.augment = embedder, head, images, augment
        self.old, self.free, self.prototypes, self.config = old, free, prototypes, config

    def start_epoch(self, epoch: int, epochs: int, batches: Sequence[torch.Tensor]) -> None:
        """Have the images read ahead that are not on the device."""
        announced(self.images.images, batches)

    def recording(self) -> None:
        """A matrix exponential looks at its matrix before it asks for the next product."""

    def losses(self, indices: torch.Tensor, stream: torch.Generator, progress: float) -> dict[str, torch.Tensor]:
        """The four losses of one batch."""
        images = train_augment(self.images.images[indices], self.augment, stream)
        labels = self.images.labels[indices]
        emb, new = self.embedder.features(images)
        back = emb[:, : self.embedder.old_dim]  # b (B, D_old)
        with torch.no_grad():
            old_emb, free_emb = self.old(images).float(), self.free(images).float()
        parts = {
            "classification": self.head(new, labels),
            "match": self.config.match * (1 - F.cosine_similarity(new, free_emb)).mean(),
            "prototypes": self.config.prototypes * self.prototypes(back, labels),
            "old": self.config.old * (1 - F.cosine_similarity(back, old_emb)).mean(),
        }
        return {"total": torch.stack(list(parts.values())).sum(), **parts}


def room_for_both(setting: Setting, config: Bt2Config) -> None:
    """Accepts versions whose old space fits into the new dimensions and Δ more. Raises CompatError for others."""
    check_extra(config.extra, setting.old.dim, setting.new.dim)


def fit(context: Context, config: Bt2Config) -> Upgrade:
    """Train a new model of ``new.dim + extra`` dimensions. Raises CompatError when Δ does not fit the dimensions."""
    new, images = context.new_config, context.train_images
    old, free = context.old.embedder, context.paragon.embedder
    with seeded(context.seed, context.role, "init"):  # backbone and φ start as the paragon's do
        embedder = BasisEmbedder(
            new.arch, new.dim + config.extra, old.dim, new.dim, config.stretch, images.channels, images.size,
            new.pretrained, new.final_relu,
        )  # fmt: skip
        head = build_loss(new.loss, new.dim, images.num_classes)
    centres = class_means(context.old_emb(), images.labels, images.num_classes, normalise=True)
    prototypes = NormSoftmax(old.dim, len(centres), NormSoftmaxConfig(scale=config.scale)).with_rows(centres)
    training = BasisTraining(embedder, head, images, context.augment, old, free, prototypes, config)
    train(training, new.train, dataclasses.replace(context.job, stream=context.role))
    classes = torch.arange(images.num_classes, device=context.device)
    context.trained = TrainedModel(embedder.eval(), head.eval(), classes)  # type: ignore[arg-type]
    return Upgrade(old, embedder)


METHODS.add(
    Method(
        name="bt2",
        title="BT² (basis transformation)",
        family="backward-compatible training",
        summary="Extra dimensions and rotations make room for the old space beside the full new features.",
        paper="Zhou et al. 2023, arXiv 2211.03989",
        formula=r"\mathcal L_{\mathrm{new}}(\varphi)+\lambda_1(1-\cos(\varphi,n'))"
        r"+\lambda_2\mathrm{CE}(b,c)+\lambda_3(1-\cos(b,o))",
        config=Bt2Config,
        needs=("labels", "old model at training time", "independent new model at training time"),
        departs=(
            "The new features are normalised before C stretches them, so that C means the same for every loss. "
            "Rotations are exp(A − Aᵀ). Prototypes are the unit mean old embeddings of every class, with a scale of "
            "our choosing. The embedding is longer than the paragon's, and so is what has to be stored."
        ),
        fit=fit,
        accepts=room_for_both,
    )
)
