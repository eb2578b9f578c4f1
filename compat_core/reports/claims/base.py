"""Published claims as data: a statement, its source, the test that would refute it, and what runs say.

A claim is about a difference that should be positive (or exactly zero). It *holds* in a run when the whole paired
95 % interval of the difference lies above its margin and so does the difference of every seed; it *does not hold* when
all of these lie below; otherwise the run leaves it *undecided*. The interval is that of the mean over seeds, from
resampled queries: it knows nothing of how much trainings differ, which is why every seed is asked, either way. Over
several runs it holds only if it holds in all of them, and one run that refutes it is enough. Without a run that can
speak to it, it is *not tested*.

A claim is an entry of ``CLAIMS``, registered by a file of this folder.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from compat_core.errors import CompatError
from compat_core.experiments.run import Run
from compat_core.metrics import bootstrap_mean
from compat_core.registry import Registry
from compat_core.reports.claims.measures import Difference
from compat_core.reports.evidence import Evidence, Measurement, Misnamed, NotKept

OUTCOMES = ("holds", "does not hold", "undecided", "not tested")


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

    Raises:
        CompatError: for a difference between methods, parameters or metrics that there are not.
    """

    name: str
    statement: str
    source: str
    refuted_by: str
    measure: Callable[[Evidence], list[Measurement]]
    margin: float = 0.0
    exact: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.measure, Difference):
            try:
                self.measure.check()
            except Misnamed as error:
                raise CompatError(f"claim {self.name}: {error}") from error

    def judged(self, low: float | None, high: float | None, seeds: Sequence[float]) -> str:
        """The outcome of an interval, whose bounds are None of too few queries, and the difference of every seed."""
        if low is None or high is None:
            return "undecided"
        if low > self.margin and min(seeds) > self.margin:
            return "holds"
        return "does not hold" if high <= self.margin and max(seeds) <= self.margin else "undecided"

    @property
    def takes(self) -> str:
        """What a run needs to speak to it, in words; empty where the measure does not say."""
        return getattr(self.measure, "takes", "")

    def to_dict(self) -> dict[str, Any]:
        """What it says, in JSON types."""
        return {key: getattr(self, key) for key in ("name", "statement", "source", "refuted_by", "margin", "takes")}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one run says about one claim.

    ``budget`` says what the run could spend, since a claim holds at a budget; ``value``, ``ci_low`` and ``ci_high`` are
    the mean difference over queries and seeds with its interval, None of too few; ``per_seed`` its value for every
    seed; ``num_queries`` what was resampled, by ``unit``: queries, or classes.
    """

    run: str
    what: str
    budget: str
    outcome: str
    value: float
    ci_low: float | None
    ci_high: float | None
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
        findings = [dataclasses.asdict(entry) for entry in self.findings]
        return self.claim.to_dict() | {
            "outcome": self.outcome,
            "findings": findings,
            "passed_over": list(self.passed_over),
        }


CLAIMS: Registry[Claim] = Registry("claim")


def answer(claim: Claim, runs: Sequence[Run], resamples: int = 10_000) -> Answer:
    """Put ``claim`` to finished runs.

    Args:
        claim: the claim.
        runs: finished runs; those that cannot speak to the claim are passed over, and why is kept where they should
            be able to: made before what it needs was kept, a configuration that cannot be read, ranked lists gone, a
            bug in the claim.
        resamples: bootstrap resamples of each interval.

    Raises:
        CompatError: for a claim about a method, a parameter or a metric that there is not, which no run could answer.
    """
    findings: list[Finding] = []
    passed_over: list[str] = []
    for run in runs:
        try:
            findings += _ask(claim, run, resamples)
        except Misnamed as error:
            raise CompatError(f"claim {claim.name}: {error}") from error
        except NotKept as error:
            passed_over.append(str(error))
        except CompatError as error:
            passed_over.append(f"run {run.id} is left out: {error}")
        except Exception as error:  # noqa: BLE001  (the other claims, and this one of other runs, keep their say)
            line = " ".join(f"{type(error).__name__}: {error}".split())
            passed_over.append(f"claim {claim.name} failed on run {run.id}: {line}")
    return Answer(claim, pool([finding.outcome for finding in findings]), tuple(findings), tuple(passed_over))


def pool(outcomes: Sequence[str]) -> str:
    """One outcome for the findings of several runs: one that refutes is enough, and to hold all must hold."""
    if not outcomes:
        return "not tested"
    if "does not hold" in outcomes:
        return "does not hold"
    return "holds" if set(outcomes) == {"holds"} else "undecided"


def _ask(claim: Claim, run: Run, resamples: int) -> list[Finding]:
    evidence = Evidence(run, run.config)
    measured = claim.measure(evidence)
    budget = evidence.budget()
    return [_judge(claim, measurement, resamples, budget) for measurement in measured]


def _judge(claim: Claim, measurement: Measurement, resamples: int, budget: str) -> Finding:
    gap = measurement.gap.mean(axis=0)
    seeds = measurement.gap.mean(axis=1)
    number = bootstrap_mean(gap, resamples)
    bounds = number.row()
    if claim.exact:
        outcome = "holds" if not measurement.gap.any() else "does not hold"
    else:
        outcome = claim.judged(bounds["ci_low"], bounds["ci_high"], seeds.tolist())
    return Finding(
        measurement.run, measurement.what, budget, outcome, number.estimate, bounds["ci_low"], bounds["ci_high"],
        tuple(float(value) for value in seeds), len(gap), measurement.unit,
    )  # fmt: skip
