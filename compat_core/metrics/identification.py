"""1:N open-set identification: who of the enrolled is this, or nobody?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from compat_core.device import pick_device
from compat_core.errors import CompatError
from compat_core.metrics.operating_points import CURVE_RATES, FEWEST, OperatingPoint, allowed, check_rates, refuse
from compat_core.retrieval.inputs import check_embeddings, check_keys, check_pair, shared_codes
from compat_core.retrieval.ranking import rows_per_block
from compat_core.retrieval.scores import ScoreSource, prepare


@dataclass(frozen=True, slots=True, eq=False)
class IdentificationScores:
    """The result of :func:`identify`.

    Attributes:
        points: FPIR -> operating point, its value the TPIR; in the order asked for.
        rank_1, rank_5: share of mated probes whose mate is first, or among the first five; no threshold.
        curve_fpir: (P,) log-spaced FPIRs, ten per decade, ascending to 1, as far down as the data can resolve; empty
            with fewer than ten unmated probes.
        curve_tpir: (P,) TPIR at each of them, by the rule of the operating points.
        mate_rank: (Np,) int64, 1-based rank of each probe's mate, ties counted against it; 0 for unmated probes.
        mate_score: (Np,) float32, the score of each probe's mate, NaN for unmated probes: a probe counts in the TPIR
            when its ``mate_rank`` is 1 and its ``mate_score`` is strictly above the threshold.
        num_mated, num_unmated: probes with and without an enrolled template of their label.
        num_enrolled: templates in the gallery.
        num_zero_vectors: all-zero vectors, under cosine; their similarity counts as 0.
        distance: how vectors were compared.
    """

    points: dict[float, OperatingPoint]
    rank_1: float
    rank_5: float
    curve_fpir: np.ndarray
    curve_tpir: np.ndarray
    mate_rank: np.ndarray
    mate_score: np.ndarray
    num_mated: int
    num_unmated: int
    num_enrolled: int
    num_zero_vectors: int
    distance: str

    @property
    def tpir(self) -> dict[float, float | None]:
        """FPIR -> TPIR, None where refused."""
        return {rate: point.value for rate, point in self.points.items()}


@torch.no_grad()
def identify(
    probe_emb: Any,
    probe_labels: Any,
    gallery_emb: Any,
    gallery_labels: Any,
    fpirs: Sequence[float] = (1e-3, 1e-2, 1e-1),
    distance: str = "cosine",
    device: str = "auto",
    block_rows: int | None = None,
) -> IdentificationScores:
    """TPIR at FPIR, rank-1 and rank-5 of probes searched among enrolled templates, one template per label.

    A probe is mated when a template of its label is enrolled. With U unmated probes, the threshold t is the
    (floor(FPIR · U) + 1)-th highest of their best scores; an unmated probe is a false positive when any template
    scores strictly above t, so at most floor(FPIR · U) are. TPIR is the share of mated probes whose mate is ranked
    first *and* scores strictly above t. Ties count against the probe, at the threshold and in the ranking: a mate that
    ties with another template ranks behind it. (Departs from CMC@k of ``evaluate_retrieval``, where ties rank in
    gallery order.) An FPIR with fewer than 10 unmated probes below it is refused: its value is None and its
    ``refusal`` says how many unmated probes it would take. Probes are impostors as a whole here, not pairs: scores of
    one probe against many templates are not independent.

    Args:
        probe_emb: (Np, D) numbers, numpy or torch, any real dtype: items or templates, by the query encoder.
        probe_labels: (Np,) whole numbers or texts.
        gallery_emb: (Ng, D) numbers, in the same space: one template per label, see ``templates``.
        gallery_labels: (Ng,) whole numbers or texts, all different. A probe must not itself be part of a template.
        fpirs: false-positive identification rates, each in (0, 1).
        distance: ``cosine`` (a zero vector has cosine 0 with everything), ``l2`` or ``dot``.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
        block_rows: most probes scored at a time; None chooses by the memory that their scores take. Changes no result.

    Returns:
        The rates as Python floats in [0, 1], with counts.

    Raises:
        CompatError: for embeddings, labels, a distance or a device that do not fit, an FPIR outside (0, 1), two
            templates of one label, or when no probe has a mate.

    Reference: BCT, arXiv:2003.11942, Sec. 4 (1:N protocol; its tables print TNIR where TPIR is meant); ISO/IEC
    19795-1; Phillips, Grother, Micheals, Handbook of Face Recognition, 2011, Ch. 21 (detect and identify at rank 1).

    Example:
        >>> probes = [[1.0, 0.1], [0.1, 1.0], [-1.0, 0.2]]
        >>> scores = identify(probes, ["ann", "bob", "eve"], [[1.0, 0.0], [0.0, 1.0]], ["ann", "bob"], device="cpu")
        >>> scores.rank_1, scores.num_unmated, scores.tpir[0.1]
        (1.0, 1, None)
    """
    rates = check_rates("fpirs", fpirs)
    probe, gallery = check_embeddings("probe_emb", probe_emb), check_embeddings("gallery_emb", gallery_emb)
    check_pair(probe, gallery)
    probe_codes, gallery_codes = shared_codes(
        "labels",
        check_keys("probe_labels", probe_labels, len(probe), "probe_emb"),
        check_keys("gallery_labels", gallery_labels, len(gallery), "gallery_emb"),
    )
    mate = _mates(probe_codes, gallery_codes)
    mated = mate >= 0
    num_mated, num_unmated = int(mated.sum()), int((~mated).sum())
    if not num_mated:
        raise CompatError(
            "probe_labels",
            rule=f"none of {len(probe)} probes has an enrolled template of its label",
            fix="check that both label files belong together",
        )
    source = prepare(probe, gallery, distance, pick_device(device).device)
    best, mate_score, mate_rank = _search(source, mate, rows_per_block(source, block_rows))
    impostors = np.sort(best[~mated])[::-1]  # descending
    named = np.sort(mate_score[mate_rank == 1])  # the mates that a threshold may still let through

    points = {}
    for rate in rates:
        points[rate] = refuse("TPIR@FPIR", rate, num_unmated, "probes without a mate")
        if allowed(rate, num_unmated) >= FEWEST:
            threshold = float(impostors[allowed(rate, num_unmated)])
            admitted = int((impostors > threshold).sum())
            points[rate] = OperatingPoint(rate, _share_above(named, threshold, num_mated), threshold, admitted)
    curve = [rate for rate in CURVE_RATES if allowed(rate, num_unmated) >= FEWEST]
    cuts = [float(np.append(impostors, -np.inf)[allowed(rate, num_unmated)]) for rate in curve]
    return IdentificationScores(
        points=points,
        rank_1=float((mate_rank[mated] <= 1).mean()),
        rank_5=float((mate_rank[mated] <= 5).mean()),
        curve_fpir=np.array(curve),
        curve_tpir=np.array([_share_above(named, cut, num_mated) for cut in cuts]),
        mate_rank=mate_rank,
        mate_score=mate_score,
        num_mated=num_mated,
        num_unmated=num_unmated,
        num_enrolled=len(gallery),
        num_zero_vectors=source.num_zero_vectors,
        distance=distance,
    )


def _mates(probe_codes: np.ndarray, gallery_codes: np.ndarray) -> np.ndarray:
    """(Np,) the gallery row of each probe's label, −1 where it is not enrolled."""
    row_of_code = np.full(int(max(probe_codes.max(), gallery_codes.max())) + 1, -1, dtype=np.int64)
    row_of_code[gallery_codes] = np.arange(len(gallery_codes))
    repeated = len(gallery_codes) - len(np.unique(gallery_codes))
    if repeated:
        raise CompatError(
            "gallery_labels",
            rule=f"{repeated} of {len(gallery_codes)} templates repeat a label; one template is enrolled per label",
            fix="average them with compat_core.metrics.templates(gallery_emb, gallery_labels)",
        )
    return row_of_code[probe_codes]


