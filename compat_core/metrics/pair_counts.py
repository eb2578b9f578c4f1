"""Counting the scores of many pairs: into coarse bins, and among sorted values.

A float32's bits, turned so that they ascend with its value, are two halves: the upper one is its coarse bin, the lower
one its place inside. The torch functions run anywhere; on a processor the compiled ones of
:mod:`compat_core.metrics.pair_kernel` count the same.
"""

from __future__ import annotations

import numpy as np
import torch

from compat_core.metrics import pair_kernel

HALF_BITS = 16
BINS = pair_kernel.BINS


def count_bins(scores: torch.Tensor, compiled: bool) -> torch.Tensor:
    """Scores (B, G) in each coarse bin: (BINS,) int64."""
    if compiled:
        return torch.from_numpy(pair_kernel.count_bins(scores.numpy()))
    return torch.bincount(bin_of(scores.reshape(-1)), minlength=BINS)


def place_among(
    scores: torch.Tensor, values: torch.Tensor, wanted: list[int], compiled: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores (B, G) below, at and between ``values`` (m,): (2m + 1,); and inside ``wanted`` bins: (W, BINS)."""
    if compiled:
        found = pair_kernel.place_among(scores.numpy(), values.numpy(), np.array(wanted, dtype=np.int64))
        return torch.from_numpy(found[0]), torch.from_numpy(found[1])
    flat = scores.reshape(-1)
    place = torch.searchsorted(values, flat)
    tied = values[place.clamp_max(len(values) - 1)] == flat
    slots = torch.bincount(2 * place + tied, minlength=2 * len(values) + 1)
    fine = [inside_bin(flat, number) for number in wanted]
    return slots, torch.stack(fine) if fine else slots.new_zeros(0, BINS)


def inside_bin(scores: torch.Tensor, number: int) -> torch.Tensor:
    """The scores (N,) inside one coarse bin, by the lower half of their bits: (BINS,) int64."""
    return torch.bincount(order_of(scores[bin_of(scores) == number]) & (BINS - 1), minlength=BINS)


def order_of(scores: torch.Tensor) -> torch.Tensor:
    """Float32 scores as int64 in [0, 2^32), in the same order."""
    bits = scores.view(torch.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).long() + 2**31


def bin_of(scores: torch.Tensor) -> torch.Tensor:
    """The coarse bin of each score, the upper half of its bits: (N,) int64 in [0, BINS)."""
    return order_of(scores) >> HALF_BITS


def score_of(order: torch.Tensor) -> torch.Tensor:
    """The scores back from :func:`order_of`."""
    bits = (order - 2**31).to(torch.int32)
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).view(torch.float32)
