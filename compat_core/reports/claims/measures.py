"""What most claims are made of: a difference between two methods, in the runs that satisfy some conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from compat_core.experiments.config import ExperimentConfig
from compat_core.losses import LOSSES, CosineLoss
from compat_core.losses.joint import JointLoss
from compat_core.reports.evidence import Evidence, Measurement, Side, check_names
from compat_core.spec import Spec

Condition = Callable[[ExperimentConfig], bool]


@dataclass(frozen=True, slots=True)
class Difference:
    """``better − worse`` in every run whose configuration satisfies every condition.

    Attributes:
        better, worse: the two sides, so that a positive difference supports the claim.
        metrics: the metrics it is measured in; each makes a finding of its own.
        where: the conditions, of which each says which runs can speak to the claim; none: every run.
    """

    better: Side
    worse: Side
    metrics: tuple[str, ...] = ("mAP",)
    where: tuple[Condition, ...] = ()

    def __call__(self, evidence: Evidence) -> list[Measurement]:
        if not all(holds(evidence.config) for holds in self.where):
            return []
        found = [evidence.differences(self.better, self.worse, metric) for metric in self.metrics]
        return [measurement for of_metric in found for measurement in of_metric]

    @property
    def takes(self) -> str:
        """What a run needs to speak to it, in words: its methods with the parameters that count, and the conditions."""
        methods = dict.fromkeys(Spec(side.method, dict(side.params)).text for side in (self.better, self.worse))
        conditions = [(holds.__doc__ or "").partition(".")[0].partition(":")[0] for holds in self.where]
        lowered = (words[:1].lower() + words[1:] for words in conditions)
        return "; ".join([f"a run with {' and '.join(methods)}", *lowered])

    def check(self) -> None:
        """Raises Misnamed where it names a method, a parameter or a metric that there is not."""
        for metric in self.metrics:
            check_names(metric, self.better, self.worse)


def cross(method: str, **params: Any) -> Side:
    """New queries in the migrated gallery of ``method``."""
    return Side(method, "new/migrated", params)


def old(method: str, **params: Any) -> Side:
    """The status quo, of the runs that hold ``method``."""
    return Side(method, "old/old", params)


def no_control(config: ExperimentConfig) -> bool:
    """Not a negative control: no ReLU, no change from softmax to cosine, no new model trained less than the old."""
    weaker = config.new.train.epochs < config.old.train.epochs
    return not (final_relu(config) or weaker or softmax_to_cosine(config))


def final_relu(config: ExperimentConfig) -> bool:
    """The new embedding ends in a ReLU."""
    return config.new.final_relu


def softmax_to_cosine(config: ExperimentConfig) -> bool:
    """From a loss that sees lengths to one that sees directions alone."""
    return not _on_the_sphere(config.old.loss) and _on_the_sphere(config.new.loss)


def new_classes(config: ExperimentConfig) -> bool:
    """The new model knows classes that the old one does not: elsewhere β and β-sys are the same method."""
    return config.scenario.old_classes < 1


def trained_apart(config: ExperimentConfig) -> bool:
    """Not both on one fixed simplex classifier, which is a way to be compatible."""
    return not config.old.loss.name == config.new.loss.name == "simplex"


def dimension_changed(config: ExperimentConfig) -> bool:
    """Old and new embeddings differ in dimension."""
    return config.old.dim != config.new.dim


def three_versions(config: ExperimentConfig) -> bool:
    """A chain in which a version lies between two others."""
    return len(config.scenario.chain) >= 3


def _on_the_sphere(loss: Spec) -> bool:
    """Whether the loss sees directions alone."""
    entry = LOSSES.get(loss.name)
    classifier = getattr(entry.configure(loss), "classifier", "normsoftmax")  # of a loss joined to a classifier
    return issubclass(entry.build, (CosineLoss, JointLoss)) and classifier == "normsoftmax"
