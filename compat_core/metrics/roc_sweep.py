"""The whole ROC curve from counts: the threshold falls from above every genuine score to below all of them.

First the scores are counted in 2^16 coarse bins, then the distinct genuine scores are gathered and sorted, then every
impostor score is placed among them; an allowance's threshold is found in the one coarse bin that holds it.
Ties are ties of float32. On a processor a compiled kernel counts where numba is installed and the problem is large.
"""

from __future__ import annotations

import threading

import numpy as np
import torch

from compat_core.metrics.pair_counts import (
    BINS,
    HALF_BITS,
    bin_of,
    count_bins,
    inside_bin,
    place_among,
    score_of,
)
from compat_core.metrics.scored_pairs import ScoredPairs

HELD_VALUES = 2**23  # distinct genuine scores held at a time, about 250 MB with their counts


class Sweep:
    """Counts read off while the threshold falls from above every genuine score to below all of them."""

    def __init__(self, num_genuine: int, num_impostor: int, allowances: list[int]) -> None:
        self.num_genuine, self.num_impostor = num_genuine, num_impostor
        self.allowances = np.array(allowances, dtype=np.int64)
        self.accepted = np.zeros(len(allowances), dtype=np.int64)  # genuine pairs, with so many impostors allowed
        self.wins = 0.0  # Σ over genuine pairs of the share of impostors they beat, ties half
        self.passed = 0  # genuine pairs above the threshold so far
        self.last = (0.0, 1.0)  # FAR and FRR of the last threshold with FAR < FRR
        self.crossing: float | None = None

    def add(self, genuine: np.ndarray, slots: np.ndarray) -> None:
        """The next lower stretch of m distinct genuine scores.

        Args:
            genuine: (m,) pairs at each distinct score, scores ascending.
            slots: (2m + 1,) impostor pairs: below the first score, at it, between it and the second, at that, …
        """
        beaten = slots.cumsum()
        reaching = self.num_impostor - beaten[0:-1:2][::-1]  # (m,) impostors at or above each score, scores descending
        beyond = self.num_impostor - beaten[1::2][::-1]  # strictly above
        genuine = genuine[::-1]
        half = self.num_impostor - (reaching + beyond) / 2
        self.wins += float((genuine * (half / self.num_impostor)).sum())
        upto = np.concatenate([[0], genuine.cumsum()])
        self.accepted += upto[np.searchsorted(reaching, self.allowances, side="right")]
        far = np.stack([beyond, reaching], axis=1).reshape(-1) / self.num_impostor
        frr = 1 - (self.passed + np.stack([upto[:-1], upto[1:]], axis=1).reshape(-1)) / self.num_genuine
        self._cross(far, frr)
        self.passed += int(upto[-1])

    def eer(self) -> float:
        self._cross(np.ones(1), np.zeros(1))  # accepting everything ends the curve
        if self.crossing is None:
            raise ValueError("the end of the curve always crosses")
        return self.crossing

    def _cross(self, far: np.ndarray, frr: np.ndarray) -> None:
        over = far >= frr
        if self.crossing is None and over.any():
            at = int(over.argmax())
            far0, frr0 = (float(far[at - 1]), float(frr[at - 1])) if at else self.last
            gap, next_gap = frr0 - far0, float(far[at] - frr[at])
            self.crossing = far0 + gap / (gap + next_gap) * (float(far[at]) - far0)
        self.last = (float(far[-1]), float(frr[-1]))


def fill(pairs: ScoredPairs, sweep: Sweep, allowances: list[int]) -> list[tuple[float, int]]:
    """Fill the sweep, and find the impostor threshold of each allowance: (threshold, impostors strictly above it).

    Every pair is counted, and the genuine ones, which are few, are taken off again.
    """
    device = pairs.source.query.device
    all_bins, genuine_bins = _bins(pairs)
    impostor_bins = all_bins - genuine_bins
    lowest = int(bin_of(torch.tensor([float("-inf")]))[0])
    without_pair, impostor_bins[lowest] = int(all_bins[lowest]), 0  # places that hold no pair score −inf
    select = _Select(impostor_bins.cpu().numpy(), allowances, device)
    # Stretches of bins, each with no more distinct genuine scores than are held at a time.
    stretch = genuine_bins.clamp_max(BINS).cumsum(0) // HELD_VALUES
    for number in sorted(stretch[genuine_bins > 0].unique().tolist(), reverse=True):
        values, counts = _gather(pairs, stretch == number)
        slots = _place(pairs, values, {} if select.done else select.fine)
        slots[0] -= without_pair
        select.done = True
        sweep.add(counts.cpu().numpy(), slots.cpu().numpy())
    return select.thresholds()


