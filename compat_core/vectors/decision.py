"""Which option is worth it: all of them judged on held-out items, with intervals, and one recommendation or none."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from compat_core.adapters import ADAPTERS, Adapter, Pairs, VectorMap
from compat_core.config import check_ranges, param
from compat_core.errors import CompatError
from compat_core.metrics import bootstrap_means, interval
from compat_core.metrics.bootstrap import LEVEL
from compat_core.vectors import options as ways
from compat_core.vectors.bill import Bill, CostConfig, Work, bill
from compat_core.vectors.judge import METRICS, Judged, judge
from compat_core.vectors.options import CEILING, STATUS_QUO, Judging, Option
from compat_core.vectors.relevance import Relevance, from_judgements, from_labels, from_new_model

SLERP_WEIGHTS = (0.2, 0.4, 0.6, 0.8)
SLERP_MAP = "procrustes"
VALIDATED = 2_000  # most items that choices between fitted options are made on
TIMED_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class DecisionConfig:
    """How options are fitted, judged and chosen between."""

    adapters: tuple[str, ...] = param((), "adapters to fit; empty = all that the given data allow")
    pairs: int = param(20_000, "most pairs the adapters are fitted on", unit="pairs", low=10, high=10_000_000)
    judged: int = param(4_000, "most held-out items that are searched", unit="items", low=20, high=200_000)
    queries: int = param(1_000, "most held-out items that query", unit="queries", low=10, high=200_000)
    distance: str = param("cosine", "how vectors are compared", choices=("cosine", "l2", "dot"))
    shares: tuple[float, ...] = param(ways.SHARES, "shares of the gallery tried as a part backfill, each in (0, 1)")
    metric: str = param("mAP", "the metric the recommendation rests on", choices=METRICS)
    target: float = param(0.9, "share of the possible gain that is good enough", low=0.0, high=1.0)
    resamples: int = param(10_000, "bootstrap resamples of each interval", low=100, high=1_000_000)
    seed: int = param(0, "of the split, the fits and the backfill order", low=0)
    costs: CostConfig = field(default_factory=CostConfig, metadata={"help": "the inputs of the bill"})

    def __post_init__(self) -> None:
        check_ranges(self)
        if not all(0 < share < 1 for share in self.shares):
            raise CompatError("shares", value=list(self.shares), rule="must lie between 0 and 1")
        for name in self.adapters:
            ADAPTERS.get(name)


@dataclass(frozen=True, slots=True)
class Row:
    """One option's line: means and intervals are fractions, over the judged queries.

    Attributes:
        gain: M(option) − M(status quo), by metric, with its interval; ``adjusted_low`` is the lower bound of the
            chosen metric's gain when the error is shared between all options (Bonferroni).
        recovered: gain / (ceiling − status quo), by metric; None where the ceiling does not beat the status quo.
        lost, won: queries whose first item was right under the status quo and is wrong now, and the reverse.
    """

    name: str
    kind: str
    summary: str
    backfilled: float
    values: dict[str, dict[str, float | None]]
    gain: dict[str, dict[str, float | None]]
    recovered: dict[str, dict[str, float | None] | None]
    adjusted_low: float
    lost: float
    won: float
    bill: Bill


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything that was found. ``recommended`` is the name of an option, or empty where none is worth it."""

    rows: tuple[Row, ...]
    recommended: str
    reason: str
    truth: str
    num_pairs: int
    num_judged: int
    num_queries: int
    num_skipped: int
    config: DecisionConfig

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return dataclasses.asdict(self)

    def row(self, name: str) -> Row:
        """The line of one option."""
        return next(row for row in self.rows if row.name == name)


@dataclass(frozen=True, slots=True)
class Given:
    """The user's vectors: row i of ``old (N, D_old)`` and of ``new (N, D_new)`` are one item.

    Attributes:
        labels: ``(N,)``, or None.
        ids: ``(N,)`` texts; row numbers where there are none.
        judgements: query id -> item id -> relevance, or None.
        side: side-information stored with the old vectors ``(N, D_side)``, or None.
    """

    old: Any
    new: Any
    labels: np.ndarray | None = None
    ids: np.ndarray | None = None
    judgements: dict[str, dict[str, float]] | None = None
    side: Any = None


@dataclass(frozen=True, slots=True)
class Split:
    """Disjoint sets of rows: ``fit`` adapters on, ``validate`` choices between them, ``judge`` every option.

    ``queries`` are positions among ``judged``.
    """

    fit: np.ndarray
    validate: np.ndarray
    judged: np.ndarray
    queries: np.ndarray


