"""What finished runs say about a difference between two methods: paired by query, averaged over seeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from compat_core.errors import CompatError
from compat_core.experiments.artefacts import RANKINGS, Artefacts
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.run import Run
from compat_core.methods import METHODS
from compat_core.metrics import METRICS
from compat_core.spec import Spec


class NotKept(CompatError):
    """A finished run lacks what a claim is judged by, since it was made by an earlier version."""


class Misnamed(CompatError):
    """A claim names a method, a parameter of a method or a metric that there is not: no run could ever answer it."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a comparison: a method's cell, the method picked by name and, where it matters, by parameters."""

    method: str
    cell: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def matches(self, spec: Spec) -> bool:
        """True when ``spec`` is this method with these parameters, its defaults filled in."""
        if spec.name != self.method:
            return False
        config = METHODS.get(spec.name).configure(spec)
        return all(getattr(config, key) == value for key, value in self.params.items())


def check_names(metric: str, *sides: Side) -> None:
    """Raises Misnamed for a metric, or for a side's method or parameters, that there is not."""
    try:
        METRICS.get(metric)
        for side in sides:
            METHODS.get(side.method).configure(Spec(side.method, dict(side.params)))
    except CompatError as error:
        raise Misnamed(str(error)) from error


@dataclass(frozen=True, slots=True)
class Measurement:
    """A paired difference in one run.

    Attributes:
        run: the run's id.
        what: which two things were compared.
        gap: ``(S, Nq)`` the difference per seed and query, oriented so that positive supports the claim.
        unit: what ``gap`` has a column for, ``queries`` or ``classes``.
    """

    run: str
    what: str
    gap: np.ndarray
    unit: str = "queries"


