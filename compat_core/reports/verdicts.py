"""Verdicts pooled over seeds, and the sentences that say in plain words what a run found."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from compat_core.reports.frames import Results, Row, as_list, points_text, records, result_rows, rows_frame
from compat_core.reports.shares import share_over_seeds, values_by_seed

COMPATIBLE, NOT_COMPATIBLE, UNDECIDED, MIXED = "compatible", "not compatible", "undecided", "mixed/undecided"
MARKS = {COMPATIBLE: "✓", NOT_COMPATIBLE: "✗", UNDECIDED: "?", MIXED: "?"}
NOT_TESTED = "not tested"
_COUNTED = (COMPATIBLE, UNDECIDED, NOT_COMPATIBLE)
_FIELDS = ["run", "dataset", "method", "seed", "metric", "outcome", "difference", "ci_low", "ci_high"]


def seed_verdict(ci_low: float | None, ci_high: float | None) -> str:
    """The verdict of one seed from the 95 % interval of M(new/migrated) − M(old/old).

    ``compatible`` when the whole interval is above zero, ``not compatible`` when none of it is, else ``undecided``;
    ``not tested`` without an interval.

    Reference: BCT, arXiv:2003.11942, Eq. 2 (the strict inequality).
    """
    if ci_low is None or ci_high is None or pd.isna(ci_low) or pd.isna(ci_high):
        return NOT_TESTED
    return COMPATIBLE if ci_low > 0 else NOT_COMPATIBLE if ci_high <= 0 else UNDECIDED


def verdicts_from_rows(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """One verdict per (run, method, seed, metric), read from the ``gain(<metric>)`` rows."""
    return [
        {"run": row["run"], "dataset": row["dataset"], "method": row["method"], "seed": row["seed"],
         "metric": row["metric"][len("gain(") : -1], "outcome": seed_verdict(row["ci_low"], row["ci_high"]),
         "difference": row["value"], "ci_low": row["ci_low"], "ci_high": row["ci_high"]}
        for row in rows
        if row["metric"].startswith("gain(")
    ]  # fmt: skip


def pooled_verdict(outcomes: Sequence[str]) -> str:
    """One word for several seeds: what they all say, else ``mixed/undecided``.

    ``compatible`` only if every seed is compatible; ``not compatible`` only if every seed is not; anything else,
    undecided seeds included, is ``mixed/undecided``. A single seed keeps its own word. Seeds are never outvoted: one
    that fails is a failure somebody may meet.
    """
    outcomes = [outcome for outcome in outcomes if outcome != NOT_TESTED]
    if not outcomes:
        return NOT_TESTED
    if len(outcomes) == 1:
        return outcomes[0]
    first = outcomes[0]
    return first if first != UNDECIDED and all(outcome == first for outcome in outcomes) else MIXED


def verdict_table(results: Results | Sequence[Results]) -> pd.DataFrame:
    """Per run, method and metric: how the seeds were judged, and one overall word.

    The rule for the overall word, with several seeds: ``compatible`` only if all seeds' verdicts are compatible,
    ``not compatible`` only if all are not compatible, otherwise ``mixed/undecided``; one seed keeps its own verdict.

    Columns: run, dataset, method, metric, seeds, compatible, undecided, not compatible (counts of seeds), difference
    (mean over seeds of new/migrated − old/old, a fraction), difference_std (NaN for one seed), verdict.
    """
    return pool_verdicts(stored_verdicts(results))


def stored_verdicts(results: Results | Sequence[Results]) -> list[dict[str, Any]]:
    """The verdicts that ``results`` hold, one per run, method, seed and metric, each with its run and data set."""
    return [
        {"run": one.get("run", ""), "dataset": one.get("dataset", ""), **verdict}
        for one in as_list(results)
        for verdict in one.get("verdicts", ())
    ]


def pool_verdicts(verdicts: Sequence[Row]) -> pd.DataFrame:
    """:func:`verdict_table` of verdicts that carry their run and data set."""
    lines = []
    frame = pd.DataFrame([dict(verdict) for verdict in verdicts], columns=_FIELDS)
    for keys, part in frame.groupby(["run", "dataset", "method", "metric"], sort=False, dropna=False):
        outcomes = list(part["outcome"])
        difference = part["difference"].astype("float64")
        line = dict(zip(("run", "dataset", "method", "metric"), keys, strict=True)) | {"seeds": len(part)}
        line |= {outcome: outcomes.count(outcome) for outcome in _COUNTED}
        spread = {"difference": difference.mean(), "difference_std": difference.std()}
        lines.append(line | spread | {"verdict": pooled_verdict(outcomes)})
    columns = ["run", "dataset", "method", "metric", "seeds", *_COUNTED, "difference", "difference_std", "verdict"]
    return pd.DataFrame(lines, columns=columns)


def claims_sentences(results: Results | Sequence[Results], metric: str = "mAP") -> list[str]:
    """What each method achieved, one or two plain sentences per method, failures included.

    A sentence gives the verdict with its numbers (mean over seeds, the difference in percentage points and its 95 %
    interval; over several seeds, the span from the lowest to the highest bound), the share of the possible gain that
    was recovered, what the method costs the new model, and how many queries turn wrong.
    """
    sentences = []
    many = len(as_list(results)) > 1
    for one in as_list(results):
        frame = rows_frame(result_rows(one))
        verdicts = verdict_table(one)
        for method in dict.fromkeys(frame["method"]):
            judged = verdicts[(verdicts["method"] == method) & (verdicts["metric"] == metric)]
            facts = _Facts(frame[frame["method"] == method], metric, one.get("chance", {}).get(metric))
            if facts.mean("new/migrated", metric) is None:
                continue  # a pseudo-method that only carries the status quo or the ceiling makes no claim
            verdict = str(judged["verdict"].iloc[0]) if len(judged) else NOT_TESTED
            counts = {name: int(judged[name].iloc[0]) for name in _COUNTED} if len(judged) else {}
            text = "; ".join(filter(None, (facts.verdict(method, verdict, counts), *facts.consequences()))) + "."
            sentences.append(f"{one.get('run', '')}: {text}" if many else text)
    return sentences


class _Facts:
    """The numbers of one method that its sentence is made of."""

    def __init__(self, frame: pd.DataFrame, metric: str, chance: float | None) -> None:
        self.frame, self.metric, self.chance = frame, metric, chance

    def part(self, cell: str, metric: str) -> pd.DataFrame:
        return self.frame[(self.frame["cell"] == cell) & (self.frame["metric"] == metric)]

    def mean(self, cell: str, metric: str) -> float | None:
        share = share_over_seeds(metric, values_by_seed(records(self.frame)))
        if share is not None:
            return None if math.isnan(share.mean) else share.mean
        values = self.part(cell, metric)["value"].dropna()
        return float(values.mean()) if len(values) else None

    def span(self, cell: str, metric: str) -> tuple[float, float] | None:
        """The lowest and the highest interval bound over seeds."""
        part = self.part(cell, metric).dropna(subset=["ci_low", "ci_high"])
        return (float(part["ci_low"].min()), float(part["ci_high"].max())) if len(part) else None

    def verdict(self, method: str, verdict: str, counts: dict[str, int]) -> str:
        seeds = sum(counts.values())
        numbers = f"({self.numbers(seeds)})"
        if method.partition(":")[0] == "independent":
            method = f"{method} (naive swap)"
        if verdict == COMPATIBLE:
            return f"{method}: compatible {numbers}"
        if verdict == NOT_COMPATIBLE:
            return f"{method}: not compatible; it does not reach the status quo here {numbers}"
        if verdict == UNDECIDED:
            return f"{method}: undecided; these queries cannot tell it from the status quo {numbers}"
        if verdict == MIXED:
            each = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
            return f"{method}: mixed/undecided over {seeds} seeds, {each} {numbers}"
        return f"{method}: compatibility in {self.metric} was not tested {numbers}"

    def numbers(self, seeds: int) -> str:
        cross, status_quo = self.mean("new/migrated", self.metric), self.mean("old/old", self.metric)
        gain, span = (
            self.mean("new/migrated", f"gain({self.metric})"),
            self.span("new/migrated", f"gain({self.metric})"),
        )
        if gain is None and cross is not None and status_quo is not None:
            gain = cross - status_quo
        parts = [f"{self.metric} {_percent(cross)} against the status quo {_percent(status_quo)}"]
        parts += [] if gain is None else [f"{points_text(gain)} points"]
        if span is not None:
            bounds = f"{100 * span[0]:.1f}…{100 * span[1]:.1f}".replace("-", "−")
            parts.append(f"95 % interval {bounds}" if seeds <= 1 else f"95 % intervals of {seeds} seeds span {bounds}")
        if self.chance is not None:
            parts.append(f"chance {_percent(self.chance)}")
        return ", ".join(parts)

    def consequences(self) -> list[str]:
        parts = []
        status_quo, ceiling = self.mean("old/old", self.metric), self.mean("paragon", self.metric)
        recovered = self.mean("new/migrated", f"recovered_gain({self.metric})")
        if status_quo is not None and ceiling is not None and ceiling <= status_quo:
            parts.append(f"there is no gain to recover, the paragon has {_percent(ceiling)}")
        elif recovered is not None:
            what = f"{100 * recovered:.0f} %" if recovered > 0 else "none"
            parts.append(f"recovers {what} of the gain")
        parts += self.cost()
        worse, better = self.mean("new/migrated", "negative_flips"), self.mean("new/migrated", "positive_flips")
        if worse is not None and better is not None:
            parts.append(f"at rank 1, {_percent(worse)} of the queries turn wrong and {_percent(better)} turn right")
        return parts

    def cost(self) -> list[str]:
        name = f"cost_to_new({self.metric})"
        cost, span = self.mean("new/new", name), self.span("new/new", name)
        if cost is None:
            return []
        if round(100 * abs(cost), 1) == 0 and (span is None or max(map(abs, span)) < 0.0005):
            return ["costs the new model nothing"]
        if span is not None and span[0] <= 0 <= span[1]:
            if cost < 0:
                return [f"its new model is {100 * -cost:.1f} points above the paragon, which cannot be told from zero"]
            return [f"what it costs the new model, {points_text(cost)} points, cannot be told from zero"]
        if cost < 0:
            return [f"its new model is {100 * -cost:.1f} points above the paragon"]
        return [f"costs the new model {100 * cost:.1f} points"]


def _percent(fraction: float | None) -> str:
    return "not measured" if fraction is None else f"{100 * fraction:.1f} %"
