"""FastFill: FCT's transformation that also predicts how wrong it is, so that the worst rows are backfilled first."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from compat_core.config import check_ranges, param
from compat_core.losses.base import ClassificationLoss
from compat_core.methods.base import METHODS, Context, Method
from compat_core.methods.fct import FctConfig, FctUpgrade, MapTraining, fit_map
from compat_core.models.transformation import UncertainTransformation


@dataclass(frozen=True, slots=True)
class FastFillConfig(FctConfig):
    """FCT's parameters, and the weight of the class term."""

    class_weight: float = param(
        1.0, "μ, weight of the new classifier's loss on mapped rows", low=0.0, high=1e3, paper="1"
    )
    label_smoothing: float = param(0.1, "of the class term", low=0.0, high=0.9, paper="0.1 (FastFill code)")
    error: str = param(
        "searched",
        "of which vectors the squared error is taken, and so what σ predicts: raw ones, their directions, or what the "
        "run's distance compares",
        choices=("searched", "raw", "directions"),
        paper="raw, searched by l2 (FastFill code)",
    )

    def __post_init__(self) -> None:
        check_ranges(self, "fastfill")


class FastFillUpgrade(FctUpgrade):
    """As FCT; ``uncertainty`` orders the backfill."""

    def gallery_old(self, old_emb: torch.Tensor, side: torch.Tensor | None = None) -> torch.Tensor:
        return self.parts["map"](old_emb, old_emb if side is None else side)[0]

    def uncertainty(self, old_emb: torch.Tensor, side: torch.Tensor | None = None) -> torch.Tensor:
        """Predicted log σ² of each mapped row, larger is worse. Shape: ``(N, D_old)`` → ``(N,)``."""
        return self.parts["map"](old_emb, old_emb if side is None else side)[1]


class UncertainMapTraining(MapTraining):
    """``mean ½ e^{−s} ℓ + ½ s`` with ``ℓ = mean_d (h − n)² / v + μ · CE(κ_new(h), y)`` and ``s = log σ²``.

    v is the mean variance of the new embeddings' dimensions: μ then means the same whatever their length is. With
    ``error="directions"`` h, n and v are those of vectors of length 1.

    Args:
        transformation, old, side, new: as :class:`~compat_core.methods.fct.MapTraining`.
        head: the new model's own classifier κ_new, frozen.
        labels: its labels of the items ``(N,)``.
        config: μ, label smoothing and the batch-norm switch.

    Reference: FastFill, Jaeckle et al. 2023, arXiv 2303.04766, Eq. 5.
    """

    def __init__(
        self,
        transformation: nn.Module,
        old: torch.Tensor,
        side: torch.Tensor,
        new: torch.Tensor,
        head: ClassificationLoss,
        labels: torch.Tensor,
        config: FastFillConfig,
    ) -> None:
        super().__init__(transformation, old, side, new, config.bn_eval_at)
        self.head, self.labels, self.config = head, labels, config
        self.new_variance = self._compared(new[0]).var(dim=0).mean()  # of the plain view

    def losses(self, indices: torch.Tensor, stream: torch.Generator, progress: float) -> dict[str, torch.Tensor]:
        """The uncertainty-weighted error of one batch."""
        mapped, log_variance = self.module(self.rows(self.old, indices), self.rows(self.side, indices))
        gap = self._compared(mapped.float()) - self._compared(self.rows(self.new, indices))
        error = gap.square().mean(1) / self.new_variance
        classes = F.cross_entropy(
            self.head.logits(mapped.float()),
            self.labels[indices],
            reduction="none",
            label_smoothing=self.config.label_smoothing,
        )
        return uncertain_loss(error + self.config.class_weight * classes, log_variance.float()) | {
            "error": error.mean(),
            "classes": classes.mean(),
        }

    def _compared(self, emb: torch.Tensor) -> torch.Tensor:
        return F.normalize(emb) if self.config.error == "directions" else emb


def searched_error(distance: str) -> str:
    """The ``error`` that a search by ``distance`` suffers: a cosine does not see how long a vector is."""
    return "directions" if distance == "cosine" else "raw"


def uncertain_loss(item_loss: torch.Tensor, log_variance: torch.Tensor) -> dict[str, torch.Tensor]:
    """``total = mean ½ e^{−s_i} ℓ_i + ½ s_i``: smallest where σ_i² = ℓ_i, so σ² learns to predict the loss.

    Args:
        item_loss: ℓ ``(B,)``, not negative.
        log_variance: s ``(B,)``.
    """
    return {"total": (0.5 * torch.exp(-log_variance) * item_loss + 0.5 * log_variance).mean()}


def fit(context: Context, config: FastFillConfig) -> FastFillUpgrade:
    """Train ψ on the old data, then h_σ on stored embeddings with the frozen new classifier."""
    if config.error == "searched":
        config = dataclasses.replace(config, error=searched_error(context.distance))
    training = functools.partial(
        UncertainMapTraining, head=context.paragon.head, labels=context.train_images.labels, config=config
    )
    transformation, parts = fit_map(context, config, UncertainTransformation, training)
    return FastFillUpgrade(context.old.embedder, context.paragon.embedder, map=transformation, **parts)


METHODS.add(
    Method(
        name="fastfill",
        title="FastFill (uncertain transformation)",
        family="forward transformation",
        summary="FCT's map with a class term and a predicted uncertainty that says which rows to backfill first.",
        paper="Jaeckle et al. 2023, arXiv 2303.04766",
        formula=r"\tfrac12 e^{-s}\ell+\tfrac12 s,\;\ell=\overline{(h-n)^2}/v+\mu\,\mathrm{CE}(\kappa_{new}(h),y)",
        config=FastFillConfig,
        needs=("labels", "the new model's classifier", "images at fitting time"),
        departs="As FCT: embeddings are stored for a few augmented views instead of being computed in every step. The "
        "squared error is divided by the variance of the new embeddings: the published models' embeddings are long, "
        "those trained by a cosine loss are short, and μ = 1 would leave the class term alone. Under cosine distance "
        "the error is that of directions: the published runs search by l2, where the raw error is what a search "
        "suffers; under cosine the raw error follows the length of a vector, which no search sees, and σ then "
        "backfills long and sure rows first. σ predicts the whole loss, class term included: where that is the larger "
        "part, as for a new model that fits its training data badly, it orders by class difficulty, which no backfill "
        "mends: a smaller μ then maps better and orders better (docs/reproduction.md, Tiny ImageNet).",
        fit=fit,
        upgrade=FastFillUpgrade,
    )
)
