"""Learning without Forgetting as a compatibility baseline."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from compat_core.config import check_ranges, param
from compat_core.methods.base import METHODS, Context, Method
from compat_core.methods.distillation import distillation
from compat_core.methods.upgrade import Upgrade, match_dim
from compat_core.training.embedding import Batch, Term


@dataclass(frozen=True, slots=True)
class LwfConfig:
    """Weight and temperature of the distillation."""

    weight: float = param(1.0, "λ, weight of the distillation beside the classification loss", low=0.0, high=1e4)
    temperature: float = param(2.0, "softens the old classifier's outputs", low=0.01, high=1000.0, paper="2 (LwF)")

    def __post_init__(self) -> None:
        check_ranges(self, "lwf")


class LwfTerm(Term):
    """Distils ``κ_old(o)`` into ``κ_old(n)`` on the items the old model was not trained on.

    Args:
        context: gives the frozen old embedder and classifier.
        config: weight and temperature.
    """

    unseen: torch.Tensor

    def __init__(self, context: Context, config: LwfConfig) -> None:
        super().__init__()
        self.old, self.head, self.config = context.old.embedder, context.old.head, config
        unseen = torch.ones(len(context.train_images), dtype=torch.bool, device=context.device)
        unseen[context.old_indices] = False
        self.register_buffer("unseen", unseen, persistent=False)

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        chosen = torch.nonzero(self.unseen[batch.indices])[:, 0]
        if not len(chosen):
            return {"lwf": batch.emb.new_zeros(())}
        with torch.no_grad():
            old_emb = self.old(batch.images[chosen]).float()
        new_emb = match_dim(batch.emb[chosen], old_emb.shape[1])
        return {"lwf": self.config.weight * distillation(self.head, new_emb, old_emb, self.config.temperature)}


def fit(context: Context, config: LwfConfig) -> Upgrade:
    """Train a new model with the distillation term."""
    model = context.train_new(LwfTerm(context, config))
    return Upgrade(context.old.embedder, model.embedder)


METHODS.add(
    Method(
        name="lwf",
        title="LwF (distillation)",
        family="backward-compatible training",
        summary="Keeps the old classifier's soft answers on images the old model never saw.",
        paper="Li & Hoiem 2016, arXiv 1606.09282; baseline of BCT, arXiv 2003.11942",
        formula=r"\mathcal L_{\mathrm{new}}+\lambda\,\mathrm{CE}(\kappa_{\mathrm{old}}(n),\kappa_{\mathrm{old}}(o))",
        config=LwfConfig,
        needs=("labels", "old model at training time", "old classifier"),
        departs="BCT gives neither λ nor temperature: λ = 1, temperature 2 as in LwF.",
        fit=fit,
    )
)
