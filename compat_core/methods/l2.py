"""ℓ2 regression onto the old embedding, the obvious idea that does not work."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from compat_core.config import check_ranges, param
from compat_core.methods.base import METHODS, Context, Method, equal_dimensions
from compat_core.methods.upgrade import Upgrade
from compat_core.models.embedder import Embedder
from compat_core.training.embedding import Batch, Term


@dataclass(frozen=True, slots=True)
class L2Config:
    """Weight of the distance term."""

    weight: float = param(1.0, "λ, weight of ½‖n − o‖² beside the classification loss", low=0.0, high=1e4)

    def __post_init__(self) -> None:
        check_ranges(self, "l2")


class L2Term(Term):
    """``λ · mean ½‖n − o‖²`` over the batch's items that the old model was trained on.

    Args:
        old: the frozen old embedder.
        seen: True for training items of the old model ``(N,)``.
        weight: λ.
    """

    seen: torch.Tensor

    def __init__(self, old: Embedder, seen: torch.Tensor, weight: float) -> None:
        super().__init__()
        self.old = old
        self.weight = weight
        self.register_buffer("seen", seen, persistent=False)

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        chosen = torch.nonzero(self.seen[batch.indices])[:, 0]
        if not len(chosen):
            return {"l2": batch.emb.new_zeros(())}
        with torch.no_grad():
            old_emb = self.old(batch.images[chosen]).float()  # (B', D), of the same augmented views
        distance = 0.5 * (batch.emb[chosen] - old_emb).square().sum(1)
        return {"l2": self.weight * distance.mean()}


def fit(context: Context, config: L2Config) -> Upgrade:
    """Train a new model with the distance term. Raises CompatError when the dimensions differ."""
    equal_dimensions(context.setting, config)
    seen = torch.zeros(len(context.train_images), dtype=torch.bool, device=context.device)
    seen[context.old_indices] = True
    model = context.train_new(L2Term(context.old.embedder, seen, config.weight))
    return Upgrade(context.old.embedder, model.embedder)


METHODS.add(
    Method(
        name="l2",
        title="ℓ2 regression",
        family="backward-compatible training",
        summary="Pulls every new embedding onto its old one; reported not to reach compatibility.",
        paper="baseline of Shen et al. 2020, arXiv 2003.11942, Eq. 3",
        formula=r"\mathcal L_{\mathrm{new}}+\lambda\,\tfrac12\lVert n-o\rVert^2",
        config=L2Config,
        needs=("labels", "old model at training time", "equal dimensions"),
        departs="The paper gives no λ; ours is a field, 1 by default.",
        fit=fit,
        accepts=equal_dimensions,
    )
)
