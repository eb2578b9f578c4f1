"""LCE's third setting: two existing, frozen models, and a map between them learned from class centres."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from compat_core.config import check_ranges, param
from compat_core.methods.base import METHODS, Context, Method, class_means, only_cosine
from compat_core.methods.fct import MapTraining, stored_views
from compat_core.methods.lce import class_bounds
from compat_core.methods.lce_transformed import make_upgrade
from compat_core.methods.upgrade import Upgrade
from compat_core.models.residual_transformation import ResidualTransformation
from compat_core.training.config import TrainConfig
from compat_core.training.loop import train
from compat_core.training.seeding import seeded


@dataclass(frozen=True, slots=True)
class CrossModelConfig:
    """Which way vectors are mapped, and the training of the map on stored embeddings."""

    manner: str = param(
        "forward",
        "forward: the old gallery is mapped into the new space; backward: queries are mapped into the old space",
        choices=("forward", "backward"),
    )
    align: float = param(10.0, "weight of the alignment of mapped centres", low=0.0, high=1e4)
    boundary: float = param(1.0, "weight of the boundary term on mapped embeddings", low=0.0, high=1e4, paper="1")
    blocks: int = param(4, "residual blocks of the map", unit="blocks", low=0, high=32, paper="4 (code)")
    epochs: int = param(30, "passes over the stored embeddings", unit="epochs", low=1, high=10_000)
    batch_size: int = param(128, "embeddings per step", unit="embeddings", low=2, high=65_536)
    lr: float = param(3e-3, "peak learning rate", low=0.0, high=10.0)
    weight_decay: float = param(5e-4, "weight decay", low=0.0, high=1.0)
    views: int = param(2, "augmented views of each image embedded beside the plain one", unit="views", low=0, high=64)

    def __post_init__(self) -> None:
        check_ranges(self, "lce-cross")


class CentreMapTraining(MapTraining):
    """``λ_a · mean_j ‖N(T(c_j)) − c'_j‖² + λ_b · mean_i max(0, β_{y_i} − cos(T(N(x_i)), c'_{y_i}))``.

    ``c`` are unit class centres of the source space, ``c'`` of the target space, β the worst cosine of a class's own
    target embeddings with its centre.

    Args:
        transformation: T, source → target.
        source, target: stored embeddings ``(V, N, D_source)``, ``(V, N, D_target)``; the plain view comes first.
        labels: ``(N,)`` in [0, num_classes).
        num_classes: K.
        config: weights.
    """

    def __init__(
        self,
        transformation: ResidualTransformation,
        source: torch.Tensor,
        target: torch.Tensor,
        labels: torch.Tensor,
        num_classes: int,
        config: CrossModelConfig,
    ) -> None:
        super().__init__(transformation, source, source, target, bn_eval_at=1.0)
        self.labels, self.config = labels, config
        self.source_centres = class_means(source[0], labels, num_classes, normalise=True)  # (K, D_source)
        self.target_centres = class_means(target[0], labels, num_classes, normalise=True)  # (K, D_target)
        self.bounds = class_bounds(target[0], labels, self.target_centres)  # (K,)

    def losses(self, indices: torch.Tensor, stream: torch.Generator, progress: float) -> dict[str, torch.Tensor]:
        """Alignment of all centres, and the boundary of one batch."""
        labels, centres = self.labels[indices], self.target_centres
        # centres and embeddings in one pass: the batch norm's statistics are then of what a gallery looks like
        inputs = torch.cat([self.source_centres, F.normalize(self.rows(self.old, indices))])
        mapped_centres, mapped = F.normalize(self.module(inputs).float()).split([len(centres), len(indices)])
        align = (mapped_centres - centres).square().sum(1).mean()
        cosine = (mapped * centres[labels]).sum(1)
        outside = F.relu(self.bounds[labels] - cosine).mean()
        parts = {"align": self.config.align * align, "boundary": self.config.boundary * outside}
        return {"total": parts["align"] + parts["boundary"], **parts}


def fit(context: Context, config: CrossModelConfig) -> Upgrade:
    """Embed the training set with both frozen models, then train the one map that the manner needs."""
    images = context.train_images
    old, new = context.old.embedder, context.paragon.embedder
    views = 0 if context.augment == "none" else config.views
    old_emb, new_emb = stored_views(context, {"old": old, "new": new}, views)
    forward = config.manner == "forward"
    source, target = (old_emb, new_emb) if forward else (new_emb, old_emb)
    with seeded(context.seed, "lce-cross", "init"):
        net = ResidualTransformation(source.shape[-1], target.shape[-1], config.blocks, config.manner)
    schedule = TrainConfig(
        epochs=config.epochs, batch_size=config.batch_size, lr=config.lr, weight_decay=config.weight_decay
    )
    training = CentreMapTraining(net, source, target, images.labels, images.num_classes, config)
    train(training, schedule, context.step("map", 0.6, 1.0))
    return make_upgrade(old, new, map=net.eval())


METHODS.add(
    Method(
        name="lce-cross",
        title="LCE cross-model (both models frozen)",
        family="forward transformation",
        summary="Two finished models stay as they are; a map between them is learned from their class centres.",
        paper="Meng et al. 2021, arXiv 2108.01958",
        formula=r"\lambda_a\overline{\lVert N(T(c_j))-c'_j\rVert^2}"
        r"+\lambda_b\overline{[\beta'_{y}-\cos(T(x),c'_{y})]_+}",
        config=CrossModelConfig,
        needs=("labels", "embeddings of the training set by both models"),
        departs=(
            "Only the map that the manner uses is trained: with both models frozen, the two directions share nothing. "
            "Class centres of both models stand in for classifier rows, so either model may come without its "
            "classifier. The paper gives no schedule for this setting; ours are fields."
        ),
        fit=fit,
        accepts=only_cosine,
        upgrade=make_upgrade,
    )
)
