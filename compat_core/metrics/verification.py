"""1:1 verification: are two items of the same label? Every query × gallery pair, exactly, in bounded memory.

The pairs are scored block by block, three times over, and no pair's score is kept but the genuine ones': first the
scores are counted in 2^16 coarse bins, then the distinct genuine scores are gathered and sorted, then every impostor
score is placed among them. Those counts hold the whole ROC curve. Scores are float32 and ties are ties of float32.
On a processor the counting is done by a compiled kernel where numba is installed and the problem is large.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from compat_core.device import pick_device
from compat_core.errors import CompatError
from compat_core.metrics.operating_points import CURVE_RATES, FEWEST, OperatingPoint, allowed, check_rates, refuse
from compat_core.metrics.pair_counts import (
    BINS,
    HALF_BITS,
    bin_of,
    count_bins,
    inside_bin,
    place_among,
    score_of,
)
from compat_core.retrieval.inputs import check_embeddings, check_ids, check_keys, check_pair, shared_codes
from compat_core.retrieval.ranking import Relevance, exclude, is_compiled, relate, relevant_columns, rows_per_block
from compat_core.retrieval.scores import ScoreSource, prepare

HELD_VALUES = 2**23  # distinct genuine scores held at a time, about 250 MB with their counts


@dataclass(frozen=True, slots=True, eq=False)
class VerificationScores:
    """The result of :func:`verify`.

    Attributes:
        points: FAR -> operating point, in the order asked for.
        auc: share of (genuine, impostor) combinations where the genuine pair scores higher, ties counted half.
        eer: the error rate where the ROC polyline through every threshold has FAR = 1 − TAR.
        roc_far: (P,) log-spaced FARs, ten per decade, ascending to 1, as far down as the data can resolve.
        roc_tar: (P,) TAR at each of them, by the rule of the operating points.
        num_genuine, num_impostor: pairs of equal and of different label.
        num_excluded: pairs of equal id, in neither count.
        both_orders: True when ids show the same items on both sides: the unordered pair {a, b} then counts twice, as
            (a by the query encoder, b by the gallery encoder) and the other way round. The two scores differ across
            encoders and are equal within one, so ``num_impostor`` overstates the independent pairs by up to two.
        num_zero_vectors: all-zero vectors, under cosine; their similarity counts as 0.
        distance: how vectors were compared.
    """

    points: dict[float, OperatingPoint]
    auc: float
    eer: float
    roc_far: np.ndarray
    roc_tar: np.ndarray
    num_genuine: int
    num_impostor: int
    num_excluded: int
    both_orders: bool
    num_zero_vectors: int
    distance: str

    @property
    def tar(self) -> dict[float, float | None]:
        """FAR -> TAR, None where refused."""
        return {rate: point.value for rate, point in self.points.items()}

    @property
    def det_frr(self) -> np.ndarray:
        """(P,) false-reject rate 1 − TAR at each of ``roc_far``: the DET curve."""
        return 1.0 - self.roc_tar


@torch.no_grad()
def verify(
    query_emb: Any,
    query_labels: Any,
    gallery_emb: Any,
    gallery_labels: Any,
    query_ids: Any = None,
    gallery_ids: Any = None,
    distance: str = "cosine",
    fars: Sequence[float] = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
    device: str = "auto",
    block_rows: int | None = None,
) -> VerificationScores:
    """TAR at FAR, ROC, AUC and EER over all query × gallery pairs; a pair is genuine when its labels are equal.

    TAR@FAR: with I impostor pairs, the threshold t is the (floor(FAR · I) + 1)-th highest impostor score, and a pair
    is accepted when its score is strictly above t. So at most floor(FAR · I) impostors pass, and ties are settled
    conservatively: a genuine pair that ties with the first impostor shut out is shut out too. The product is taken on
    FAR as it is written in decimals (0.29 · 100 is 29). A FAR with fewer than 10 impostor pairs below it is refused:
    its value is None and its ``refusal`` says how many impostor pairs it would take.

    Args:
        query_emb: (Nq, D) numbers, numpy or torch, any real dtype: items, or templates of them.
        query_labels: (Nq,) whole numbers or texts.
        gallery_emb: (Ng, D) numbers, in the same space, of the gallery's encoder.
        gallery_labels: (Ng,) whole numbers or texts.
        query_ids, gallery_ids: (Nq,), (Ng,) identities: pairs of equal id are one and the same item and are left out.
            Both or neither. See ``both_orders`` for the case of the same items on both sides.
        distance: ``cosine`` (a zero vector has cosine 0 with everything), ``l2`` or ``dot``.
        fars: false-accept rates, each in (0, 1).
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        block_rows: most queries scored at a time; None keeps a block of scores below 64 MiB. Changes no result.

    Returns:
        The rates as Python floats in [0, 1], with counts.

    Raises:
        CompatError: for embeddings, labels, ids, a distance or a device that do not fit, a FAR outside (0, 1), or when
            there is no genuine or no impostor pair.

    Reference: BCT, arXiv:2003.11942, Sec. 4 (1:1 protocol); ISO/IEC 19795-1 (rates); Fawcett, Pattern Recognition
    Letters 27, 2006 (ROC with ties).

    Example:
        >>> scores = verify([[1.0, 0.0], [0.0, 1.0]], [0, 1], [[1.0, 0.1], [0.2, 1.0]], [0, 1], device="cpu")
        >>> scores.auc, scores.eer, scores.tar[0.1]
        (1.0, 0.0, None)
    """
    rates = check_rates("fars", fars)
    pairs, num_genuine, num_pairs = _all_pairs(
        query_emb, query_labels, gallery_emb, gallery_labels, query_ids, gallery_ids, distance, device, block_rows
    )
    relevance, ids = pairs.relevance, pairs.ids
    num_impostor = num_pairs - num_genuine
    resolved = [rate for rate in rates if allowed(rate, num_impostor) >= FEWEST]
    curve = [rate for rate in CURVE_RATES if allowed(rate, num_impostor) >= FEWEST]
    sweep = _Sweep(num_genuine, num_impostor, [allowed(rate, num_impostor) for rate in resolved + curve])
    thresholds = _run(pairs, sweep, [allowed(rate, num_impostor) for rate in resolved])
    tar = [int(accepted) / num_genuine for accepted in sweep.accepted]
    points = {rate: refuse("TAR@FAR", rate, num_impostor, "impostor pairs") for rate in rates}
    for rate, value, (threshold, admitted) in zip(resolved, tar, thresholds, strict=False):
        points[rate] = OperatingPoint(rate, value, threshold, admitted)
    return VerificationScores(
        points=points,
        auc=sweep.wins / num_genuine,
        eer=sweep.eer(),
        roc_far=np.array(curve),
        roc_tar=np.array(tar[len(resolved) :]),
        num_genuine=num_genuine,
        num_impostor=num_impostor,
        num_excluded=len(relevance.excluded_row),
        both_orders=ids is not None and np.array_equal(np.unique(ids[0]), np.unique(ids[1])),
        num_zero_vectors=pairs.source.num_zero_vectors,
        distance=distance,
    )


@torch.no_grad()
def accepted_genuine(
    query_emb: Any,
    query_labels: Any,
    gallery_emb: Any,
    gallery_labels: Any,
    thresholds: Sequence[float],
    query_ids: Any = None,
    gallery_ids: Any = None,
    distance: str = "cosine",
    device: str = "auto",
    block_rows: int | None = None,
) -> np.ndarray:
    """How many genuine pairs of every query score strictly above each threshold: what a TAR is made of.

    The sum of a column over all genuine pairs is the TAR at that threshold, so it can be resampled by query.

    Args:
        thresholds: T scores, in the units of ``OperatingPoint.threshold``.
        query_emb, query_labels, gallery_emb, gallery_labels, query_ids, gallery_ids, distance, device, block_rows: as
            for :func:`verify`.

    Returns:
        (Nq, T) int64.

    Raises:
        CompatError: as :func:`verify`.
    """
    pairs, *_ = _all_pairs(
        query_emb, query_labels, gallery_emb, gallery_labels, query_ids, gallery_ids, distance, device, block_rows
    )
    return np.concatenate([
        torch.stack([(genuine > cut).sum(dim=1) for cut in thresholds], dim=1).cpu().numpy()
        for _, genuine in pairs.padded_blocks()
    ])  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Pairs:
    """All pairs' scores, block by block; the same blocks with the same scores every time."""

    source: ScoreSource
    relevance: Relevance
    ids: tuple[np.ndarray, np.ndarray] | None
    step: int
    compiled: bool

    def padded_blocks(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Scores (B, Ng padded) of all pairs and (B, P) of the genuine ones, −inf where there is no pair.

        They are overwritten by the next block.
        """
        device, num_queries = self.source.query.device, len(self.relevance.counts)
        room = self.source.room(min(self.step, num_queries))
        for begin in range(0, num_queries, self.step):
            queries = np.arange(begin, min(begin + self.step, num_queries))
            rows = torch.from_numpy(queries).to(device)
            scores = self.source.block(rows, room)
            exclude(scores, self.relevance, queries)
            scores = self.source.public(scores, rows).add_(0.0)  # turns −0.0 into 0.0, which is the same score
            columns, own = relevant_columns(self.relevance, queries)
            genuine = scores.gather(1, torch.from_numpy(columns).to(device))
            yield scores, genuine.masked_fill_(~torch.from_numpy(own).to(device), float("-inf"))

    def blocks(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Scores (B, Ng padded), −inf where there is no pair, and the genuine ones among them (N,)."""
        for scores, genuine in self.padded_blocks():
            yield scores, genuine[genuine > float("-inf")]


def _all_pairs(
    query_emb: Any,
    query_labels: Any,
    gallery_emb: Any,
    gallery_labels: Any,
    query_ids: Any,
    gallery_ids: Any,
    distance: str,
    device: str,
    block_rows: int | None,
) -> tuple[_Pairs, int, int]:
    """The checked pairs, how many of them are genuine, and how many there are."""
    query, gallery = check_embeddings("query_emb", query_emb), check_embeddings("gallery_emb", gallery_emb)
    check_pair(query, gallery)
    labels = shared_codes(
        "labels",
        check_keys("query_labels", query_labels, len(query), "query_emb"),
        check_keys("gallery_labels", gallery_labels, len(gallery), "gallery_emb"),
    )
    ids = check_ids(query_ids, gallery_ids, len(query), len(gallery))
    relevance = relate(*labels, ids)
    num_genuine, num_pairs = int(relevance.counts.sum()), int(relevance.candidates.sum())
    if num_genuine in (0, num_pairs):
        kind, both = ("genuine", "equal") if not num_genuine else ("impostor", "different")
        raise CompatError(
            "verification",
            rule=f"none of {num_pairs} pairs is {kind} (of {both} label)",
            fix="check that both label files belong together and hold at least two classes",
        )
    source = prepare(query, gallery, distance, pick_device(device).device)
    compiles = is_compiled(source.query.device, len(query) * len(gallery))
    pairs = _Pairs(source, relevance, ids, rows_per_block(source, block_rows), compiles)
    return pairs, num_genuine, num_pairs


class _Sweep:
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


def _run(pairs: _Pairs, sweep: _Sweep, allowances: list[int]) -> list[tuple[float, int]]:
    """Fill the sweep, and find the impostor threshold of each allowance: (threshold, impostors strictly above it).

    Every pair is counted, and the genuine ones, which are few, are taken off again.
    """
    device = pairs.source.query.device
    all_bins, genuine_bins = (torch.zeros(BINS, dtype=torch.int64, device=device) for _ in range(2))
    for scores, genuine in pairs.blocks():
        all_bins += count_bins(scores, pairs.compiled)
        genuine_bins += torch.bincount(bin_of(genuine), minlength=BINS)
    impostor_bins = all_bins - genuine_bins
    lowest = int(bin_of(torch.tensor([float("-inf")]))[0])
    without_pair, impostor_bins[lowest] = int(all_bins[lowest]), 0  # places that hold no pair score −inf
    select = _Select(impostor_bins.cpu().numpy(), allowances, device)
    # Stretches of bins, each with no more distinct genuine scores than are held at a time.
    stretch = genuine_bins.clamp_max(BINS).cumsum(0) // HELD_VALUES
    for number in sorted(stretch[genuine_bins > 0].unique().tolist(), reverse=True):
        values, counts = _gather(pairs, stretch == number)
        slots = torch.zeros(2 * len(values) + 1, dtype=torch.int64, device=device)
        slots[0] = -without_pair
        for scores, genuine in pairs.blocks():
            wanted = [] if select.done else list(select.fine)
            at_once, fine = place_among(scores, values, wanted, pairs.compiled)
            slots += at_once - place_among(genuine[None], values, [], compiled=False)[0]
            for place, bin_number in enumerate(wanted):
                select.fine[bin_number] += fine[place] - inside_bin(genuine, bin_number)
        select.done = True
        sweep.add(counts.cpu().numpy(), slots.cpu().numpy())
    return select.thresholds()


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


def _gather(pairs: _Pairs, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The distinct genuine scores (m,) in the bins ``wanted`` (BINS,) bool, ascending, and how often each occurs."""
    found = []
    for _, genuine in pairs.blocks():
        found.append(torch.unique(genuine[wanted[bin_of(genuine)]], return_counts=True))
    values, place = torch.unique(torch.cat([part for part, _ in found]), return_inverse=True)
    counts = torch.cat([number for _, number in found])
    return values, torch.zeros(len(values), dtype=torch.int64, device=values.device).index_add_(0, place, counts)
