"""Normalised softmax (NormFace): cross-entropy on scaled cosines."""

from __future__ import annotations

from dataclasses import dataclass

from compat_core.config import param
from compat_core.losses.base import LOSSES, CosineLoss, Loss, LossConfig


@dataclass(frozen=True, slots=True)
class NormSoftmaxConfig(LossConfig):
    """Scale of the cosine logits."""

    scale: float = param(16.0, "inverse temperature of the cosine logits", low=1.0, high=256.0)


class NormSoftmax(CosineLoss):
    """``−log softmax(s · cos θ)_y`` with no margin."""

    recordable = True


LOSSES.add(
    Loss(
        name="normsoftmax",
        title="Normalised softmax (NormFace)",
        summary="Embedding and class rows on the unit sphere; only angles count.",
        formula=r"-\log\frac{e^{s\cos\theta_y}}{\sum_j e^{s\cos\theta_j}}",
        paper="Wang et al. 2017, arXiv 1704.06369",
        config=NormSoftmaxConfig,
        build=NormSoftmax,
    )
)
