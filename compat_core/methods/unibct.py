"""UniBCT's loss: ArcFace classification of new embeddings against fixed old prototypes of every class."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from compat_core.config import check_ranges, param
from compat_core.losses.arcface import ArcFace, ArcFaceConfig
from compat_core.losses.base import ClassificationLoss
from compat_core.methods.base import METHODS, Context, Method, class_means
from compat_core.methods.bct import InfluenceTerm
from compat_core.methods.upgrade import Upgrade


@dataclass(frozen=True, slots=True)
class UniBctConfig:
    """Weight, scale and margin of the classification against prototypes."""

    weight: float = param(1.0, "λ, weight beside the classification loss", low=0.0, high=1e4, paper="1 (AdvBCT's port)")
    scale: float = param(
        30.0, "inverse temperature of the cosine logits", low=1.0, high=256.0, paper="30 (AdvBCT's port)"
    )
    margin: float = param(
        0.3, "added to the true class's angle", unit="rad", low=0.0, high=1.5, paper="0.3 (AdvBCT's port)"
    )

    def __post_init__(self) -> None:
        check_ranges(self, "unibct")


def prototype_head(context: Context, config: UniBctConfig) -> ClassificationLoss:
    """A frozen ArcFace classifier whose rows are the unit mean old embedding of every class ``(K, D_old)``."""
    images = context.train_images
    prototypes = class_means(context.old_emb(), images.labels, images.num_classes, normalise=True)
    made = ArcFace(prototypes.shape[1], len(prototypes), ArcFaceConfig(scale=config.scale, margin=config.margin))
    return made.with_rows(prototypes)


def fit(context: Context, config: UniBctConfig) -> Upgrade:
    """Train a new model that the old prototypes classify."""
    rows = torch.arange(context.train_images.num_classes, device=context.device)
    term = InfluenceTerm(prototype_head(context, config), rows, config.weight)
    return Upgrade(context.old.embedder, context.train_new(term).embedder)


METHODS.add(
    Method(
        name="unibct",
        title="UniBCT (plain prototypes)",
        family="backward-compatible training",
        summary="New embeddings are classified, with a margin, by the mean old embedding of every class, old or new.",
        paper="Zhang et al. 2022, arXiv 2203.01583",
        formula=r"\mathcal L_{\mathrm{new}}+\lambda\,\mathrm{ArcFace}(n,y;\;W_j=c_j)",
        config=UniBctConfig,
        needs=("labels", "old embeddings of the new training set"),
        departs=(
            "The paper refines the prototypes over a graph of neighbouring images, which matters where labels or the "
            "old model are poor; ours are plain class means. Scale, margin and weight are those of AdvBCT's port, "
            "which uses old classes only; here every class of the new training set has a prototype, as in the paper."
        ),
        fit=fit,
    )
)
