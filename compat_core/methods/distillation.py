"""Soft targets from the old classifier, shared by LwF and BCT's distillation variant."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from compat_core.losses.base import ClassificationLoss


def distillation(
    head: ClassificationLoss, new_emb: torch.Tensor, old_emb: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Divergence of ``κ_old(n)`` from ``κ_old(o)`` at a temperature, mean over the batch.

    ``T² · KL(softmax(κ_old(o)/T) ‖ softmax(κ_old(n)/T))``: its gradient is that of the cross-entropy against soft
    targets, but it is 0 where the two agree; the factor T² keeps the gradient's size independent of the temperature
    (Hinton et al. 2015, arXiv 1503.02531).

    Args:
        head: the frozen old classifier κ_old.
        new_emb: ``(B, D_old)``, with gradient.
        old_emb: ``(B, D_old)`` of the same views.
        temperature: T > 0.
    """
    with torch.no_grad():
        targets = F.softmax(head.logits(old_emb) / temperature, dim=1)  # (B, K)
    log_answers = F.log_softmax(head.logits(new_emb) / temperature, dim=1)
    return temperature**2 * F.kl_div(log_answers, targets, reduction="batchmean")
