"""SphereFace: a multiplicative margin on the angle."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from compat_core.config import param
from compat_core.losses.base import LOSSES, CosineLoss, Loss, LossConfig


@dataclass(frozen=True, slots=True)
class SphereFaceConfig(LossConfig):
    """Scale, multiplicative angular margin, and how much of the plain cosine is mixed in."""

    scale: float = param(16.0, "inverse temperature of the cosine logits", low=1.0, high=256.0)
    margin: float = param(4.0, "m, multiplies the true class's angle", low=1.0, high=8.0, paper="4")
    easing: float = param(
        5.0,
        "λ, weight of the plain cos θ against 1 for cos(mθ); 0 = cos(mθ) alone",
        low=0.0,
        high=1e4,
        paper="falls to 5 (released code)",
    )


class SphereFace(CosineLoss):
    """Cross-entropy with ``s · (λ cos θ_y + ψ(θ_y)) / (1 + λ)`` for the true class.

    ``ψ(θ) = (−1)^k cos(mθ) − 2k`` on ``θ ∈ [kπ/m, (k+1)π/m]``: cos(mθ), continued so that it falls from 1 at θ = 0
    to its least value at θ = π.

    Reference: Liu et al. 2017, arXiv 1704.08063, Eq. 7.

    Departs from the paper: the embedding has length 1 and a fixed scale s, where the paper multiplies by ‖n‖; the
    easing λ is constant at the value where the released code's schedule ends; m need not be a whole number.
    """

    recordable = True

    def margin_cosine(self, true_cosine: torch.Tensor) -> torch.Tensor:
        margin, easing = self.config.margin, self.config.easing  # type: ignore[attr-defined]
        # half precision cannot hold 1 − 1e-7, which keeps the arc cosine's gradient finite at cos θ = ±1
        cosine = true_cosine.to(torch.promote_types(true_cosine.dtype, torch.float32))
        angle = margin * torch.acos(cosine.clamp(-1 + 1e-7, 1 - 1e-7))  # mθ
        piece = torch.floor(angle.detach() / math.pi)  # k
        sign = 1 - 2 * torch.remainder(piece, 2)  # (−1)^k
        return (easing * cosine + sign * torch.cos(angle) - 2 * piece) / (1 + easing)


LOSSES.add(
    Loss(
        name="sphereface",
        title="SphereFace (multiplicative angular margin)",
        summary="Normalised softmax whose true class must win with m times its angle.",
        formula=r"-\log\frac{e^{s\psi(\theta_y)}}{e^{s\psi(\theta_y)}+\sum_{j\ne y}e^{s\cos\theta_j}},\;"
        r"\psi(\theta)=\frac{\lambda\cos\theta+(-1)^k\cos(m\theta)-2k}{1+\lambda},\;"
        r"k=\left\lfloor\frac{m\theta}{\pi}\right\rfloor",
        paper="Liu et al. 2017, arXiv 1704.08063",
        config=SphereFaceConfig,
        build=SphereFace,
    )
)