def _bins(pairs: ScoredPairs) -> torch.Tensor:
    """All scores and the genuine ones in each coarse bin: (2, BINS) int64."""
    found = torch.zeros(2, BINS, dtype=torch.int64, device=pairs.source.query.device)
    adding = threading.Lock()

    def add(scores: torch.Tensor, genuine: torch.Tensor) -> None:
        at_once, own = count_bins(scores, pairs.compiled), torch.bincount(bin_of(genuine), minlength=BINS)
        with adding:
            found[0] += at_once
            found[1] += own

    for _ in pairs.of_blocks(add):
        pass
    return found


def _place(pairs: ScoredPairs, values: torch.Tensor, fine: dict[int, torch.Tensor]) -> torch.Tensor:
    """Impostor scores below, at and between ``values`` (m,): (2m + 1,); those in the bins of ``fine`` are added to it.

    Added up where the block is: the counts may be larger than the scores, so none are kept until their turn.
    """
    slots = torch.zeros(2 * len(values) + 1, dtype=torch.int64, device=values.device)
    wanted, adding = list(fine), threading.Lock()

    def add(scores: torch.Tensor, genuine: torch.Tensor) -> None:
        at_once, inside = place_among(scores, values, wanted, pairs.compiled)
        own, _ = place_among(genuine[None], values, [], compiled=False)
        own_inside = [inside_bin(genuine, number) for number in wanted]
        with adding:
            slots.add_(at_once).sub_(own)
            for place, number in enumerate(wanted):
                fine[number] += inside[place] - own_inside[place]

    for _ in pairs.of_blocks(add):
        pass
    return slots


class _Select:
    """The (a + 1)-th highest impostor score for each allowance a: its coarse bin first, then its place in the bin."""

    def __init__(self, bins: np.ndarray, allowances: list[int], device: torch.device) -> None:
        from_top = bins[::-1].cumsum()
        self.bins = [BINS - 1 - int(np.searchsorted(from_top, a, side="right")) for a in allowances]
        self.above = [int(bins[number + 1 :].sum()) for number in self.bins]  # impostors in higher bins
        self.allowances = allowances
        self.fine = {number: torch.zeros(BINS, dtype=torch.int64, device=device) for number in self.bins}
        self.done = False

    def thresholds(self) -> list[tuple[float, int]]:
        """(threshold, impostors strictly above it) for each allowance."""
        found = []
        for number, above, allowance in zip(self.bins, self.above, self.allowances, strict=True):
            from_top = self.fine[number].cpu().numpy()[::-1].cumsum()
            place = int(np.searchsorted(from_top, allowance - above, side="right"))
            threshold = score_of(torch.tensor([(number << HALF_BITS) + BINS - 1 - place]))
            found.append((float(threshold[0]), above + (int(from_top[place - 1]) if place else 0)))
        return found


def _gather(pairs: ScoredPairs, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The distinct genuine scores (m,) in the bins ``wanted`` (BINS,) bool, ascending, and how often each occurs."""

    def distinct(_: torch.Tensor, genuine: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values, counts = torch.unique(genuine[wanted[bin_of(genuine)]], return_counts=True)
        return values, counts

    found = list(pairs.of_blocks(distinct))
    values, place = torch.unique(torch.cat([part for part, _ in found]), return_inverse=True)
    counts = torch.cat([number for _, number in found])
    return values, torch.zeros(len(values), dtype=torch.int64, device=values.device).index_add_(0, place, counts)
