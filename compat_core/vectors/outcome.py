"""From the judged options to their rows, with paired intervals and the bill, and to a recommendation or none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from compat_core.adapters import VectorMap
from compat_core.metrics import FEWEST, bootstrap_means, interval
from compat_core.metrics.bootstrap import LEVEL, ratio_interval
from compat_core.vectors import options as ways
from compat_core.vectors.bill import FLOAT_BYTES, Bill, CostConfig, Work, bill
from compat_core.vectors.judge import METRICS, Judged
from compat_core.vectors.options import CEILING, STATUS_QUO, Option

IMITATION = (
    "The truth is the new model's own neighbours, which cannot show that it is better than the old one: that takes "
    "labels or relevance judgements."
)
Numbers = dict[str, float | None]  # value, ci_low, ci_high


@dataclass(frozen=True, slots=True)
class Row:
    """One option's line: means and intervals are fractions, over the judged queries.

    Attributes:
        gain: M(option) − M(status quo), by metric, with its interval; ``adjusted_low`` is the lower bound of the
            chosen metric's gain when the error is shared between all options (Bonferroni), 0 of too few queries.
        recovered: gain / (ceiling − status quo), by metric; None where the ceiling does not beat the status quo.
        lost, won: queries whose first item was right under the status quo and is wrong now, and the reverse.
        work, bill: what somebody has to do for it, and what that costs.
    """

    name: str
    kind: str
    summary: str
    backfilled: float
    values: dict[str, Numbers]
    gain: dict[str, Numbers]
    recovered: dict[str, Numbers | None]
    adjusted_low: float
    lost: float
    won: float
    work: Work
    bill: Bill


@dataclass(frozen=True, slots=True)
class Billing:
    """What turns an option into a bill: prices, items in production, dimensions, the maps' vectors per second, and the
    bytes of one old and one new number as they are stored."""

    costs: CostConfig
    items: int
    old_dim: int
    new_dim: int
    rates: Mapping[VectorMap, float]
    old_bytes: int = FLOAT_BYTES
    new_bytes: int = FLOAT_BYTES

    def work(self, option: Option) -> Work:
        """What the option makes somebody do."""
        return replace(self._gallery(option), second_query=option.kind == ways.TWO_SPACES)

    def _gallery(self, option: Option) -> Work:
        retrained, new_first = int(option.retrained), (self.new_bytes, self.old_bytes)
        if option.name == CEILING:
            # As after a migration, the old index is kept until the new one has proved itself.
            return Work(1.0, 0.0, self.new_dim, True, self.old_dim, 0, 0.0, *new_first)
        if option.kind == ways.TWO_SPACES and option.backfilled:
            return Work(option.backfilled, 0.0, self.old_dim, True, self.new_dim, 0, 0.0, *new_first[::-1])
        if option.maps_gallery:
            mapped = 1.0 - option.backfilled
            rate = 0.0 if option.vector_map is None else self.rates.get(option.vector_map, 0.0)
            kept = (FLOAT_BYTES, self.old_bytes)  # what migrate writes, whatever the files given hold
            return Work(option.backfilled, mapped, self.new_dim, True, self.old_dim, retrained, rate, *kept)
        return Work(0.0, 0.0, self.old_dim, retrained=retrained, number_bytes=self.old_bytes)


def outcome_rows(
    judged: Sequence[tuple[Option, Judged]], metric: str, billing: Billing, resamples: int, seed: int
) -> list[Row]:
    """One row per option, in the order given; all are resampled together, so that every difference is paired."""
    by_name = {option.name: found for option, found in judged}
    valid = ~np.isnan(by_name[STATUS_QUO].average_precision)
    columns = np.stack([found.of(name)[valid] for _, found in judged for name in METRICS], axis=1)
    means, drawn = columns.mean(axis=0), bootstrap_means(columns, resamples, seed)
    place = {(option.name, name): row * len(METRICS) + column
             for row, (option, _) in enumerate(judged) for column, name in enumerate(METRICS)}  # fmt: skip
    shared_level = 1 - (1 - LEVEL) / max(1, len(judged) - 1)
    rows = []
    for option, found in judged:
        values: dict[str, Numbers] = {}
        gains: dict[str, Numbers] = {}
        recovered: dict[str, Numbers | None] = {}
        low = 0.0
        for name in METRICS:
            own, base, top = (place[who, name] for who in (option.name, STATUS_QUO, CEILING))
            values[name] = interval(float(means[own]), drawn[:, own]).row()
            gain = drawn[:, own] - drawn[:, base]
            gains[name] = interval(float(means[own] - means[base]), gain).row()
            if name == metric:
                low = float(np.nan_to_num(interval(float(means[own] - means[base]), gain, shared_level).low))
            recovered[name] = _share(means[[own, base, top]], drawn[:, [own, base, top]])
        before, after = (one.top_1[valid] for one in (by_name[STATUS_QUO], found))
        work = billing.work(option)
        lost, won = float((before > after).mean()), float((before < after).mean())
        rows.append(
            Row(
                option.name, option.kind, option.summary, option.backfilled, values, gains, recovered, low, lost, won,
                work, bill(work, billing.costs, billing.items),
            )
        )  # fmt: skip
    return rows


def _share(means: np.ndarray, drawn: np.ndarray) -> Numbers | None:
    own, base, top = (float(value) for value in means)
    share = ratio_interval(own - base, drawn[:, 0] - drawn[:, 1], top - base, drawn[:, 2] - drawn[:, 1])
    return share.row() if share else None


@dataclass(frozen=True, slots=True)
class Answer:
    """What to do: the ``recommended`` option, or an empty name; the ``closest`` to the new model where the truth is its
    own neighbours, so that nothing can be recommended, else an empty name; and why."""

    recommended: str
    closest: str
    reason: str


def recommend(rows: Sequence[Row], metric: str, target: float, independent: bool, doubt: str = "") -> Answer:
    """The recommended option, if any, and why; ``doubt`` about the rows comes before everything else.

    An option is worth something when its whole gain interval lies above zero, the error shared between all options.
    Of those that reach ``target`` of the possible gain, the cheapest is recommended; the full backfill always does.
    Where the truth is the new model's own neighbours (not ``independent``), nothing is recommended: a worse new model
    would be imitated as well as a better one.
    """
    answer = _answer(rows, metric, target, independent)
    if not doubt:
        return answer
    return replace(
        answer, reason=f"Look at this first: {doubt} If they are the same items all the same: {answer.reason}"
    )


def _answer(rows: Sequence[Row], metric: str, target: float, independent: bool) -> Answer:
    if not independent:
        return _closest(rows, metric)
    ceiling = next(row for row in rows if row.name == CEILING)
    gain = ceiling.gain[metric]
    if gain["ci_high"] is None:
        few = f"fewer than {FEWEST} queries have a relevant item, too few to tell the options apart"
        return Answer("", "", f"Nothing can be recommended: {few}.")
    if ceiling.adjusted_low <= 0:
        worse = gain["ci_high"] < 0
        why = "is worse than the old one" if worse else "does not measurably beat the old one"
        keep = f"Keep the old model: even with every item embedded again the new model {why}"
        check = " Were the old and the new file swapped?" if worse else ""
        shared = ""
        if (gain["ci_low"] or 0.0) > 0:  # what the table shows alone would say otherwise
            low = _points(ceiling.adjusted_low)
            shared = f"; with the error shared between all options it may be as little as {low}"
        gained = f"{metric} {_points(gain['value'])} points{shared}"
        return Answer("", "", f"{keep} ({gained}).{check}{_better(rows, metric)}")
    enough = [
        row for row in rows if row.adjusted_low > 0 and ((row.recovered[metric] or {}).get("value") or 0.0) >= target
    ]
    chosen = min(enough, key=lambda row: (row.bill.money, row.bill.days, -(row.gain[metric]["value"] or 0.0)))
    why = f"The cheapest option that keeps at least {100 * target:.0f} % of the possible gain in {metric}."
    return Answer(chosen.name, "", why)


def _better(rows: Sequence[Row], metric: str) -> str:
    """What helps although the new model alone does not: both models asked, say."""
    able = [row for row in rows if row.adjusted_low > 0]
    if not able:
        return ""
    best = max(able, key=lambda row: row.gain[metric]["value"] or 0.0)
    gained = _points(best.gain[metric]["value"])
    return f" What does measurably beat it is {best.name} ({gained} points)"


def _closest(rows: Sequence[Row], metric: str) -> Answer:
    """Of the options that embed nothing again, the one that imitates the new model best; backfills are right by
    definition."""
    able = [row for row in rows if row.adjusted_low > 0 and not row.backfilled]
    if not able:
        why = "No option that embeds nothing again imitates the new model better than the status quo does."
        return Answer("", "", f"{why} {IMITATION}")
    chosen = max(able, key=lambda row: row.gain[metric]["value"] or 0.0)
    kept = (chosen.recovered[metric] or {}).get("value") or 0.0
    why = (
        f"Of the options that embed nothing again, it comes closest to the new model: {100 * kept:.0f} % of the way in "
        f"{metric}."
    )
    return Answer("", chosen.name, f"{why} {IMITATION}")


def _points(value: float | None) -> str:
    return f"{100 * (value or 0.0):+.1f}".replace("-", "−")


def with_costs(decided: Mapping[str, Any], costs: CostConfig) -> dict[str, Any]:
    """A stored decision under other prices: every bill and the recommendation anew, nothing judged again.

    Args:
        decided: ``Decision.to_dict()``, as ``decision.json`` holds it.
        costs: the inputs of the bill.
    """
    rows = []
    for stored in decided["rows"]:
        work = Work(**stored["work"])
        rows.append(Row(**stored | {"work": work, "bill": bill(work, costs, decided["num_items"])}))
    config = decided["config"]
    answer = recommend(rows, config["metric"], config["target"], decided["independent"], decided.get("doubt", ""))
    changed = {"rows": [asdict(row) for row in rows]} | asdict(answer)
    return dict(decided) | changed | {"config": config | {"costs": asdict(costs)}}
