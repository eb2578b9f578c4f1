"""From the vectors of one seed to its result rows, verdicts, curves and ranked lists.

Cells are ``query/gallery``. All of a method's cells are resampled together: one set of bootstrap draws gives the
interval of every metric and of every difference and ratio between cells, paired by query.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from compat_core.data.images import ImageSet
from compat_core.experiments.artefacts import Artefacts, write_arrays
from compat_core.experiments.backfill_study import BackfillStudy
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.protocol_study import CellScores, ProtocolStudy
from compat_core.methods import match_dim
from compat_core.metrics import METRICS, Interval, RetrievalScores, evaluate_retrieval, interval, outcome_of, per_class
from compat_core.metrics.bootstrap import bootstrap_means, ratio_interval
from compat_core.metrics.subgroups import subgroup_scores
from compat_core.retrieval.search import top_k

CELLS = ("old/old", "new/old", "new/migrated", "new/new", "paragon")
DERIVED_FROM = ("CMC@1", "mAP")
REFERENCE_CELLS = ("old/old", "paragon")  # what a backfill lies between
RANKED_ITEMS = 20


class SeedResults:
    """What one seed adds to ``results.json``."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.verdicts: list[dict[str, Any]] = []
        self.curves: list[dict[str, Any]] = []
        self.per_class: list[dict[str, Any]] = []
        self.backfill: list[dict[str, Any]] = []
        self.chain: list[dict[str, Any]] = []
        self.protocols: list[dict[str, Any]] = []
        self.subgroups: list[dict[str, Any]] = []
        self.num_queries = self.num_skipped = 0
        self.chance: dict[str, float] = {}
        self.metric_versions = {metric.name: metric.version for metric in METRICS}

    def row(
        self, method: str, seed: int, cell: str, metric: str, number: Interval | None, num_queries: int | None = None
    ) -> None:
        """Add one tidy row; None gives an empty value. ``num_queries`` where they are not the retrieval's own."""
        values = number.row() if number else {"value": None, "ci_low": None, "ci_high": None}
        named = {"method": method, "seed": seed, "cell": cell, "metric": metric}
        self.rows.append(named | values | {"num_queries": self.num_queries if num_queries is None else num_queries})