@dataclass(frozen=True, slots=True)
class Evidence:
    """A finished run, read for claims."""

    run: Run
    config: ExperimentConfig

    @property
    def by_class(self) -> bool:
        """Whether the folder came without its ranked lists, which are large, so that claims are judged by class means.

        Resampling then draws whole classes: an interval is wider where queries of one class go right or wrong together.
        """
        return not (self.run.path / RANKINGS).is_dir()

    def labels(self, side: Side) -> list[str]:
        """Labels of the run's methods that ``side`` matches."""
        return [spec.label for spec in self.config.methods if side.matches(spec)]

    def values(self, label: str, cell: str, metric: str) -> np.ndarray:
        """``(S, Nq)`` float64: the metric per seed and valid query; ``(S, K)`` per class of :attr:`by_class`.

        Raises:
            NotKept: for a run that was made before metrics were kept per query, or that keeps too little by class.
            CompatError: when one of the ranked lists is not there.
        """
        if self.by_class:
            return self._class_means(label, cell, metric)
        files = Artefacts(self.run.path)
        cells = [files.ranking(seed, label, cell) for seed in self.config.seeds]
        if not all(metric in found for found in cells):
            rule = f"keeps no {metric} per query, which claims are judged by"
            raise NotKept(f"run {self.run.id}", rule=rule, fix="run it again")
        stacked = np.stack([found[metric].astype(np.float64) for found in cells])
        return stacked[:, ~np.isnan(stacked).any(axis=0)]

    def _class_means(self, label: str, cell: str, metric: str) -> np.ndarray:
        rows = (self.run.derive(_class_rows) or {}).get((label, cell), ())
        chosen = [row for row in rows if metric in row]
        by_seed = [[row for row in chosen if row["seed"] == seed] for seed in self.config.seeds]
        names, sizes = {tuple(row["class"] for row in one) for one in by_seed}, {row["num_queries"] for row in chosen}
        if len(names) != 1 or len(sizes) != 1:
            rule = f"has no ranked lists, and no {metric} of classes of equal size to judge claims by"
            raise NotKept(f"run {self.run.id}", rule=rule, fix=f"copy its folder {RANKINGS}, or run it again")
        return np.array([[row[metric] for row in one] for one in by_seed])

    def differences(self, better: Side, worse: Side, metric: str) -> list[Measurement]:
        """``better − worse`` for every pair of matching methods; two variants of one method are a pair where nothing
        but what the sides name tells them apart.

        Cells that do not depend on the method (``old/old``, ``paragon``) are taken from the better side's own method
        and the other way round, so a claim may name either side's method there. A chain of versions offers its own
        cells (``v3/v1``) and no others.

        Raises:
            Misnamed: for a method, a parameter or a metric that there is not, in a run without it as well.
        """
        check_names(metric, better, worse)
        if bool(self.config.scenario.chain) != better.cell.startswith("v"):
            return []
        found = []
        for first in self.labels(better):
            same = worse.method == better.method and worse.params in ({}, better.params)
            seconds = [first] if same else self.labels(worse)
            for second in seconds:
                if (first == second and better.cell == worse.cell) or not self._alike(first, second, better, worse):
                    continue
                gap = self.values(first, better.cell, metric) - self.values(second, worse.cell, metric)
                what = f"{first} {better.cell} − {second} {worse.cell}" + (f", {metric}" if metric != "mAP" else "")
                unit = "classes" if self.by_class else "queries"
                found.append(Measurement(self.run.id, what, gap, unit))
        return found

    def _alike(self, first: str, second: str, better: Side, worse: Side) -> bool:
        """Whether two labels are of two methods, or of one with the same values of all that no side names.

        Where a side names a parameter as ``none``, what describes it (``side_epochs`` of ``side``) describes nothing.
        """
        one, other = (next(spec for spec in self.config.methods if spec.label == label) for label in (first, second))
        if one.name != other.name:
            return True
        method = METHODS.get(one.name)
        configs = method.configure(one), method.configure(other)
        named = {*better.params, *worse.params}
        absent = tuple(f"{name}_" for side in (better, worse) for name, value in side.params.items() if value == "none")
        names = {entry.name for entry in dataclasses.fields(method.config)} - named
        names = {name for name in names if not name.startswith(absent)}
        return all(getattr(configs[0], name) == getattr(configs[1], name) for name in names)

    def backfill_differences(
        self, method: str, better: str, worse: str, metric: str, **params: Any
    ) -> list[Measurement]:
        """Area under the backfill curve of the ordering ``better`` less that of ``worse``, where both were drawn.

        Raises:
            NotKept: for a run that drew both and came without its areas per query.
            Misnamed: for a method, a parameter or a metric that there is not.
        """
        side = Side(method, "new/migrated", params)
        check_names(metric, side)
        found = []
        for label in self.labels(side) if not self.config.scenario.chain else ():
            if self.by_class:
                curves = (self.run.results() or {}).get("backfill", [])
                if {better, worse} <= {curve["order"] for curve in curves if curve["method"] == label}:
                    rule = "came without its backfill's areas per query, which orders are compared by"
                    raise NotKept(f"run {self.run.id}", rule=rule, fix=f"copy its folder {RANKINGS}, or run it again")
            areas = [Artefacts(self.run.path).backfill(seed, label) for seed in self.config.seeds]
            keys = f"{better} {metric}", f"{worse} {metric}"
            if all(key in area for area in areas for key in keys):
                gap = np.stack([area[keys[0]].astype(np.float64) - area[keys[1]] for area in areas])
                what = f"{label} backfill area, {better} − {worse}"
                found.append(Measurement(self.run.id, what, gap))
        return found

    def mean(self, side: Side, metric: str) -> float | None:
        """The mean over seeds and queries in ``side``'s cell of its first matching method; None without one."""
        check_names(metric, side)
        labels = self.labels(side)
        return float(self.values(labels[0], side.cell, metric).mean()) if labels else None

    def budget(self) -> str:
        """What the run could spend, in words: data, models, epochs, images, seeds. A claim holds at a budget."""
        old, new = self.config.old, self.config.new
        card = (self.run.results() or {}).get("dataset_card", {})
        both = f"{old.arch} → {new.arch}" if old.arch != new.arch else new.arch
        epochs = (
            f"{old.train.epochs} → {new.train.epochs}" if old.train.epochs != new.train.epochs else new.train.epochs
        )
        parts = [
            str(card.get("name") or self.config.data.dataset.rsplit("/", 1)[-1]),
            both,
            f"{epochs} epochs",
            f"{card['train_images']:,} training images" if "train_images" in card else "",
            f"{len(self.config.seeds)} seed{'s' if len(self.config.seeds) > 1 else ''}",
            f"searched by {self.config.distance}" if self.config.distance != "cosine" else "",
            "intervals over classes" if self.by_class else "",
        ]
        return ", ".join(filter(None, parts))


def _class_rows(results: dict[str, Any]) -> Mapping[tuple[str, str], tuple[dict[str, Any], ...]]:
    """The rows of ``per_class`` by method and cell."""
    found: dict[tuple[str, str], tuple[dict[str, Any], ...]] = {}
    for row in results.get("per_class", ()):
        found[row["method"], row["cell"]] = (*found.get((row["method"], row["cell"]), ()), row)
    return MappingProxyType(found)
