"""FastFill's h_σ on stored vectors: a map that also says which rows it is unsure of."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from compat_core.adapters.base import ADAPTERS, Adapter, FitJob
from compat_core.adapters.fct_map import FctMapConfig, TransformationTraining
from compat_core.adapters.labels import NO_CLASS, class_codes
from compat_core.adapters.pairs import Pairs
from compat_core.adapters.statistics import collect
from compat_core.adapters.training import NetworkMap, PairTraining, Rows
from compat_core.config import param
from compat_core.errors import CompatError
from compat_core.methods.fastfill import uncertain_loss
from compat_core.models.transformation import UncertainTransformation
from compat_core.training.seeding import seeded


@dataclass(frozen=True, slots=True)
class FastFillMapConfig(FctMapConfig):
    """FCT's parameters, and the class term."""

    class_weight: float = param(1.0, "μ, weight of the classifier's loss on mapped rows", low=0.0, high=1e3, paper="1")
    label_smoothing: float = param(0.1, "of the class term", low=0.0, high=0.9, paper="0.1 (FastFill code)")


class UncertainMap(NetworkMap, kind="uncertain-map"):
    """``h_σ(x, side)`` between standardised spaces: the mapped row, and log σ² of it.

    Args:
        source_dim, target_dim, side_dim, width, normalise: as :class:`~compat_core.adapters.fct_map.FctMap`.
    """

    def __init__(self, source_dim: int, target_dim: int, side_dim: int, width: int, normalise: bool = False) -> None:
        super().__init__(source_dim, target_dim, side_dim, normalise)
        self.arguments |= {"side_dim": side_dim, "width": width}
        self.transformation = UncertainTransformation(source_dim, side_dim or source_dim, target_dim, width)

    def both(self, source: torch.Tensor, side: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
        """Standardised source to standardised target ``(N, D_target)`` and log σ² ``(N,)``."""
        return self.transformation(source, side if self.side_dim and side is not None else source)

    def network(self, source: torch.Tensor, side: torch.Tensor | None) -> torch.Tensor:
        return self.both(source, side)[0]

    def uncertainty(self, source: torch.Tensor, side: torch.Tensor | None = None) -> torch.Tensor:
        """Predicted log σ² of each mapped row, larger is worse. Shape: ``(N, D_source)`` → ``(N,)``."""
        return self.both(self.standard_source(source), side)[1]


class _HeadTraining(PairTraining):
    """The linear classifier on standardised target rows that stands in for the new model's own head."""

    def __init__(self, net: UncertainMap, head: nn.Linear, *arguments: object) -> None:
        super().__init__(head, *arguments)  # type: ignore[arg-type]
        self.net = net

    def loss(self, rows: Rows) -> dict[str, torch.Tensor]:
        """Cross-entropy of a batch, mean over the rows that have a label."""
        codes = _codes(rows)
        logits = self.module(self.net.standard_target(rows.target))
        total = F.cross_entropy(logits, codes, ignore_index=NO_CLASS, reduction="sum")
        return {"total": total / (codes != NO_CLASS).sum().clamp_min(1)}


class _Training(TransformationTraining):
    """``mean ½ e^{−s} ℓ + ½ s`` with ``ℓ = mean_d (h − y)² + μ · CE(κ(h), label)`` and ``s = log σ²``.

    Where a pair has no label ℓ is its squared error alone.
    """

    module: UncertainMap
    config: FastFillMapConfig
    head: nn.Module

    def loss(self, rows: Rows) -> dict[str, torch.Tensor]:
        """The uncertainty-weighted error of a batch."""
        net = self.module
        mapped, log_variance = net.both(net.standard_source(rows.source), rows.side)
        error = (mapped - net.standard_target(rows.target)).square().mean(1)
        smoothing = self.config.label_smoothing
        classes = F.cross_entropy(
            self.head(mapped), _codes(rows), reduction="none", label_smoothing=smoothing, ignore_index=NO_CLASS
        )
        return uncertain_loss(error + self.config.class_weight * classes, log_variance) | {
            "error": error.mean(),
            "classes": classes.mean(),
        }


def _codes(rows: Rows) -> torch.Tensor:
    if rows.labels is None:
        raise CompatError("labels", value=None, rule="the class term needs the label of every pair")
    return rows.labels


def train(pairs: Pairs, config: FastFillMapConfig, job: FitJob) -> UncertainMap:
    """Train a linear classifier on the target vectors, freeze it, then fit h_σ."""
    codes, num_classes = class_codes(np.asarray(pairs.labels))
    if num_classes < 2:
        rule = "the class term needs at least two classes among the pairs"
        raise CompatError("labels", value=f"{num_classes} class", rule=rule, fix="use the adapter fct, without labels")
    with seeded(job.seed, "fastfill-map", "init"):
        net = UncertainMap(pairs.source_dim, pairs.target_dim, pairs.side_dim, config.width, config.normalise)
        head = nn.Linear(pairs.target_dim, num_classes)
    (statistics,) = collect(pairs.batches(), config.normalise)
    net.set_scales(statistics)
    net.to(job.device.device)  # the head's training standardises with it
    head_config = dataclasses.replace(config, lr=1e-2, weight_decay=1e-4)
    _HeadTraining(net, head, pairs, head_config, job, codes).run("fastfill-head")
    training = _Training(net, pairs, config, job, codes)
    training.head = head.requires_grad_(False).eval()
    training.run("fastfill")
    return net


ADAPTERS.add(
    Adapter(
        name="fastfill",
        title="FastFill's h_σ",
        summary="FCT's network that also predicts how wrong it is, so that the worst rows are backfilled first.",
        paper="Jaeckle et al. 2023, arXiv 2303.04766",
        formula=r"\tfrac12 e^{-s}\ell+\tfrac12 s,\;\ell=\overline{(h-y)^2}+\mu\,\mathrm{CE}(\kappa(h),\mathrm{label})",
        config=FastFillMapConfig,
        needs=("labels",),
        optional=("side",),
        departs=(
            "The new model's classifier is not among stored vectors: κ is a linear classifier of our own, trained on "
            "the pairs' target vectors and frozen, so classes without a pair have no say, and pairs without a label "
            "none in the class term. Errors are taken between standardised rows, so that μ means the same whatever the "
            "vectors' length. Otherwise as fct."
        ),
        dimensions="Any; the layers' widths follow both.",
        min_pairs=16,
        train=train,
    )
)
