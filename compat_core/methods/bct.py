"""BCT: the new embedding must also be classified by the frozen old classifier; β, β-sys and β-kd."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from compat_core.config import check_ranges, param
from compat_core.losses.base import ClassificationLoss
from compat_core.methods.base import METHODS, Context, Method
from compat_core.methods.distillation import distillation
from compat_core.methods.upgrade import Upgrade, match_dim
from compat_core.models.embedder import Embedder
from compat_core.training.embedding import Batch, Term

PAPER = "Shen et al. 2020, arXiv 2003.11942"
NEEDS = ("labels", "old model at training time", "old classifier")


@dataclass(frozen=True, slots=True)
class BctConfig:
    """Weight of the influence loss."""

    weight: float = param(1.0, "λ, weight of the influence loss", low=0.0, high=1e4, paper="1 (openBCT)")

    def __post_init__(self) -> None:
        check_ranges(self, "bct")


@dataclass(frozen=True, slots=True)
class BctSysConfig(BctConfig):
    """How the classifier rows of unseen classes are synthesised."""

    rows: str = param("new", "which rows are mean old embeddings: those of new classes, or all", choices=("new", "all"))
    normalise_rows: bool = param(
        False,
        "give synthesised rows the mean norm of the old classifier's rows (only matters for un-normalised losses)",
    )


@dataclass(frozen=True, slots=True)
class BctKdConfig(BctConfig):
    """Temperature of the soft targets for new classes."""

    temperature: float = param(
        0.0,
        "softens the old classifier's logits; 0 = the old loss's scale",
        low=0.0,
        high=1000.0,
        paper="32, the scale",
    )


class InfluenceTerm(Term):
    """``λ · CE(κ(n), y)`` over the items whose class has a row in the frozen classifier κ.

    Args:
        head: the frozen classifier, ``(B, D_old)`` → logits.
        rows: for every class its row in ``head``, or -1 ``(K,)``.
        weight: λ.
    """

    rows: torch.Tensor

    def __init__(self, head: ClassificationLoss, rows: torch.Tensor, weight: float) -> None:
        super().__init__()
        self.head = head.requires_grad_(False)
        self.weight = weight
        self.all_known = bool((rows >= 0).all())
        self.recordable = self.all_known and head.recordable
        self.register_buffer("rows", rows, persistent=False)

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        rows = self.rows[batch.labels]
        emb = match_dim(batch.emb, self.head.weight.shape[1])
        if self.all_known:  # no need to choose, which a GPU would have to be waited for
            return {"influence": self.weight * self.head(emb, rows)}
        known = torch.nonzero(rows >= 0)[:, 0]
        losses = self.head(emb[known], rows[known]) if len(known) else emb.sum() * 0  # a mean over the known items
        return {"influence": self.weight * losses}


class DistilledInfluenceTerm(InfluenceTerm):
    """β-kd: the influence loss on known classes, soft targets ``κ_old(o)`` on the others; a mean over all items."""

    def __init__(
        self, head: ClassificationLoss, rows: torch.Tensor, weight: float, old: Embedder, temperature: float
    ) -> None:
        super().__init__(head, rows, weight)
        self.old, self.temperature = old, temperature

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        if self.all_known:
            return super().forward(batch)
        unknown = self.rows[batch.labels] < 0
        parts = {name: value * (~unknown).float().mean() for name, value in super().forward(batch).items()}
        chosen = torch.nonzero(unknown)[:, 0]
        if len(chosen):
            with torch.no_grad():
                old_emb = self.old(batch.images[chosen]).float()
            new_emb = match_dim(batch.emb[chosen], old_emb.shape[1])
            soft = distillation(self.head, new_emb, old_emb, self.temperature)
            parts["distillation"] = self.weight * unknown.float().mean() * soft
        return parts


def synthesised_head(context: Context, config: BctSysConfig) -> tuple[ClassificationLoss, torch.Tensor]:
    """The old classifier joined by mean old embeddings as rows of unseen classes: κ_sys.

    Returns:
        the frozen head over all K classes, and the identity row index ``(K,)``.
    """
    old_head = context.old.head
    known = context.old_position() >= 0  # (K,)
    means = context.old_centres()  # (K, D_old)
    if config.normalise_rows:
        means = F.normalize(means) * old_head.weight.norm(dim=1).mean()
    order = torch.cat([context.old.classes, torch.nonzero(~known)[:, 0]])  # class of each row: old rows first
    old_rows = old_head.weight if config.rows == "new" else means[context.old.classes]
    head = old_head.with_rows(torch.cat([old_rows, means[~known]]).detach())
    return head, torch.argsort(order)


def fit_bct(context: Context, config: BctConfig) -> Upgrade:
    """Train a new model under the influence of the old classifier; new classes are skipped (β)."""
    term = InfluenceTerm(context.old.head, context.old_position(), config.weight)
    return Upgrade(context.old.embedder, context.train_new(term).embedder)


def fit_sys(context: Context, config: BctSysConfig) -> Upgrade:
    """The same with synthesised classifier rows for new classes (β-sys)."""
    term = InfluenceTerm(*synthesised_head(context, config), config.weight)
    return Upgrade(context.old.embedder, context.train_new(term).embedder)


def fit_kd(context: Context, config: BctKdConfig) -> Upgrade:
    """The same with the old model's soft answers as targets for new classes (β-kd)."""
    head = context.old.head
    temperature = config.temperature or getattr(head, "scale", 1.0)
    term = DistilledInfluenceTerm(head, context.old_position(), config.weight, context.old.embedder, temperature)
    return Upgrade(context.old.embedder, context.train_new(term).embedder)


METHODS.add(
    Method(
        name="bct",
        title="BCT (β)",
        family="backward-compatible training",
        summary="New embeddings must also satisfy the frozen old classifier, on the classes it knows.",
        paper=f"{PAPER}, Eq. 6",
        formula=r"\mathcal L_{\mathrm{new}}+\lambda\,\mathrm{CE}(\kappa_{\mathrm{old}}(n),y),\; y\in\mathrm{old}",
        config=BctConfig,
        needs=NEEDS,
        departs="The paper gives no λ; 1 on a mean over the items of old classes, as in its released code.",
        fit=fit_bct,
    )
)
METHODS.add(
    Method(
        name="bct-sys",
        title="BCT (β-sys)",
        family="backward-compatible training",
        summary="BCT on all classes: rows of new classes are the mean old embeddings of their images.",
        paper=f"{PAPER}, section 3.4",
        formula=r"\mathcal L_{\mathrm{new}}+\lambda\,\mathrm{CE}([\kappa_{\mathrm{old}};\bar o_j](n),y)",
        config=BctSysConfig,
        needs=NEEDS,
        departs="rows=new is the paper's, rows=all its released code's.",
        fit=fit_sys,
    )
)
METHODS.add(
    Method(
        name="bct-kd",
        title="BCT (β-kd)",
        family="backward-compatible training",
        summary="BCT on old classes; on new classes the old classifier's soft answers are distilled.",
        paper=f"{PAPER}, section 3.4",
        formula=r"\beta+\lambda\,T^2\,\mathrm{KL}(\kappa_{\mathrm{old}}(o)/T\,\Vert\,\kappa_{\mathrm{old}}(n)/T)",
        config=BctKdConfig,
        needs=NEEDS,
        departs="The temperature defaults to the old loss's scale (the paper's 32 is the scale of its margin softmax).",
        fit=fit_kd,
    )
)