def _search(source: ScoreSource, mate: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per probe: the best score, its mate's score (NaN without one) and its mate's rank (0 without one)."""
    device = source.query.device
    best = np.empty(len(mate), dtype=np.float32)
    mate_score = np.full(len(mate), np.nan, dtype=np.float32)
    mate_rank = np.zeros(len(mate), dtype=np.int64)
    for begin in range(0, len(mate), step):
        block = slice(begin, min(begin + step, len(mate)))
        rows = torch.arange(block.start, block.stop, device=device)
        column = torch.from_numpy(mate[block]).to(device)[:, None]  # (B, 1)
        scores = source.block(rows)  # (B, Ng padded)
        own = scores.gather(1, column.clamp_min(0))  # (B, 1)
        # Ranked on row scores, which are finer than public ones: the root of l2 would make new ties.
        rank = (scores >= own).sum(dim=1)  # itself, everything better and everything that ties
        highest = source.public(scores.amax(dim=1, keepdim=True), rows)
        has = mate[block] >= 0
        best[block] = highest[:, 0].cpu().numpy()
        mate_score[block] = np.where(has, source.public(own, rows)[:, 0].cpu().numpy(), np.nan)
        mate_rank[block] = np.where(has, rank.cpu().numpy(), 0)
    return best, mate_score, mate_rank


def _share_above(ascending: np.ndarray, threshold: float, total: int) -> float:
    return (len(ascending) - int(np.searchsorted(ascending, np.float32(threshold), side="right"))) / total
