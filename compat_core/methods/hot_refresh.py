"""RACT (hot-refresh): contrast with the own old vector, against old *and* new vectors of other classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from compat_core.config import check_ranges, param
from compat_core.methods.base import METHODS, Context, Method
from compat_core.methods.upgrade import Upgrade, match_dim
from compat_core.models.embedder import Embedder
from compat_core.training.embedding import Batch, Term


@dataclass(frozen=True, slots=True)
class HotRefreshConfig:
    """Temperature, and how many of the nearest negatives count."""

    weight: float = param(1.0, "λ, weight beside the classification loss", low=0.0, high=1e4, paper="1 (code)")
    temperature: float = param(0.01, "τ, divides the cosines", low=1e-3, high=10.0, paper="0.01 (code)")
    hardest: int = param(
        10, "nearest negatives that count, of each kind", unit="items", low=1, high=65_536, paper="10 (code)"
    )

    def __post_init__(self) -> None:
        check_ranges(self, "hot-refresh")


def regression_alleviating(
    new_emb: torch.Tensor, old_emb: torch.Tensor, labels: torch.Tensor, temperature: float, hardest: int
) -> torch.Tensor:
    """``−log e^{n_i·o_i/τ} / (e^{n_i·o_i/τ} + Σ_k e^{n_i·o_k/τ} + Σ_k e^{n_i·n_k/τ})``, mean over the batch.

    k runs over the hardest negatives of each kind: the items of other classes whose old, and whose new, vectors are
    nearest. An item without a negative contributes 0.

    Args:
        new_emb: ``(B, D)``, with gradient.
        old_emb: ``(B, D)`` of the same views.
        labels: ``(B,)``.
        temperature: τ.
        hardest: most negatives of each kind.
    """
    with torch.autocast(new_emb.device.type, enabled=False):  # τ = 0.01 turns half precision's error into noise
        new, old = F.normalize(new_emb.float()), F.normalize(old_emb.float())
        same = labels[:, None] == labels[None, :]  # (B, B), the item itself included
        own = (new * old).sum(1, keepdim=True)  # (B, 1)
        others = [(new @ side.T).masked_fill(same, -torch.inf) for side in (old, new)]  # 2 × (B, B)
        count = min(hardest, len(labels))
        logits = torch.cat([own, *(cosine.topk(count, dim=1).values for cosine in others)], dim=1) / temperature
        return F.cross_entropy(logits, torch.zeros_like(labels))


class HotRefreshTerm(Term):
    """λ times :func:`regression_alleviating`, in the space where old and new rows will be searched together.

    Args:
        old: the frozen old embedder.
        dim: dimension of the shared space; the shorter vector is padded with zeros.
        config: λ, τ and the number of negatives.
    """

    recordable = True

    def __init__(self, old: Embedder, dim: int, config: HotRefreshConfig) -> None:
        super().__init__()
        self.old, self.dim, self.config = old, dim, config

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            old_emb = self.old(batch.images).float()  # (B, D_old), of the same augmented views
        new, old = match_dim(batch.emb, self.dim), match_dim(old_emb, self.dim)
        loss = regression_alleviating(new, old, batch.labels, self.config.temperature, self.config.hardest)
        return {"refresh": self.config.weight * loss}


def fit(context: Context, config: HotRefreshConfig) -> Upgrade:
    """Train a new model with the contrastive term."""
    dim = max(context.old.embedder.dim, context.new_config.dim)
    model = context.train_new(HotRefreshTerm(context.old.embedder, dim, config))
    return Upgrade(context.old.embedder, model.embedder)


METHODS.add(
    Method(
        name="hot-refresh",
        title="RACT (hot-refresh)",
        family="backward-compatible training",
        summary="Each new vector must lie nearer its own old vector than any vector of another class, old or new.",
        paper="Zhang et al. 2022, arXiv 2201.09724",
        formula=r"-\log\frac{e^{n_i\cdot o_i/\tau}}{e^{n_i\cdot o_i/\tau}+\sum_k(e^{n_i\cdot o_k/\tau}"
        r"+e^{n_i\cdot n_k/\tau})},\;y_k\ne y_i",
        config=HotRefreshConfig,
        needs=("labels", "old model at training time"),
        departs=(
            "Negatives come from the batch alone. Where the dimensions differ, all vectors are compared in the padded "
            "space of the mixed gallery. Only the training loss is taken over, not the paper's order of backfilling."
        ),
        fit=fit,
    )
)
