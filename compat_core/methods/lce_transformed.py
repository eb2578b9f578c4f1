"""LCE with a transformation between the two spaces, in its forward and backward manner."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from compat_core.config import check_ranges, param
from compat_core.methods.base import METHODS, Context, Method, class_means, only_cosine
from compat_core.methods.lce import class_bounds
from compat_core.methods.upgrade import Upgrade
from compat_core.models.residual_transformation import ResidualTransformation
from compat_core.training.embedding import Batch, Term
from compat_core.training.seeding import seeded


@dataclass(frozen=True, slots=True)
class LceTransformedConfig:
    """Which way vectors are mapped when searching, and the weights of alignment and boundary."""

    manner: str = param(
        "forward",
        "forward: the old gallery is mapped into the new space; backward: queries are mapped into the old space",
        choices=("forward", "backward"),
    )
    align: float = param(10.0, "weight of the alignment of class rows, both ways", low=0.0, high=1e4)
    boundary: float = param(1.0, "weight of the boundary term on mapped embeddings", low=0.0, high=1e4, paper="1")
    blocks: int = param(4, "residual blocks of each transformation", unit="blocks", low=0, high=32, paper="4 (code)")

    def __post_init__(self) -> None:
        check_ranges(self, "lce-transformed")


class TransformedTerm(Term):
    """``λ_a · ½[mean ‖N(W_j) − N(T_f(c_j))‖² + mean ‖N(T_b(N(W_j))) − c_j‖²] + λ_b · boundary on N(T_b(N(n)))``.

    Args:
        centres: unit class centres of the old space ``(K, D_old)``.
        bounds: worst old cosine of each class ``(K,)``.
        old_emb: the old model's embeddings of the training set ``(N, D_old)``.
        forward_map: T_f, old → new.
        backward_map: T_b, new → old.
        config: weights.
    """

    recordable = True

    centres: torch.Tensor
    bounds: torch.Tensor
    old_emb: torch.Tensor

    def __init__(
        self,
        centres: torch.Tensor,
        bounds: torch.Tensor,
        old_emb: torch.Tensor,
        forward_map: ResidualTransformation,
        backward_map: ResidualTransformation,
        config: LceTransformedConfig,
    ) -> None:
        super().__init__()
        self.forward_map, self.backward_map, self.config = forward_map, backward_map, config
        self.register_buffer("centres", centres, persistent=False)
        self.register_buffer("bounds", bounds, persistent=False)
        self.register_buffer("old_emb", old_emb, persistent=False)

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        rows = F.normalize(batch.head.weight)  # (K, D_new)
        # Centres and items in one pass, on both sides: the maps' batch norm then knows what they will be used on, old
        # rows (T_f) and queries (T_b), which are spread far wider than centres.
        items = F.normalize(self.old_emb[batch.indices])
        to_new = F.normalize(self.forward_map(torch.cat([self.centres, items]))[: len(rows)].float())
        back = self.backward_map(torch.cat([rows, F.normalize(batch.emb)])).float()  # (K + B, D_old)
        to_old, mapped = F.normalize(back).split([len(rows), len(batch.emb)])
        align = 0.5 * ((rows - to_new).square().sum(1).mean() + (to_old - self.centres).square().sum(1).mean())
        cosine = (mapped * self.centres[batch.labels]).sum(1)
        outside = F.relu(self.bounds[batch.labels] - cosine).mean()
        return {"align": self.config.align * align, "boundary": self.config.boundary * outside}


class ForwardUpgrade(Upgrade):
    """The old gallery goes through T_f; queries and backfilled rows are the new model's own."""

    def query(self, new_emb: torch.Tensor) -> torch.Tensor:
        return F.normalize(new_emb)

    def gallery_old(self, old_emb: torch.Tensor, side: torch.Tensor | None = None) -> torch.Tensor:
        return F.normalize(self.parts["map"](F.normalize(old_emb)))


class BackwardUpgrade(Upgrade):
    """Queries and backfilled rows go through T_b into the old space; the old gallery stays as it is."""

    def query(self, new_emb: torch.Tensor) -> torch.Tensor:
        return F.normalize(self.parts["map"](F.normalize(new_emb)))

    def gallery_old(self, old_emb: torch.Tensor, side: torch.Tensor | None = None) -> torch.Tensor:
        return F.normalize(old_emb)

    @property
    def maps_old(self) -> bool:
        """False: only queries and new rows are transformed."""
        return False


def make_upgrade(old, new, **parts) -> Upgrade:  # type: ignore[no-untyped-def]
    """The upgrade of the manner that the saved map was trained for."""
    forward = parts["map"].arguments["role"] == "forward"
    return (ForwardUpgrade if forward else BackwardUpgrade)(old, new, **parts)


def fit(context: Context, config: LceTransformedConfig) -> Upgrade:
    """Train the new model together with both transformations."""
    images = context.train_images
    centres = class_means(context.old_emb(), images.labels, images.num_classes, normalise=True)
    bounds = class_bounds(context.old_emb(), images.labels, centres)
    old_dim, new_dim = context.old_config.dim, context.new_config.dim
    with seeded(context.seed, "lce-transformed", "init"):
        forward_map = ResidualTransformation(old_dim, new_dim, config.blocks, "forward")
        backward_map = ResidualTransformation(new_dim, old_dim, config.blocks, "backward")
    term = TransformedTerm(centres, bounds, context.old_emb(), forward_map, backward_map, config).to(context.device)
    chosen = forward_map if config.manner == "forward" else backward_map
    model = context.train_new(term, functools.partial(make_upgrade, map=chosen))
    return make_upgrade(context.old.embedder, model.embedder, map=chosen.eval())


METHODS.add(
    Method(
        name="lce-transformed",
        title="LCE with transformation",
        family="forward transformation",
        summary="The new model and two maps between the spaces are trained together so that class centres align.",
        paper="Meng et al. 2021, arXiv 2108.01958",
        formula=r"\tfrac12\left(\overline{\lVert N(W)-T_f(c)\rVert^2}+\overline{\lVert T_b(N(W))-c\rVert^2}\right)",
        config=LceTransformedConfig,
        needs=("labels", "old embeddings of the new training set"),
        departs=(
            "Both sides of the alignment, and the embedding before T_b, are normalised, so that the transformations "
            "need not match lengths."
        ),
        fit=fit,
        accepts=only_cosine,
        upgrade=make_upgrade,
    )
)