def split_rows(count: int, config: DecisionConfig) -> Split:
    """A random but fixed split: at most half of the rows are judged, the others may be fitted on.

    Raises:
        CompatError: for fewer than 40 items.
    """
    if count < 40:
        raise CompatError(
            "vectors", value=f"{count} items", rule="needs at least 40: some to fit on, others to judge on"
        )
    order = np.random.default_rng(config.seed).permutation(count)
    judged = np.sort(order[: min(config.judged, count // 2)])
    rest = order[len(judged) : len(judged) + config.pairs]
    validate = np.sort(rest[: min(VALIDATED, len(rest) // 5)])
    fit = np.sort(rest[len(validate) :])
    chosen = np.random.default_rng(config.seed + 1).permutation(len(judged))[: config.queries]
    return Split(fit, validate, judged, np.sort(chosen))


def decide(given: Given, config: DecisionConfig, tell: Callable[[str], None] = lambda text: None) -> Decision:
    """Judge every option on items that nothing was fitted on, and recommend one, or none.

    Args:
        given: the vectors and what is known about them.
        config: see :class:`DecisionConfig`.
        tell: hears which option is being judged.

    Raises:
        CompatError: for vectors that do not belong together, too few items, or no relevant item at all.
    """
    pairs = Pairs(given.old, given.new, given.labels, given.side)
    split = split_rows(len(pairs), config)
    judged_on = _held_out(given, pairs, split.judged, split.queries, config.distance)
    chosen_on = _held_out(given, pairs, split.validate, np.arange(len(split.validate)), config.distance)
    judging, relevance = judged_on
    judged: list[tuple[Option, Judged]] = []
    costs = config.costs
    for option in _options(judging, pairs.take(split.fit), config, chosen_on):
        tell(option.name)
        judged.append((option, judge(option.scorer, relevance, len(judging.old))))
        if option.vector_map is not None and option.maps_gallery:
            speed = _rows_per_s(option.vector_map, judging.old)
            costs = dataclasses.replace(costs, mapped_per_s=min(costs.mapped_per_s, speed))
    config = dataclasses.replace(config, costs=costs)
    rows = _rows(judged, config, len(pairs), judging.old.shape[1], judging.new.shape[1])
    recommended, reason = recommend(rows, config, relevance.independent)
    skipped = int((relevance.counts == 0).sum())
    return Decision(
        tuple(rows), recommended, reason, relevance.source, len(split.fit), len(judging.old),
        len(relevance) - skipped, skipped, config,
    )  # fmt: skip


def _held_out(
    given: Given, pairs: Pairs, rows: np.ndarray, queries: np.ndarray, distance: str
) -> tuple[Judging, Relevance]:
    """Some items to search among, and what answers their queries."""
    taken = pairs.take(rows)
    old, new = (torch.from_numpy(np.array(side, dtype=np.float32)) for side in (taken.source, taken.target))
    judging = Judging(old, new, queries, distance)
    if given.judgements is not None:
        if given.ids is None:
            raise CompatError(
                "ids", value=None, rule="relevance judgements name items by id", fix="give the ids as well"
            )
        ids = np.asarray(given.ids).astype(str)[rows]
        return judging, from_judgements(given.judgements, ids[queries], ids, queries)
    if given.labels is not None:
        labels = np.asarray(given.labels)[rows]
        return judging, from_labels(labels[queries], labels, queries)
    return judging, from_new_model(new[torch.from_numpy(queries)], new, queries, distance)


def _options(
    judging: Judging, fit: Pairs, config: DecisionConfig, chosen_on: tuple[Judging, Relevance]
) -> Iterator[Option]:
    """Every option. What has to be chosen (the map under a part backfill, SLERP's weight) is chosen on other items."""
    yield from ways.references(judging)
    best: tuple[float, Option | None] = (-1.0, None)
    to_old: VectorMap | None = None
    plain = Pairs(fit.source, fit.target, fit.labels)
    for adapter in _adapters(plain, config):
        forward = adapter.fit(plain, seed=config.seed)
        option = ways.gallery_option(judging, adapter, forward)
        best = max(
            best, (_validated(ways.gallery_option(chosen_on[0], adapter, forward), chosen_on), option), key=_first
        )
        yield option
        backward = adapter.fit(plain.swapped(), seed=config.seed)
        if adapter.name == SLERP_MAP:
            to_old = backward
        yield ways.query_option(judging, adapter, backward)
    order = ways.random_order(len(judging.old), config.seed)
    for share in config.shares:
        if best[1] is not None:
            yield ways.part_backfill(judging, best[1], share, order)
        for by in ("rank", "score"):
            yield ways.rank_merge(judging, share, order, by)
    if to_old is not None:
        weights = {weight: _validated(ways.slerp(chosen_on[0], to_old, weight), chosen_on) for weight in SLERP_WEIGHTS}
        yield ways.slerp(judging, to_old, max(weights, key=lambda weight: weights[weight]))


def _adapters(fit: Pairs, config: DecisionConfig) -> list[Adapter]:
    if config.adapters:
        return [ADAPTERS.get(name) for name in config.adapters]
    return [adapter for adapter in ADAPTERS if all(getattr(fit, need) is not None for need in adapter.needs)]


def _first(scored: tuple[float, Option | None]) -> float:
    return scored[0]


def _validated(option: Option, chosen_on: tuple[Judging, Relevance]) -> float:
    judging, relevance = chosen_on
    return float(np.nanmean(judge(option.scorer, relevance, len(judging.old)).average_precision))


def _rows_per_s(fitted: VectorMap, rows: torch.Tensor) -> float:
    """Rows through the map per second on this machine, in one pass over some of them."""
    rows = rows[:TIMED_ROWS]
    started = time.perf_counter()
    ways.mapped_rows(fitted, rows)
    return len(rows) / max(time.perf_counter() - started, 1e-9)


def _rows(
    judged: Sequence[tuple[Option, Judged]], config: DecisionConfig, items: int, old_dim: int, new_dim: int
) -> list[Row]:
    by_name = {option.name: found for option, found in judged}
    valid = ~np.isnan(by_name[STATUS_QUO].average_precision)
    columns = np.stack([found.of(metric)[valid] for _, found in judged for metric in METRICS], axis=1)
    means, drawn = columns.mean(axis=0), bootstrap_means(columns, config.resamples, config.seed)
    place = {(option.name, metric): row * len(METRICS) + column
             for row, (option, _) in enumerate(judged) for column, metric in enumerate(METRICS)}  # fmt: skip
    shared_level = 1 - (1 - LEVEL) / max(1, len(judged) - 1)
    rows = []
    for option, found in judged:
        values, gains, recovered = {}, {}, {}
        low = 0.0
        for metric in METRICS:
            own, base, top = (place[name, metric] for name in (option.name, STATUS_QUO, CEILING))
            values[metric] = interval(float(means[own]), drawn[:, own]).row()
            gain = drawn[:, own] - drawn[:, base]
            gains[metric] = interval(float(means[own] - means[base]), gain).row()
            if metric == config.metric:
                low = interval(float(means[own] - means[base]), gain, shared_level).low
            recovered[metric] = _share(means[[own, base, top]], drawn[:, [own, base, top]])
        before, after = (one.top_1[valid] for one in (by_name[STATUS_QUO], found))
        rows.append(
            Row(
                option.name, option.kind, option.summary, option.backfilled, values, gains, recovered, low,
                float((before > after).mean()), float((before < after).mean()),
                bill(_work(option, old_dim, new_dim), config.costs, items),
            )
        )  # fmt: skip
    return rows


def _share(means: np.ndarray, drawn: np.ndarray) -> dict[str, float | None] | None:
    own, base, top = means
    if top <= base:
        return None
    possible = drawn[:, 2] - drawn[:, 1]
    share = float((own - base) / (top - base))
    if interval(float(top - base), possible).low <= 0:
        return {"value": share, "ci_low": None, "ci_high": None}
    usable = possible > 0
    return interval(share, (drawn[usable, 0] - drawn[usable, 1]) / possible[usable]).row()


def _work(option: Option, old_dim: int, new_dim: int) -> Work:
    if option.name == CEILING:
        return Work(1.0, 0.0, new_dim)
    if option.kind == ways.TWO_SPACES and option.backfilled:
        return Work(option.backfilled, 0.0, old_dim, second_index=True, second_dimension=new_dim)
    if option.maps_gallery:
        # The old vectors are kept beside the migrated ones until the new index has proved itself.
        return Work(option.backfilled, 1.0 - option.backfilled, new_dim, second_index=True, second_dimension=old_dim)
    return Work(0.0, 0.0, old_dim)


def recommend(rows: Sequence[Row], config: DecisionConfig, independent: bool) -> tuple[str, str]:
    """The name of the recommended option, or an empty one, and why.

    An option is worth something when its whole gain interval lies above zero, the error shared between all options.
    Of those that reach ``target`` of the possible gain, the cheapest is recommended; when none does, the one with the
    largest gain. Where the truth is the new model's own neighbours, a backfill cannot be recommended: it would be right
    by definition.
    """
    metric = config.metric
    ceiling = next(row for row in rows if row.name == CEILING)
    if ceiling.adjusted_low <= 0:
        gain = ceiling.gain[metric]
        worse = (gain["ci_high"] or 0.0) < 0
        why = "is worse than the old one" if worse else "does not measurably beat the old one"
        return "", (
            f"Keep the old model: even with every item embedded again the new model {why} "
            f"({metric} {_points(gain['value'])} points)."
        )
    able = [row for row in rows if row.adjusted_low > 0 and (independent or not row.backfilled)]
    if not able:
        return "", (
            "None is worth it: no option beats the status quo beyond doubt"
            + (
                "."
                if independent
                else ", and without labels or judgements the new model cannot be shown to be better, only imitated."
            )
        )
    enough = [row for row in able if ((row.recovered[metric] or {}).get("value") or 0.0) >= config.target]
    if enough:
        chosen = min(enough, key=lambda row: (row.bill.money, row.bill.days, -(row.gain[metric]["value"] or 0.0)))
        return chosen.name, (
            f"The cheapest option that keeps at least {100 * config.target:.0f} % of the possible gain in {metric}."
        )
    chosen = max(able, key=lambda row: row.gain[metric]["value"] or 0.0)
    return chosen.name, f"No option keeps {100 * config.target:.0f} % of the possible gain; this one keeps the most."


def _points(value: float | None) -> str:
    return f"{100 * (value or 0.0):+.1f}".replace("-", "−")