class SeedEvaluation(SeedResults):
    """Collects the results of one seed, method by method.

    Self-retrieval: every evaluation image queries all others, itself removed by identity.

    Args:
        seed: the experiment's seed.
        images: the evaluation images (only labels, ids and class names are used).
        config: distance and number of resamples.
        device: where similarities are computed.
        old_emb: ``(N, D_old)``.
        paragon_emb: ``(N, D_new)`` of the unconstrained new model.
        files: where ranked lists are kept.
        groups: ``(N,)`` the subgroup of each evaluation image, where there are several.
    """

    def __init__(
        self,
        seed: int,
        images: ImageSet,
        config: ExperimentConfig,
        device: torch.device,
        old_emb: torch.Tensor,
        paragon_emb: torch.Tensor,
        files: Artefacts,
        groups: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.seed, self.images, self.config, self.device, self.files = seed, images, config, device, files
        self.old_emb, self.paragon_emb = old_emb, paragon_emb
        self.old_scores = self._search("old", "old/old", old_emb, old_emb)
        self.paragon_scores = self._search("paragon", "new/new", paragon_emb, paragon_emb)
        self.num_queries, self.num_skipped = self.old_scores.num_queries, self.old_scores.num_skipped
        self.chance = self.old_scores.chance
        answered = groups[self.old_scores.per_query.valid] if groups is not None else np.empty(0)
        self.groups = groups if len(np.unique(answered)) > 1 else None  # a gap needs queries in two of them
        self.protocol_study = ProtocolStudy(images, config.protocols, str(device))

    def add(
        self,
        method: str,
        new_emb: torch.Tensor,
        query: torch.Tensor,
        gallery_new: torch.Tensor,
        gallery_old: torch.Tensor,
        uncertainty: torch.Tensor | None = None,
    ) -> dict[str, float]:
        """Evaluate every cell of one method.

        Args:
            method: its label.
            new_emb: its new model's embeddings ``(N, D_new)``, as they are.
            query, gallery_new, gallery_old: the same items in the method's shared space ``(N, D)``.
            uncertainty: ``(N,)`` how unsure the method is of each ``gallery_old`` row, where it predicts that.

        Returns:
            mAP per cell.
        """
        dim = max(new_emb.shape[1], self.old_emb.shape[1])
        raw_new, raw_old = match_dim(new_emb, dim), match_dim(self.old_emb, dim)
        cells = {"old/old": self.old_scores, "new/old": self._search(method, "new/old", raw_new, raw_old)}
        unmapped = torch.equal(query, raw_new) and torch.equal(gallery_old, raw_old)
        cells["new/migrated"] = (
            cells["new/old"] if unmapped else self._search(method, "new/migrated", query, gallery_old)
        )
        free = torch.equal(query, self.paragon_emb) and torch.equal(gallery_new, self.paragon_emb)
        cells["new/new"] = self.paragon_scores if free else self._search(method, "new/new", query, gallery_new)
        cells["paragon"] = self.paragon_scores
        self._record(method, cells)
        # Padding multiplies all scores of one query by the same factor: no ranking sees it, a threshold that holds for
        # all queries does. So where there are thresholds a longer new vector is cut.
        raw = (match_dim(new_emb, self.old_emb.shape[1]), self.old_emb)
        paragon = (self.paragon_emb, self.paragon_emb)
        vectors = {
            "old/old": (self.old_emb, self.old_emb),
            "new/old": raw,
            "new/migrated": raw if unmapped else (query, gallery_old),
            "new/new": paragon if free else (query, gallery_new),
            "paragon": paragon,
        }
        for protocol, by_cell in self.protocol_study.run(vectors).items():
            self._record_protocol(method, protocol, by_cell)
        if self.config.backfill_queries:
            queries = self.chosen_queries()
            curves = BackfillStudy(self.seed, self.images, self.config, str(self.device), queries, self.groups)
            rows = [part.cpu().numpy() for part in (query, gallery_new, gallery_old)]
            found = curves.run(method, rows[0], rows[1], rows[2], uncertainty)
            levels = _reference_levels(cells, queries)
            self.backfill += [entry | {"references": levels[entry["metric"]]} for entry in found.entries]
            write_arrays(self.files.backfill_file(self.seed, method), found.per_query)
        return {cell: scores.mean_ap for cell, scores in cells.items()}

    def chosen_queries(self) -> np.ndarray:
        """The valid queries of the backfill curves, ascending, the same for every method and seed."""
        valid = np.flatnonzero(self.old_scores.per_query.valid)
        order = np.random.default_rng(0).permutation(len(valid))
        return np.sort(valid[order[: self.config.backfill_queries]])

    def _search(self, method: str, cell: str, query: torch.Tensor, gallery: torch.Tensor) -> RetrievalScores:
        labels, ids, device = self.images.labels.numpy(), self.images.ids, str(self.device)
        distance = self.config.distance
        scores = evaluate_retrieval(
            query, labels, gallery, labels, ids, ids, distance=distance, device=device, curves=True
        )
        ranked = top_k(query, gallery, RANKED_ITEMS, distance, ids, ids, device=device)
        per_query: dict[str, Any] = {metric.name: metric.per_query(scores).astype(np.float32) for metric in METRICS}
        lists = {"indices": ranked.indices.astype(np.int32), "scores": ranked.scores}
        write_arrays(self.files.ranking_file(self.seed, method, cell), lists | per_query)
        return scores

    # -- numbers -------------------------------------------------------------------------------------------------

    def _record(self, method: str, cells: dict[str, RetrievalScores]) -> None:
        valid = self.old_scores.per_query.valid
        columns = {
            (cell, metric.name): metric.per_query(scores)[valid] for cell, scores in cells.items() for metric in METRICS
        }
        means = Means(columns, self.config.resamples)
        for cell, name in columns:
            self._row(method, cell, name, means.of({(cell, name): 1.0}))
        for name in (metric.name for metric in METRICS):
            gain = means.of({("new/migrated", name): 1.0, ("old/old", name): -1.0})
            self._verdict(method, name, gain)
            if name in DERIVED_FROM:
                self._derived(method, name, gain, means)
        before, after = (cells[cell].per_query.hit_within(1)[valid] for cell in ("old/old", "new/migrated"))
        for label, changed in (("negative_flips", before > after), ("positive_flips", before < after)):
            shares = Means({("", label): changed.astype(np.float64)}, self.config.resamples)
            self._row(method, "new/migrated", label, shares.of({("", label): 1.0}))
        self._curves(method, cells)
        for name in DERIVED_FROM if self.groups is not None else ():
            for cell, scores in cells.items():
                found = subgroup_scores(
                    METRICS.get(name).per_query(scores), self.groups, resamples=self.config.resamples
                )
                named = {"method": method, "seed": self.seed, "cell": cell, "metric": name}
                self.subgroups.append(named | found.to_dict())

    def _record_protocol(self, method: str, protocol: str, cells: dict[str, CellScores]) -> None:
        """Rows, curves and verdicts of one protocol; the threshold of an operating point is held in every resample."""
        named = {"method": method, "seed": self.seed, "protocol": protocol}
        self.protocols += [named | {"cell": cell} | scores.entry for cell, scores in cells.items()]
        shared = set.intersection(*(set(scores.per_query) for scores in cells.values()))
        columns = {(cell, name): cells[cell].per_query[name] for cell in cells for name in sorted(shared)}
        per = {name: weight for name, weight in cells["old/old"].per.items() if name in shared}
        means = Means(columns, self.config.resamples, per) if columns else None
        for cell, scores in cells.items():
            for name, value in scores.values.items():
                number: Interval | None
                if means is not None and name in shared:
                    number = means.of({(cell, name): 1.0})
                else:  # refused, or not a mean over queries
                    number = None if value is None else Interval(value, float("nan"), float("nan"), 0.95, 0)
                self._row(method, cell, name, number, scores.num_queries)
        if means is None:
            return
        for name in (name for name in cells["old/old"].values if name in shared):
            gain = means.of({("new/migrated", name): 1.0, ("old/old", name): -1.0})
            self._verdict(method, name, gain)
            self._derived(method, name, gain, means, cells["old/old"].num_queries)

    def _verdict(self, method: str, name: str, gain: Interval) -> None:
        self.verdicts.append(
            {"method": method, "seed": self.seed, "metric": name, "outcome": outcome_of(gain)}
            | {"difference": gain.estimate, "ci_low": gain.low, "ci_high": gain.high}
        )

    def _derived(self, method: str, name: str, gain: Interval, means: Means, num_queries: int | None = None) -> None:
        full_gain = {("paragon", name): 1.0, ("old/old", name): -1.0}
        recovered = means.ratio({("new/migrated", name): 1.0, ("old/old", name): -1.0}, full_gain)
        self._row(method, "new/migrated", f"gain({name})", gain, num_queries)
        self._row(method, "new/migrated", f"recovered_gain({name})", recovered, num_queries)
        updated = recovered if gain.estimate > 0 else None
        self._row(method, "new/migrated", f"update_gain({name})", updated, num_queries)
        cost = means.of({("paragon", name): 1.0, ("new/new", name): -1.0})
        self._row(method, "new/new", f"cost_to_new({name})", cost, num_queries)

    def _row(
        self, method: str, cell: str, metric: str, number: Interval | None, num_queries: int | None = None
    ) -> None:
        self.row(method, self.seed, cell, metric, number, num_queries)

    def _curves(self, method: str, cells: dict[str, RetrievalScores]) -> None:
        for cell, scores in cells.items():
            if scores.cmc_curve is None or scores.precision_at_recall is None:
                raise ValueError("curves are always asked for here")
            named = {"method": method, "seed": self.seed, "cell": cell}
            curve = {"cmc": scores.cmc_curve, "precision_at_recall": scores.precision_at_recall}
            self.curves.append(named | {key: [round(float(v), 6) for v in values] for key, values in curve.items()})
            labels = self.images.labels.numpy()
            self.per_class += [named | row for row in per_class(scores, labels, self.images.class_names)]


def _reference_levels(cells: Mapping[str, RetrievalScores], queries: np.ndarray) -> dict[str, dict[str, float]]:
    """Metric -> cell -> the level over these queries that a backfill lies between."""
    levels: dict[str, dict[str, float]] = {}
    for name in DERIVED_FROM:
        per_query = {cell: METRICS.get(name).per_query(cells[cell])[queries] for cell in REFERENCE_CELLS}
        levels[name] = {cell: float(values.mean()) for cell, values in per_query.items()}
    return levels


class Means:
    """Means over queries of named columns, and the same means in every bootstrap resample.

    A difference of cells is a linear combination of columns, a recovered gain a ratio of two: both are computed from
    the resampled means, so that everything is paired and the queries are drawn only once.

    Args:
        columns: (cell, metric) -> ``(Nq,)`` per valid query.
        resamples: number of bootstrap resamples.
        per: metric -> ``(Nq,)`` what a query's number counts, where that differs between queries: the mean is then the
            sum of the numbers over the sum of these.
    """

    def __init__(
        self,
        columns: dict[tuple[str, str], np.ndarray],
        resamples: int,
        per: Mapping[str, np.ndarray] = MappingProxyType({}),
    ) -> None:
        self.place = {key: index for index, key in enumerate(columns)}
        matrix = np.stack([*columns.values(), *per.values()], axis=1)  # (Nq, M + weights)
        self.means, self.resampled = matrix.mean(axis=0), bootstrap_means(matrix, resamples)
        for number, metric in enumerate(per, len(columns)):
            own = [place for (_, name), place in self.place.items() if name == metric]
            self.means[own] /= self.means[number]
            with np.errstate(invalid="ignore"):  # a resample may draw only queries that count nothing: NaN
                self.resampled[:, own] /= self.resampled[:, [number]]

    def of(self, weights: dict[tuple[str, str], float]) -> Interval:
        """``Σ weight · mean(column)`` with its percentile interval."""
        estimate, resampled = self._combine(weights)
        return interval(estimate, resampled)

    def ratio(self, top: dict[tuple[str, str], float], bottom: dict[tuple[str, str], float]) -> Interval | None:
        """``Σ top / Σ bottom``; None where the bottom is not positive, without bounds where it may be zero."""
        return ratio_interval(*self._combine(top), *self._combine(bottom))

    def _combine(self, weights: dict[tuple[str, str], float]) -> tuple[float, np.ndarray]:
        places = [self.place[key] for key in weights]
        factors = np.array(list(weights.values()))
        return float(self.means[places] @ factors), self.resampled[:, places] @ factors
