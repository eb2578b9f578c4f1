"""Contrastive pair loss, beside a classification loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from compat_core.config import param
from compat_core.losses.base import LOSSES, Loss
from compat_core.losses.joint import JointConfig, PairLoss


@dataclass(frozen=True, slots=True)
class ContrastiveConfig(JointConfig):
    """Distance beyond which a negative pair is left alone."""

    weight: float = param(
        1.0, "weight of the pair term; classification weighs 1", low=0.0, high=1e4, paper="pair term alone"
    )
    margin: float = param(1.0, "m, distance that images of two classes must keep", low=0.0, high=100.0)


class ContrastiveLoss(PairLoss):
    """``classification + weight · (mean_positive ½d² + mean_negative ½[m − d]₊²)`` over the pairs of a batch.

    ``d`` is the Euclidean distance. A batch without a negative pair has only the first mean; one without a positive
    pair has neither.

    Reference: Hadsell et al. 2006, CVPR, Eq. 4.

    Departs from the paper: added to a classification loss, whose rows serve as the frozen classifier of
    backward-compatible methods; all pairs of a batch, not a fixed list of pairs; positive and negative pairs are
    averaged apart, not summed together, since a batch of K classes holds about K − 1 times more negative pairs; by
    default on embeddings of length 1.
    """

    config: ContrastiveConfig

    def pair_term(self, distances: torch.Tensor, same: torch.Tensor, different: torch.Tensor) -> torch.Tensor:
        pulled = 0.5 * distances[same].square().mean()
        if not different.any():
            return pulled
        return pulled + 0.5 * F.relu(self.config.margin - distances[different]).square().mean()


LOSSES.add(
    Loss(
        name="contrastive",
        title="Contrastive pairs + softmax",
        summary="Classification, and pairs of a class are drawn together, others pushed a margin apart.",
        formula=r"\mathcal L_{\mathrm{softmax}}+w\left(\operatorname{mean}_{y_i=y_j}\tfrac12 d_{ij}^2"
        r"+\operatorname{mean}_{y_i\ne y_j}\tfrac12[m-d_{ij}]_+^2\right),\;d_{ij}=\lVert n_i-n_j\rVert",
        paper="Hadsell et al. 2006, CVPR, doi 10.1109/CVPR.2006.100",
        config=ContrastiveConfig,
        build=ContrastiveLoss,
    )
)
