"""AdvBCT: a discriminator must not tell new from old embeddings, and each class stays inside an elastic boundary."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from compat_core.config import check_ranges, param
from compat_core.methods.base import METHODS, Context, Method, class_means, equal_dimensions
from compat_core.methods.upgrade import Upgrade
from compat_core.models.embedder import Embedder
from compat_core.training.embedding import Batch, Term
from compat_core.training.seeding import seeded

HIDDEN = 100  # width of the discriminator (code)


@dataclass(frozen=True, slots=True)
class AdvBctConfig:
    """Weights of the two terms, and where radii are drawn to."""

    boundary: float = param(
        1.0, "weight of the boundary term beside the classification loss", low=0.0, high=1e4, paper="1 (code)"
    )
    adversarial: float = param(
        1.0, "weight of the discriminator's loss at the start; it falls linearly", low=0.0, high=1e4, paper="1 (code)"
    )
    threshold: float = param(
        1.0, "T, the distance that radii are drawn towards (unit vectors)", low=0.0, high=2.0, paper="1 (code)"
    )
    seen: str = param(
        "apart",
        "how the discriminator sees new and old vectors: apart, each side's as they are, or unit vectors in one batch",
        choices=("apart", "together"),
        paper="apart (code)",
    )

    def __post_init__(self) -> None:
        check_ranges(self, "advbct")


class AdversarialTerm(Term):
    """``w_a · (E − e + 1)/E · [CE(D(n), new) + CE(D(o), old)] + w_b · mean_outside (‖N(n) − c_y‖ − r_y)``.

    The discriminator D descends its loss; n climbs it, through a gradient reversed with strength
    ``2/(1 + e^{−10p}) − 1``, p the share of training done. The boundary's mean is over the items outside it, with the
    radius ``r_j = R_j + σ(w_j) · (T − R_j)``, w_j learned: between the old radius and T, whichever is larger.

    Args:
        old: the frozen old embedder.
        centres: unit class centres of the old space ``(K, D)``.
        radii: R, largest distance of a class's old embeddings from its centre; 0 leaves a class out ``(K,)``.
        epochs: E.
        config: weights and T.
    """

    centres: torch.Tensor
    radii: torch.Tensor

    def __init__(
        self, old: Embedder, centres: torch.Tensor, radii: torch.Tensor, epochs: int, config: AdvBctConfig
    ) -> None:
        super().__init__()
        self.old, self.epochs, self.config = old, epochs, config
        self.discriminator = nn.Sequential(
            nn.Linear(centres.shape[1], HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2)
        )
        self.elastic = nn.Parameter(torch.empty(len(centres)).uniform_(-1, 1))  # w
        self.register_buffer("centres", centres, persistent=False)
        self.register_buffer("radii", radii, persistent=False)

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            old = self.old(batch.images).float()  # (B, D), of the same augmented views
        new = F.normalize(batch.emb)
        seen_new, seen_old = (batch.emb, old) if self.config.seen == "apart" else (new, F.normalize(old))
        epoch = int(batch.progress * self.epochs + 1e-6) + 1  # e = 1 … E: the weight falls from 1 to 1/E
        fading = (self.epochs - epoch + 1) / self.epochs
        return {
            "adversarial": self.config.adversarial * fading * self.adversarial(seen_new, seen_old, batch.progress),
            "boundary": self.config.boundary * self.boundary(new, batch.labels),
        }

    def adversarial(self, new: torch.Tensor, old: torch.Tensor, progress: float) -> torch.Tensor:
        """The discriminator's loss on vectors ``(B, D)`` each, with the gradient of ``new`` reversed."""
        strength = 2 / (1 + math.exp(-10 * progress)) - 1
        reversed_new = (1 + strength) * new.detach() - strength * new  # the value of new, −strength times its gradient
        if self.config.seen == "apart":
            answers = torch.cat([self.discriminator(reversed_new), self.discriminator(old)]).float()
        else:  # one pass over both: apart, each side's own batch norm hides a difference of their means
            answers = self.discriminator(torch.cat([reversed_new, old])).float()  # (2B, 2)
        truth = torch.arange(2, device=new.device).repeat_interleave(len(new))
        return 2 * F.cross_entropy(answers, truth)  # the sum of two means

    def boundary(self, new: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """How far unit vectors ``(B, D)`` lie outside their class's radius, mean over those that do."""
        radii = self.radii + torch.sigmoid(self.elastic) * (self.config.threshold - self.radii)
        distance = torch.linalg.vector_norm(new - self.centres[labels], dim=1)
        outside = F.relu(distance - radii[labels]) * (self.radii[labels] > 0)
        return outside.sum() / (outside > 0).sum().clamp_min(1)


def class_radii(emb: torch.Tensor, labels: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """Largest distance of each class's unit vectors from its centre, outliers left out, R.

    An outlier lies more than 1.5 interquartile ranges above the third quartile of its class.

    Args:
        emb: ``(N, D)``.
        labels: ``(N,)``.
        centres: unit rows ``(K, D)``.

    Returns:
        ``(K,)`` in [0, 2]; 0 for a class with fewer than two items.
    """
    distance = torch.linalg.vector_norm(F.normalize(emb) - centres[labels], dim=1)
    radii = torch.zeros(len(centres), device=emb.device)
    for label in range(len(centres)):
        own = distance[labels == label]
        if len(own) > 1:
            low, high = torch.quantile(own, torch.tensor([0.25, 0.75], device=own.device))
            radii[label] = own[own <= high + 1.5 * (high - low)].max()
    return radii


def fit(context: Context, config: AdvBctConfig) -> Upgrade:
    """Train a new model with both terms. Raises CompatError when the dimensions differ."""
    equal_dimensions(context.setting, config)  # one discriminator sees both embeddings
    images = context.train_images
    centres = class_means(context.old_emb(), images.labels, images.num_classes, normalise=True)
    radii = class_radii(context.old_emb(), images.labels, centres)
    with seeded(context.seed, "advbct", "init"):
        term = AdversarialTerm(context.old.embedder, centres, radii, context.new_config.train.epochs, config)
    return Upgrade(context.old.embedder, context.train_new(term.to(context.device)).embedder)


METHODS.add(
    Method(
        name="advbct",
        title="AdvBCT (adversarial, elastic boundary)",
        family="backward-compatible training",
        summary="A discriminator must not tell new from old vectors, and each class keeps within a learned radius.",
        paper="Pan et al. 2023, arXiv 2305.02610",
        formula=r"\max_n\min_D\mathcal L_D(n,o)+\overline{[\lVert N(n)-c_y\rVert-r_y]_+},\;"
        r"r_y=R_y+\sigma(w_y)(T-R_y)",
        config=AdvBctConfig,
        needs=("labels", "old model at training time", "equal dimensions"),
        departs=(
            "Radii come from the old embeddings of the new training set. As in the released code, the discriminator is "
            "fed each side's vectors apart, so that its batch norm hides where a side lies; with seen=together it sees "
            "that, and the new model pays for it (docs/reproduction.md)."
        ),
        fit=fit,
        accepts=equal_dimensions,
    )
)
