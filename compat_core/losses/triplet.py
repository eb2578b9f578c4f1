"""Batch-hard triplet loss, beside a classification loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from compat_core.config import param
from compat_core.losses.base import LOSSES, Loss
from compat_core.losses.joint import JointConfig, PairLoss


@dataclass(frozen=True, slots=True)
class TripletConfig(JointConfig):
    """Margin between the hardest positive and the hardest negative."""

    weight: float = param(
        1.0, "weight of the triplet term; classification weighs 1", low=0.0, high=1e4, paper="triplet term alone"
    )
    margin: float = param(
        0.3, "m, how much nearer the farthest positive must be", low=0.0, high=10.0, paper="0.1, 0.2, 0.5 and 1 tried"
    )
    soft: bool = param(
        False, "log(1 + eˣ) instead of max(0, x); the paper's soft margin is this with m = 0", paper="true is best"
    )


class TripletLoss(PairLoss):
    """``classification + weight · mean_a [m + max_p d(a, p) − min_n d(a, n)]₊``.

    ``d`` is the Euclidean distance, p runs over the batch's other images of the anchor's class, n over those of other
    classes. Anchors without a positive are left out of the mean; a batch without positives or without negatives gives
    zero.

    Reference: Hermans et al. 2017, arXiv 1703.07737, Eq. 5.

    Departs from the paper: added to a classification loss, whose rows serve as the frozen classifier of
    backward-compatible methods; random batches, not P classes of K images each; a mean over anchors, not a sum; by
    default on embeddings of length 1 with a hard margin.
    """

    config: TripletConfig

    def pair_term(self, distances: torch.Tensor, same: torch.Tensor, different: torch.Tensor) -> torch.Tensor:
        if not different.any():  # every image is of one class: nothing to be nearer than
            return distances.sum() * 0
        anchors = same.any(dim=1)  # (B,); each has a negative, or none would
        farthest = distances.masked_fill(~same, -torch.inf).amax(dim=1)[anchors]
        nearest = distances.masked_fill(~different, torch.inf).amin(dim=1)[anchors]
        short_of = self.config.margin + farthest - nearest
        return (F.softplus(short_of) if self.config.soft else F.relu(short_of)).mean()


LOSSES.add(
    Loss(
        name="triplet",
        title="Batch-hard triplet + softmax",
        summary="Classification, and each image's farthest positive must be nearer than its nearest negative.",
        formula=r"\mathcal L_{\mathrm{softmax}}+w\left[m+\max_{p:y_p=y}\lVert n-n_p\rVert"
        r"-\min_{q:y_q\ne y}\lVert n-n_q\rVert\right]_+",
        paper="Hermans et al. 2017, arXiv 1703.07737",
        config=TripletConfig,
        build=TripletLoss,
    )
)
