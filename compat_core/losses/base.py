"""The shape of a classification loss: a weight row per class, logits without margin, logits with it.

A loss here is also the classifier head κ: backward-compatible methods freeze the old one and put new embeddings
through it. A subclass writes only :meth:`ClassificationLoss.logits` and, where it has a margin,
:meth:`ClassificationLoss.margin_logits`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
import torch.nn.functional as F
from torch import nn

from compat_core.config import check_ranges, from_dict, param
from compat_core.registry import Registry
from compat_core.spec import Spec


@dataclass(frozen=True, slots=True)
class LossConfig:
    """What every classification loss has; subclasses add scale and margin."""

    label_smoothing: float = param(
        0.0, "probability mass spread over wrong classes", low=0.0, high=0.9, paper="0.1 (FCT)"
    )

    def __post_init__(self) -> None:
        check_ranges(self)


class ClassificationLoss(nn.Module):
    """Cross-entropy over (possibly margin-modified) logits, with one weight row per class.

    Args:
        dim: dimension D of the embedding.
        num_classes: number of rows K.
        config: the loss's own config.
    """

    recordable: ClassVar[bool] = False
    """Whether a pass asks a GPU for the same work every time, on the same numbers and tensors (filled, never replaced),
    and never waits for it: the step is then recorded and replayed."""

    def __init__(self, dim: int, num_classes: int, config: LossConfig) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.empty(num_classes, dim))  # (K, D)
        nn.init.normal_(self.weight, std=self.start_std(dim))

    def start_std(self, dim: int) -> float:
        """Standard deviation that the class rows start with."""
        return dim**-0.5

    def logits(self, emb: torch.Tensor) -> torch.Tensor:
        """Class scores without margin. Shape: ``emb (B, D)`` → ``(B, K)``."""
        raise NotImplementedError

    def margin_logits(self, emb: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Class scores with the training margin applied to the true class; without a margin, the logits."""
        return self.logits(emb)

    def forward(self, emb: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean loss of a batch. Shape: ``emb (B, D)``, ``labels (B,)`` int64 in [0, K) → scalar."""
        return F.cross_entropy(self.margin_logits(emb, labels), labels, label_smoothing=self.config.label_smoothing)

    def with_rows(self, weight: torch.Tensor) -> Self:
        """A frozen head of the same kind whose rows are ``weight (K', D)``; BCT's synthesised classifier."""
        head = type(self)(weight.shape[1], weight.shape[0], self.config)
        with torch.no_grad():
            head.weight.copy_(weight)
        return head.to(weight.device).requires_grad_(False)


def carried_bias(bias: torch.Tensor, own: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Biases ``(K',)`` for ``rows (K', D)``: a bias belongs to the row it was learned with, any other row has none.

    Args:
        bias, own: the head's biases ``(K,)`` and rows ``(K, D)``.
        rows: those that take their place; the first ones may be the head's own.
    """
    known = min(len(own), len(rows))
    kept = (rows[:known] == own[:known]).all(1)
    return F.pad(torch.where(kept, bias[:known], 0), (0, len(rows) - known)).detach()


def products(emb: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """``emb @ rows.T`` in float32, under autocast too: a scale of 64 makes noise of bfloat16's rounding.

    Shape: ``(B, D)``, ``(K, D)`` → ``(B, K)``.
    """
    with torch.autocast(emb.device.type, enabled=False):
        return emb @ rows.T


# A row that only counts by its direction turns by its gradient / ‖row‖: rows of length 1 hardly move in a short
# training, and embeddings then learn the random directions their rows began with. Short rows turn at once.
UNIT_ROW_START_STD = 0.01


class CosineLoss(ClassificationLoss):
    """Base of the losses on the unit sphere: logits are ``scale · cos θ``."""

    def start_std(self, dim: int) -> float:
        return UNIT_ROW_START_STD

    @property
    def scale(self) -> float:
        """Inverse temperature s of the cosine logits."""
        return self.config.scale  # type: ignore[attr-defined]

    def cosine(self, emb: torch.Tensor) -> torch.Tensor:
        """cos θ between embeddings and class rows. Shape: ``(B, D)`` → ``(B, K)`` in [-1, 1]."""
        return products(F.normalize(emb), F.normalize(self.weight))

    def logits(self, emb: torch.Tensor) -> torch.Tensor:
        return self.scale * self.cosine(emb)

    def margin_cosine(self, true_cosine: torch.Tensor) -> torch.Tensor:
        """The true class's cosine after the margin. Shape: ``(B,)`` → ``(B,)``; identity without a margin."""
        return true_cosine

    def margin_logits(self, emb: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        cosine = self.cosine(emb)
        column = labels[:, None]
        true = self.margin_cosine(cosine.gather(1, column)[:, 0])
        return self.scale * cosine.scatter(1, column, true[:, None].to(cosine.dtype))


@dataclass(frozen=True, slots=True)
class Loss:
    """Registry entry of a classification loss.

    Attributes:
        name, title, summary: for people.
        formula: the loss of one item, in LaTeX.
        paper: authors, year, arXiv id.
        config: its config dataclass.
        build: the module class, called with ``(dim, num_classes, config)``.
    """

    name: str
    title: str
    summary: str
    formula: str
    paper: str
    config: type
    build: Any

    def configure(self, spec: Spec) -> Any:
        """The loss's config for ``spec``. Raises CompatError for a parameter it does not have."""
        return from_dict(self.config, spec.params, f"loss {self.name}")


LOSSES: Registry[Loss] = Registry("loss")
