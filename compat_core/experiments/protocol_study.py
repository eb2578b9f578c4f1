"""1:1 verification and 1:N open-set identification over the evaluation images, for every cell of a method.

Which images form a template, and which classes are enrolled, depends on the labels alone: every seed, method and run
on the same images answers the same trials, so their differences can be paired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from compat_core.data.images import ImageSet
from compat_core.data.splits import SPLIT_SEED, permutation
from compat_core.errors import CompatError
from compat_core.experiments.config import ProtocolConfig
from compat_core.metrics import OperatingPoint, identify, templates, verify
from compat_core.metrics.protocols import IDENTIFICATION, PROTOCOL_METRICS, VERIFICATION
from compat_core.metrics.verification import accepted_genuine

CURVE_DIGITS = 6
_ITEMS, _ENROLLED = 11, 12  # random streams of their own

Pair = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Trials:
    """Which items are averaged into which template, by position in the evaluation images.

    Attributes:
        items: (I,) positions.
        template: (I,) the template each of them belongs to, 0 … T−1.
        labels: (T,) the class of each template.
    """

    items: np.ndarray
    template: np.ndarray
    labels: np.ndarray

    def of(self, emb: torch.Tensor) -> torch.Tensor:
        """The templates (T, D) of embeddings (N, D) of all evaluation images."""
        return templates(emb[torch.as_tensor(self.items, device=emb.device)], self.template).embeddings


@dataclass(frozen=True, slots=True)
class CellScores:
    """One cell under one protocol.

    Attributes:
        values: metric name (with its operating point) -> value; None where refused.
        per_query: metric name -> (Q,) numbers whose mean is the value; only for what can be resampled by query.
        per: metric name -> (Q,) where a query counts more than once: its number is a sum over so many trials, and the
            value is the sum of the numbers over the sum of these. The same in every cell.
        entry: everything else that results.json keeps: curve, counts, operating points with thresholds and refusals.
        num_queries: templates that ask; of an open set, those with a mate.
    """

    values: dict[str, float | None]
    per_query: dict[str, np.ndarray]
    entry: dict[str, Any] = field(default_factory=dict)
    per: dict[str, np.ndarray] = field(default_factory=dict)
    num_queries: int = 0


def chunks(labels: np.ndarray, size: int) -> Trials:
    """Every class cut into templates of ``size`` items, in a fixed random order; the last may hold fewer.

    Args:
        labels: (N,) int64.
        size: items per template, >= 1.
    """
    items: list[np.ndarray] = []
    template: list[np.ndarray] = []
    owners: list[int] = []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        own = own[permutation(len(own), SPLIT_SEED, _ITEMS, int(label))]
        for begin in range(0, len(own), size):
            part = own[begin : begin + size]
            items.append(part)
            template.append(np.full(len(part), len(owners)))
            owners.append(int(label))
    return Trials(np.concatenate(items), np.concatenate(template), np.array(owners, dtype=np.int64))


def open_set(labels: np.ndarray, size: int, enrolled: float) -> tuple[Trials, Trials]:
    """The enrolled gallery and the probes.

    A random but fixed ``enrolled`` share of the classes is enrolled (at least one, and at least one is not), each with
    one template of half of its items; probes are templates of ``size`` items, of the other half and of all items of
    the other classes. A class with a single item cannot be enrolled.

    Raises:
        CompatError: with fewer than two classes, or when no class has two items.
    """
    classes, sizes = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise CompatError("protocols.identification", value=len(classes), rule="needs at least two classes")
    able = classes[sizes > 1]
    if not len(able):
        raise CompatError("protocols.identification", rule="no class has two evaluation images, one to enrol")
    count = min(max(round(enrolled * len(classes)), 1), len(classes) - 1)
    chosen = able[permutation(len(able), SPLIT_SEED, _ENROLLED)[:count]]
    gallery = np.zeros(len(labels), dtype=bool)
    for label in chosen:
        own = np.flatnonzero(labels == label)
        gallery[own[permutation(len(own), SPLIT_SEED, _ITEMS, int(label))[: len(own) // 2]]] = True
    rest = np.flatnonzero(~gallery)
    probes = chunks(labels[rest], size)
    kept = np.flatnonzero(gallery)
    owners, template = np.unique(labels[kept], return_inverse=True)
    return Trials(kept, template.reshape(-1), owners), Trials(rest[probes.items], probes.template, probes.labels)


class ProtocolStudy:
    """Scores the cells of one seed's methods; cells shared by all methods are scored once.

    Args:
        images: the evaluation images: labels.
        config: which protocols, with template size and share enrolled.
        device: where similarities are computed.
    """

    def __init__(self, images: ImageSet, config: ProtocolConfig, device: str) -> None:
        labels = images.labels.cpu().numpy()
        self.config, self.device = config, device
        self.score: dict[str, Callable[[Pair], CellScores]] = {}
        if config.verification:
            self.pairs = chunks(labels, config.template_size)
            self.score[VERIFICATION] = self._verify
        if config.identification:
            self.gallery, self.probes = open_set(labels, config.template_size, config.enrolled)
            self.score[IDENTIFICATION] = self._identify
        self._shared: dict[tuple[str, str], CellScores] = {}

    def run(self, cells: Mapping[str, Pair]) -> dict[str, dict[str, CellScores]]:
        """protocol -> cell -> scores.

        Args:
            cells: cell -> (query, gallery) embeddings, each (N, D) of all evaluation images. A cell given with the
                very same pair as an earlier one is not scored again; ``old/old`` and ``paragon`` are those of the
                first method.
        """
        found: dict[str, dict[str, CellScores]] = {}
        for protocol, score in self.score.items():
            by_pair: dict[int, CellScores] = {}
            found[protocol] = {}
            for cell, pair in cells.items():
                known = self._shared.get((protocol, cell)) or by_pair.get(id(pair))
                scores = known or score(pair)
                by_pair[id(pair)] = scores
                if cell in ("old/old", "paragon"):
                    self._shared[protocol, cell] = scores
                found[protocol][cell] = scores
        return found

    def _verify(self, pair: Pair) -> CellScores:
        query, gallery = (self.pairs.of(side) for side in pair)
        labels, ids = self.pairs.labels, np.arange(len(self.pairs.labels))
        asked = self.config.fars
        scores = verify(query, labels, gallery, labels, ids, ids, fars=asked, device=self.device)
        cuts = {rate: point.threshold for rate, point in scores.points.items() if point.threshold is not None}
        metric = PROTOCOL_METRICS.get("TAR@FAR")
        per_query = {}
        if cuts:
            accepted = accepted_genuine(
                query, labels, gallery, labels, list(cuts.values()), ids, ids, device=self.device
            )
            per_query = {metric.at(rate): accepted[:, place] for place, rate in enumerate(cuts)}
        values = {metric.at(rate): value for rate, value in scores.tar.items()}
        counts = {"num_genuine": scores.num_genuine, "num_impostor": scores.num_impostor, "num_templates": len(labels)}
        entry = counts | {"x": _rounded(scores.roc_far), "y": _rounded(scores.roc_tar)} | _points(scores.points)
        genuine = np.bincount(labels)[labels] - 1.0  # every other template of the same class
        per = dict.fromkeys(per_query, genuine)
        values |= {"EER": scores.eer, "ROC-AUC": scores.auc}
        return CellScores(values, per_query, entry, per, len(labels))

    def _identify(self, pair: Pair) -> CellScores:
        probe, gallery = self.probes.of(pair[0]), self.gallery.of(pair[1])
        asked = self.config.fpirs
        scores = identify(probe, self.probes.labels, gallery, self.gallery.labels, fpirs=asked, device=self.device)
        mated = scores.mate_rank > 0
        rank, score = scores.mate_rank[mated], scores.mate_score[mated]
        metric = PROTOCOL_METRICS.get("TPIR@FPIR")
        per_query = {
            metric.at(rate): ((rank == 1) & (score > point.threshold)).astype(np.float64)
            for rate, point in scores.points.items()
            if point.threshold is not None
        }
        enrolled = len(self.gallery.labels)
        told = [place for place in (1, 5) if place < enrolled]  # among so few, every mate is found whatever the model
        per_query |= {f"rank-{place}": (rank <= place).astype(np.float64) for place in told}
        values: dict[str, float | None] = {metric.at(rate): value for rate, value in scores.tpir.items()}
        counts = {key: getattr(scores, key) for key in ("num_mated", "num_unmated", "num_enrolled")}
        curve = {"x": _rounded(scores.curve_fpir), "y": _rounded(scores.curve_tpir)}
        ranks = {1: scores.rank_1, 5: scores.rank_5}
        values |= {f"rank-{place}": value if place in told else None for place, value in ranks.items()}
        refused = [_trivial(place, enrolled) for place in ranks if place not in told]
        points = _points(scores.points)["points"] + refused
        entry = counts | curve | {"points": points}
        return CellScores(values, per_query, entry, num_queries=int(mated.sum()))


def _points(points: Mapping[float, OperatingPoint]) -> dict[str, Any]:
    kept = ("rate", "value", "threshold", "num_admitted", "refusal")
    return {"points": [{key: getattr(point, key) for key in kept} for point in points.values()]}


def _trivial(place: int, enrolled: int) -> dict[str, Any]:
    why = f"rank-{place} among {enrolled} enrolled {'class' if enrolled == 1 else 'classes'} is 100 % of any model"
    return {"rate": None, "value": None, "threshold": None, "num_admitted": 0, "refusal": why}


def _rounded(values: np.ndarray) -> list[float]:
    # Significant digits, not decimals: false-accept rates span six decades.
    return [float(f"{value:.{CURVE_DIGITS}g}") for value in values]
