"""ArcFace: an additive margin on the angle."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from compat_core.config import param
from compat_core.losses.base import LOSSES, CosineLoss, Loss, LossConfig


@dataclass(frozen=True, slots=True)
class ArcFaceConfig(LossConfig):
    """Scale and additive angular margin; LCE's code uses 16 and 0.1."""

    scale: float = param(16.0, "inverse temperature of the cosine logits", low=1.0, high=256.0, paper="16 (LCE code)")
    margin: float = param(0.1, "added to the true class's angle", unit="rad", low=0.0, high=1.5, paper="0.1 (LCE code)")


class ArcFace(CosineLoss):
    """Cross-entropy with ``s · cos(θ_y + m)`` for the true class.

    Past ``θ = π − m`` the cosine would rise again, so the loss continues there as the straight line
    ``cos θ − m sin m``, which keeps it decreasing in θ.
    """

    recordable = True

    def margin_cosine(self, true_cosine: torch.Tensor) -> torch.Tensor:
        margin = self.config.margin  # type: ignore[attr-defined]
        # 1e-7 keeps the square root's gradient finite at cos θ = ±1, also in float32
        sine = (1 - true_cosine.float().square()).clamp_min(1e-7).sqrt()
        shifted = true_cosine * math.cos(margin) - sine * math.sin(margin)  # cos(θ + m)
        beyond = true_cosine <= math.cos(math.pi - margin)
        return torch.where(beyond, true_cosine - margin * math.sin(margin), shifted)


LOSSES.add(
    Loss(
        name="arcface",
        title="ArcFace (additive angular margin)",
        summary="Normalised softmax whose true class must win by an angle.",
        formula=r"-\log\frac{e^{s\cos(\theta_y+m)}}{e^{s\cos(\theta_y+m)}+\sum_{j\ne y}e^{s\cos\theta_j}}",
        paper="Deng et al. 2019, arXiv 1801.07698",
        config=ArcFaceConfig,
        build=ArcFace,
    )
)
