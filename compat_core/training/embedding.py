"""Training an embedding model: its own classification loss, plus at most one compatibility term of a method."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from compat_core.data.augment import to_float, train_augment
from compat_core.data.distant import Pixels, announced
from compat_core.data.images import ImageSet
from compat_core.errors import CompatError
from compat_core.losses.base import ClassificationLoss
from compat_core.models.embedder import Embedder
from compat_core.training.graphs import Recorded, recordable
from compat_core.training.memory import kept_memory


@dataclass(frozen=True, slots=True)
class Batch:
    """What a compatibility term sees of one training step.

    Attributes:
        images: augmented float images ``(B, C, S, S)``.
        labels: class indices of the new training set ``(B,)``.
        indices: positions in the new training set ``(B,)``.
        emb: the new model's embeddings ``(B, D)``, float32, with gradient.
        head: the new model's own classifier.
        progress: share of training done, in [0, 1].
    """

    images: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor
    emb: torch.Tensor
    head: ClassificationLoss
    progress: float


class Term(nn.Module):
    """A compatibility term: a weighted scalar added to the new model's classification loss.

    Subclasses write ``forward(batch) -> {name: scalar}``; the sum of the values is added to the loss, each is logged
    under its name. Learnable parameters of a term are trained along; frozen networks inside it must have
    ``requires_grad_(False)``.
    """

    recordable: bool = False
    """Whether it never waits for a GPU, looks at ``progress`` or another number that changes, or replaces a tensor: the
    whole step is then recorded and replayed."""

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        raise NotImplementedError

    def train(self, mode: bool = True) -> Term:
        """Frozen networks inside a term stay in eval mode: their batch-norm statistics are the old model's."""
        super().train(mode)
        for child in self.modules():
            if child is not self and not any(parameter.requires_grad for parameter in child.parameters()):
                child.training = False
        return self


def checked_parts(whose: str, parts: Any, taken: Sequence[str] = ()) -> dict[str, torch.Tensor]:
    """``parts`` of a loss, by name.

    Args:
        whose: names the loss or the term for messages.
        parts: what it returned.
        taken: names that are given already: they would take another part's place in the sum.

    Raises:
        CompatError: for anything but ``{name: scalar tensor}``, and for a name in ``taken``.
    """
    if not isinstance(parts, dict):
        raise CompatError(whose, value=type(parts).__name__, rule="must return {name: scalar tensor}")
    for name, part in parts.items():
        if name in taken:
            fix = "give it a name of its own"
            raise CompatError(whose, value=name, rule="is the name of another part of the loss", fix=fix)
        if not isinstance(part, torch.Tensor) or part.ndim:
            shape = tuple(part.shape) if isinstance(part, torch.Tensor) else type(part).__name__
            rule = f"{name} must be a scalar tensor, one number for the whole batch"
            raise CompatError(whose, value=shape, rule=rule, fix="take its mean")
    return parts


class Classified(nn.Module):
    """An embedder and its loss in one pass.

    Shape: float images ``(B, C, S, S)``, labels ``(B,)`` → embeddings ``(B, D)`` float32, scalar loss.
    """

    def __init__(self, embedder: Callable[[torch.Tensor], torch.Tensor], head: ClassificationLoss) -> None:
        super().__init__()
        self.embedder, self.head = embedder, head

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        emb = self.embedder(images).float()  # losses in float32 also under autocast
        return emb, self.head(emb, labels)


class EmbedderTraining:
    """An embedder and its classifier as a :class:`~compat_core.training.loop.Trainable`.

    Args:
        embedder: the model to train.
        head: its classification loss over ``len(classes)`` rows.
        images: the training images, on the device or distant.
        augment: ``none``, ``crop`` or ``crop-flip``.
        term: the method's compatibility term, if it has one.
    """

    def __init__(
        self, embedder: Embedder, head: ClassificationLoss, images: ImageSet, augment: str, term: Term | None = None
    ) -> None:
        self.images, self.augment = images, augment
        self.num_items = len(images)
        self.head, self.term = head, term
        self.whole = recordable(images) and head.recordable and (term is None or term.recordable)
        self.classified = self._classified(embedder, head)
        parts = {"embedder": embedder, "head": head, "term": term}
        self.module: nn.Module = nn.ModuleDict({name: part for name, part in parts.items() if part is not None})

    def _classified(self, embedder: Embedder, head: ClassificationLoss) -> Callable[..., Any]:
        """What a step that is not recorded as a whole can have recorded of its own classification."""
        if self.whole:
            return Classified(embedder, head)
        return Recorded(Classified(embedder, head)) if head.recordable else Classified(Recorded(embedder), head)

    def recording(self) -> Hashable | None:
        """Nothing but the batch, where everything that takes part allows it."""
        return () if self.whole else None

    def start_epoch(self, epoch: int, epochs: int, batches: Sequence[torch.Tensor]) -> None:
        """Have the images read ahead that are not on the device."""
        announced(self.images.images, batches)

    def losses(self, indices: torch.Tensor, stream: torch.Generator, progress: float) -> dict[str, torch.Tensor]:
        """Classification loss plus the term's parts; ``total`` is their sum."""
        head, term = self.head, self.term
        images = train_augment(self.images.images[indices], self.augment, stream)
        labels = self.images.labels[indices]
        emb, classification = self.classified(images, labels)
        parts = checked_parts(f"loss {type(head).__name__}", {"classification": classification})
        if term is not None:
            added = term(Batch(images, labels, indices, emb, head, progress))
            parts |= checked_parts(f"term {type(term).__name__}", added, taken=("total", *parts))
        return {"total": torch.stack(list(parts.values())).sum(), **parts}


@torch.no_grad()
def embed(module: nn.Module, images: Pixels, device: torch.device) -> torch.Tensor:
    """Embeddings of un-augmented images, float32, on the device.

    Args:
        module: embedder in any mode; it is put into eval mode.
        images: ``(N, C, S, S)`` uint8, on any device.
        device: where to compute.

    Returns:
        ``(N, D)`` float32 on ``device``.
    """
    module = module.to(device).eval()
    size = at_once(images.shape[-1], device)
    with kept_memory(device) if len(images) > size else nullcontext():
        chunks = images.split(size)
        return torch.cat([module(to_float(chunk.to(device, non_blocking=True))).float() for chunk in chunks])


def at_once(image_size: int, device: torch.device) -> int:
    """How many images of ``image_size`` pixels a side are embedded in one pass without gradients.

    Enough to keep the device busy for longer than Python takes to ask for the next, and no more memory than for so
    many of 32 px where fewer are enough.
    """
    fewest, most = (128, 2048) if device.type == "cuda" else (16, 512)
    return max(fewest, min(most, most * 32**2 // image_size**2))
