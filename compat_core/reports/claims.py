"""Published claims as data: a statement, its source, the test that would refute it, and what runs say.

A claim is about a difference that should be positive (or exactly zero). It *holds* in a run when the whole paired
95 % interval of the difference lies above its margin and every seed agrees in sign; it *does not hold* when the whole
interval lies below; otherwise the run leaves it *undecided*. Over several runs it holds only if it holds in all of
them, and one run that refutes it is enough. Without a run that can speak to it, it is *not tested*.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from compat_core.errors import CompatError
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.run import Run
from compat_core.losses import LOSSES, CosineLoss
from compat_core.losses.joint import JointLoss
from compat_core.methods.fastfill import searched_error
from compat_core.methods.lce import LceConfig
from compat_core.metrics import bootstrap_mean
from compat_core.registry import Registry
from compat_core.reports.evidence import Evidence, Measurement, NotKept, Side
from compat_core.spec import Spec

OUTCOMES = ("holds", "does not hold", "undecided", "not tested")

BCT = "BCT, Shen et al. 2020, arXiv 2003.11942"
FCT = "FCT, Ramanujan et al. 2022, arXiv 2112.02805"
FASTFILL = "FastFill, Jaeckle et al. 2023, arXiv 2303.04766"
LCE = "LCE, Meng et al. 2021, arXiv 2108.01958"


@dataclass(frozen=True, slots=True)
class Claim:
    """A statement that runs can refute.

    Attributes:
        name: short name.
        statement: what is claimed.
        source: paper, table or section.
        refuted_by: in words, the result that would refute it.
        measure: the differences a run offers; empty where it cannot speak to the claim.
        margin: the difference must exceed this, in the metric's units.
        exact: the difference must be zero for every query.
    """

    name: str
    statement: str
    source: str
    refuted_by: str
    measure: Callable[[Evidence], list[Measurement]]
    margin: float = 0.0
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """What one run says about one claim.

    ``budget`` says what the run could spend, since a claim holds at a budget; ``value``, ``ci_low`` and ``ci_high`` are
    the mean difference over queries and seeds with its interval; ``per_seed`` its value for every seed; ``num_queries``
    what was resampled, by ``unit``: queries, or classes.
    """

    run: str
    what: str
    budget: str
    outcome: str
    value: float
    ci_low: float
    ci_high: float
    per_seed: tuple[float, ...]
    num_queries: int
    unit: str = "queries"


@dataclass(frozen=True, slots=True)
class Answer:
    """What all given runs together say about one claim; ``passed_over`` says why a run says nothing that could."""

    claim: Claim
    outcome: str
    findings: tuple[Finding, ...]
    passed_over: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        text = {key: getattr(self.claim, key) for key in ("name", "statement", "source", "refuted_by", "margin")}
        findings = [dataclasses.asdict(entry) for entry in self.findings]
        return text | {"outcome": self.outcome, "findings": findings, "passed_over": list(self.passed_over)}


CLAIMS: Registry[Claim] = Registry("claim")


def answer(claim: Claim, runs: Sequence[Run], resamples: int = 10_000) -> Answer:
    """Put ``claim`` to finished runs.

    Args:
        claim: the claim.
        runs: finished runs; those that cannot speak to the claim are passed over, and why is kept where they should
            be able to: made before what it needs was kept, a configuration that cannot be read, ranked lists gone.
        resamples: bootstrap resamples of each interval.
    """
    findings: list[Finding] = []
    passed_over: list[str] = []
    for run in runs:
        try:
            evidence = Evidence(run, run.config)
            measured = claim.measure(evidence)
        except NotKept as error:
            passed_over.append(str(error))
            continue
        except CompatError as error:
            passed_over.append(f"run {run.id} is left out: {error}")
            continue
        budget = evidence.budget()
        findings += [_judge(claim, measurement, resamples, budget) for measurement in measured]
    return Answer(claim, pool([finding.outcome for finding in findings]), tuple(findings), tuple(passed_over))


def pool(outcomes: Sequence[str]) -> str:
    """One outcome for the findings of several runs: one that refutes is enough, and to hold all must hold."""
    if not outcomes:
        return "not tested"
    if "does not hold" in outcomes:
        return "does not hold"
    return "holds" if set(outcomes) == {"holds"} else "undecided"


def _judge(claim: Claim, measurement: Measurement, resamples: int, budget: str) -> Finding:
    gap = measurement.gap.mean(axis=0)
    seeds = measurement.gap.mean(axis=1)
    number = bootstrap_mean(gap, resamples)
    if claim.exact:
        outcome = "holds" if not measurement.gap.any() else "does not hold"
    elif number.low > claim.margin and bool((seeds > claim.margin).all()):
        outcome = "holds"
    else:
        outcome = "does not hold" if number.high <= claim.margin else "undecided"
    return Finding(
        measurement.run, measurement.what, budget, outcome, number.estimate, number.low, number.high,
        tuple(float(value) for value in seeds), len(gap), measurement.unit,
    )  # fmt: skip


def _difference(
    better: Side,
    worse: Side,
    metric: str = "mAP",
    where: Callable[[ExperimentConfig], bool] = lambda config: True,
) -> Callable[[Evidence], list[Measurement]]:
    """Measure ``better − worse`` in every run whose configuration satisfies ``where``."""

    def measure(evidence: Evidence) -> list[Measurement]:
        return evidence.differences(better, worse, metric) if where(evidence.config) else []

    return measure


def _on_both_metrics(
    better: Side, worse: Side, where: Callable[[ExperimentConfig], bool]
) -> Callable[[Evidence], list[Measurement]]:
    """The same in mAP and in CMC@1: what was published at a strict operating point may show in one of them only."""
    measures = [_difference(better, worse, metric, where) for metric in ("mAP", "CMC@1")]
    return lambda evidence: [found for measure in measures for found in measure(evidence)]


def _weaker_new(evidence: Evidence) -> list[Measurement]:
    """old/old − new/migrated of FCT, in runs whose new model is worse than the old one."""
    if evidence.config.scenario.chain:
        return []
    old, new = (evidence.mean(Side("fct", cell), "mAP") for cell in ("old/old", "paragon"))
    if old is None or new is None or new >= old:
        return []
    return evidence.differences(_old("fct"), _cross("fct"), "mAP")


def _beats_random(order: str) -> Callable[[Evidence], list[Measurement]]:
    """Backfill curves of FastFill with σ of the error that the run's search suffers; another error is another
    experiment."""

    def measure(evidence: Evidence) -> list[Measurement]:
        errors = ("searched", searched_error(evidence.config.distance))
        orders = [evidence.backfill_differences("fastfill", order, "random", "mAP", error=error) for error in errors]
        return [found for of_error in orders for found in of_error]

    return measure


def _dimension_changed(config: ExperimentConfig) -> bool:
    return config.old.dim != config.new.dim


def _no_control(config: ExperimentConfig) -> bool:
    """Not a negative control: no ReLU, no change from softmax to cosine, no new model trained less than the old."""
    weaker = config.new.train.epochs < config.old.train.epochs
    return not (config.new.final_relu or weaker or _softmax_to_cosine(config))


def _new_classes(config: ExperimentConfig) -> bool:
    """The new model knows classes that the old one does not: elsewhere β and β-sys are the same method."""
    return _no_control(config) and config.scenario.old_classes < 1


def _softmax_to_cosine(config: ExperimentConfig) -> bool:
    return not _on_the_sphere(config.old.loss) and _on_the_sphere(config.new.loss)


def _on_the_sphere(loss: Spec) -> bool:
    """Whether the loss sees directions alone."""
    entry = LOSSES.get(loss.name)
    classifier = getattr(entry.configure(loss), "classifier", "normsoftmax")  # of a loss joined to a classifier
    return issubclass(entry.build, (CosineLoss, JointLoss)) and classifier == "normsoftmax"


def _trained_apart(config: ExperimentConfig) -> bool:
    """Not both on one fixed simplex classifier, which is a way to be compatible."""
    return not config.old.loss.name == config.new.loss.name == "simplex"


def _three_versions(config: ExperimentConfig) -> bool:
    return len(config.scenario.chain) >= 3


def _cross(method: str, **params: Any) -> Side:
    return Side(method, "new/migrated", params)


def _old(method: str, **params: Any) -> Side:
    return Side(method, "old/old", params)


# The published parameters, where LCE's are its defaults here: another weight, or all rows synthesised, is another
# experiment.
BETA = {"weight": 1.0}
SYS = {"weight": 1.0, "rows": "new"}
OFFERED = dataclasses.asdict(LceConfig())


_COMPATIBLE_MEANS = "A run in which the interval of new/migrated − old/old (mAP) lies at or below zero."

for _claim in (
    Claim(
        "independent-incompatible",
        "Independently trained models are incompatible: new queries cannot search the old gallery.",
        f"{BCT}, Table 1",
        "A run in which the naive swap does not fall below old/old (mAP).",
        _difference(_old("independent"), Side("independent", "new/old"), where=_trained_apart),
    ),
    Claim(
        "bct-compatible",
        "BCT's new model searches the old gallery better than the old model does, without backfilling.",
        f"{BCT}, Table 1",
        _COMPATIBLE_MEANS,
        _difference(_cross("bct", **BETA), _old("bct", **BETA), where=_no_control),
    ),
    Claim(
        "bct-sys-compatible",
        "BCT with synthesised classifier rows (β-sys) is compatible without backfilling.",
        f"{BCT}, Table 1",
        _COMPATIBLE_MEANS,
        _difference(_cross("bct-sys", **SYS), _old("bct-sys", **SYS), where=_no_control),
    ),
    Claim(
        "bct-costs",
        "Backward-compatible training costs the new model some of its own accuracy.",
        f"{BCT}, Table 1; {FCT}, section 1",
        "A run in which the interval of paragon − new/new of β-sys (mAP) lies at or below zero.",
        _difference(Side("bct-sys", "paragon", SYS), Side("bct-sys", "new/new", SYS), where=_no_control),
    ),
    Claim(
        "sys-beats-beta",
        "Synthesising classifier rows for new classes beats using the old classes alone.",
        f"{BCT}, Table 1",
        "A run with new classes in which the interval of β-sys − β in new/old (mAP) lies at or below zero.",
        _difference(_cross("bct-sys", **SYS), _cross("bct", **BETA), where=_new_classes),
    ),
    Claim(
        "l2-fails",
        "Pulling new embeddings onto old ones (ℓ2) does not make the models compatible.",
        f"{BCT}, Table 1",
        "A run in which ℓ2's new/old is not below old/old (mAP).",
        _difference(_old("l2"), _cross("l2")),
    ),
    Claim(
        "lwf-fails",
        "Learning without Forgetting does not make the models compatible.",
        f"{BCT}, Table 1",
        "A run in which LwF's new/old is not below old/old (mAP).",
        _difference(_old("lwf"), _cross("lwf")),
    ),
    Claim(
        "lce-costs-less",
        "LCE costs the new model less than BCT does.",
        f"{LCE}, Tables 2–4",
        "A run in which new/new of LCE, its weights as they are offered here, is not above that of β-sys (mAP).",
        _difference(Side("lce", "new/new", OFFERED), Side("bct-sys", "new/new", SYS), where=_no_control),
    ),
    Claim(
        "lce-crosses-better",
        "LCE searches the old gallery better than BCT does.",
        f"{LCE}, Tables 2–4",
        "A run in which new/old of LCE, its weights as they are offered here, is not above that of β-sys (mAP).",
        _difference(_cross("lce", **OFFERED), _cross("bct-sys", **SYS), where=_no_control),
    ),
    Claim(
        "lce-crosses-dimensions",
        "LCE with a transformation stays compatible when the embedding dimension changes.",
        f"{LCE}, experiments across embedding dimensions",
        "A run with two dimensions in which lce-transformed's new/migrated is not above old/old (mAP).",
        _difference(_cross("lce-transformed"), _old("lce-transformed"), where=_dimension_changed),
    ),
    Claim(
        "chain-two-steps",
        "A chain stays compatible two steps apart: v3, trained against v2 alone, searches v1's gallery.",
        f"{BCT}, 25 → 50 → 100 % of the training data",
        "A chain in which β-sys' v3/v1 is not above v1/v1 (mAP).",
        _difference(Side("bct-sys", "v3/v1", SYS), Side("bct-sys", "v1/v1", SYS), where=_three_versions),
    ),
    Claim(
        "fct-untouched",
        "FCT leaves the new model exactly as it is.",
        f"{FCT}, section 3",
        "A run in which a single query's average precision differs between new/new and the paragon.",
        _difference(Side("fct", "new/new"), Side("fct", "paragon")),
        exact=True,
    ),
    Claim(
        "fct-beats-bct",
        "FCT's cross test beats BCT's by a wide margin (here: more than 5 points of top-1, the paper's smallest).",
        f"{FCT}, abstract: +18.1 % ImageNet, +5.4 % Places-365, +8.3 % VGG-Face2",
        "A run in which the interval of fct − bct-sys in new/migrated (CMC@1) lies at or below 0.05.",
        _difference(_cross("fct", side="simclr"), _cross("bct-sys", **SYS), "CMC@1", _no_control),
        margin=0.05,
    ),
    Claim(
        "side-information-helps",
        "Side-information makes the transformation better.",
        f"{FCT}, Table 1",
        "A run in which fct with SimCLR side-information is not above fct without any (mAP).",
        _difference(_cross("fct", side="simclr"), _cross("fct", side="none")),
    ),
    Claim(
        "simclr-beats-autoencoder",
        "SimCLR side-information helps more than an autoencoder's.",
        f"{FCT}, section 4",
        "A run in which fct with SimCLR is not above fct with an autoencoder (mAP).",
        _difference(_cross("fct", side="simclr"), _cross("fct", side="autoencoder")),
    ),
    Claim(
        "sigma-beats-random",
        "Backfilling in the order of FastFill's predicted uncertainty beats a random order.",
        f"{FASTFILL}, backfill curves",
        "A run in which the area under fastfill's σ curve is not above that of its random curves (mAP), σ trained on "
        "the error that the run's distance sees: raw vectors under l2, as published, directions under cosine.",
        _beats_random("sigma"),
    ),
    Claim(
        "worst-first-beats-random",
        "Backfilling the rows that lie farthest from their new vectors first beats a random order.",
        f"{FASTFILL}, the idea behind its ordering",
        "A run in which the area under fastfill's oracle curve is not above that of its random curves (mAP).",
        _beats_random("oracle"),
    ),
    Claim(
        "weaker-new-drags-fct",
        "A new model that is weaker than the old one drags FCT's cross test below the status quo.",
        "reported by third parties for FCT's released code",
        "A run whose paragon is below old/old and in which fct's new/migrated is not (mAP).",
        _weaker_new,
    ),
    Claim(
        "relu-breaks-bct",
        "A ReLU at the end of the new embedding breaks BCT.",
        f"{BCT}, Table 4",
        "A run with a final ReLU in which β-sys is not below old/old (mAP, or CMC@1).",
        _on_both_metrics(_old("bct-sys", **SYS), _cross("bct-sys", **SYS), lambda config: config.new.final_relu),
    ),
    Claim(
        "softmax-to-cosine-breaks-bct",
        "Changing from a plain softmax (old) to a cosine loss (new) breaks BCT.",
        f"{BCT}, Table 4",
        "A run from softmax to a cosine loss in which β-sys is not below old/old (mAP, or CMC@1).",
        _on_both_metrics(_old("bct-sys", **SYS), _cross("bct-sys", **SYS), _softmax_to_cosine),
    ),
):
    CLAIMS.add(_claim)
