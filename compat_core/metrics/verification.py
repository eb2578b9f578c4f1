"""1:1 verification: are two items of the same label? Every query × gallery pair, exactly, in bounded memory.

The pairs are scored block by block (:mod:`compat_core.metrics.scored_pairs`), three times over, and counted
(:mod:`compat_core.metrics.roc_sweep`): no pair's score is kept but the genuine ones'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from compat_core.metrics.operating_points import CURVE_RATES, FEWEST, OperatingPoint, allowed, check_rates, refuse
from compat_core.metrics.roc_sweep import Sweep, fill
from compat_core.metrics.scored_pairs import all_pairs


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
        block_rows: most queries scored at a time; None chooses by the memory that their scores take. Changes no result.

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
    pairs, num_genuine, num_pairs = all_pairs(
        query_emb, query_labels, gallery_emb, gallery_labels, query_ids, gallery_ids, distance, device, block_rows
    )
    relevance, ids = pairs.relevance, pairs.ids
    num_impostor = num_pairs - num_genuine
    resolved = [rate for rate in rates if allowed(rate, num_impostor) >= FEWEST]
    curve = [rate for rate in CURVE_RATES if allowed(rate, num_impostor) >= FEWEST]
    sweep = Sweep(num_genuine, num_impostor, [allowed(rate, num_impostor) for rate in resolved + curve])
    thresholds = fill(pairs, sweep, [allowed(rate, num_impostor) for rate in resolved])
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
    pairs, *_ = all_pairs(
        query_emb, query_labels, gallery_emb, gallery_labels, query_ids, gallery_ids, distance, device, block_rows
    )

    def above(_: torch.Tensor, genuine: torch.Tensor) -> np.ndarray:
        return torch.stack([(genuine > cut).sum(dim=1) for cut in thresholds], dim=1).cpu().numpy()

    return np.concatenate(list(pairs.of_padded_blocks(above)))
