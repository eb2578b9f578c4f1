"""CosFace: an additive margin on the cosine."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from compat_core.config import param
from compat_core.losses.base import LOSSES, CosineLoss, Loss, LossConfig


@dataclass(frozen=True, slots=True)
class CosFaceConfig(LossConfig):
    """Scale and additive cosine margin; BCT's face runs use 32 and 0.4."""

    scale: float = param(32.0, "inverse temperature of the cosine logits", low=1.0, high=256.0, paper="32 (BCT)")
    margin: float = param(0.4, "taken off the true class's cosine", low=0.0, high=1.0, paper="0.4 (BCT)")


class CosFace(CosineLoss):
    """Cross-entropy with ``s (cos θ_y − m)`` for the true class."""

    recordable = True

    def margin_cosine(self, true_cosine: torch.Tensor) -> torch.Tensor:
        return true_cosine - self.config.margin  # type: ignore[attr-defined]


LOSSES.add(
    Loss(
        name="cosface",
        title="CosFace (additive cosine margin)",
        summary="Normalised softmax whose true class must win by a cosine margin.",
        formula=r"-\log\frac{e^{s(\cos\theta_y-m)}}{e^{s(\cos\theta_y-m)}+\sum_{j\ne y}e^{s\cos\theta_j}}",
        paper="Wang et al. 2018, arXiv 1801.09414",
        config=CosFaceConfig,
        build=CosFace,
    )
)
