"""Which option is worth it: all of them judged on held-out items, with intervals, and one recommendation or none."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from compat_core.adapters import Adapter, Pairs, VectorMap
from compat_core.adapters.labels import labelled
from compat_core.errors import CompatError
from compat_core.vectors import options as ways
from compat_core.vectors.checks import counted
from compat_core.vectors.decision_config import DecisionConfig
from compat_core.vectors.deployment import MapLatency, map_latency
from compat_core.vectors.given import Given, held_out
from compat_core.vectors.judge import Judged, judge
from compat_core.vectors.labels import for_orders
from compat_core.vectors.option_maker import LeftOut, OptionMaker, Orderable
from compat_core.vectors.options import Option
from compat_core.vectors.outcome import Billing, Row, outcome_rows, recommend
from compat_core.vectors.relevance import NothingRelevant, Relevance
from compat_core.vectors.space import Judging
from compat_core.vectors.split import Mates, Split, split_rows

TIMED_ROWS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What a decision rests on, for looking closer.

    Attributes:
        split: which items were fitted on, chosen by and judged.
        fit: the pairs adapters were fitted on.
        judging, relevance: the held-out items and their truth.
        judged: every option with its numbers per query.
        best: the option that migrates the gallery through the adapter which did best on the validation items, and that
            adapter; None where there is none.
    """

    split: Split
    fit: Pairs
    judging: Judging
    relevance: Relevance
    judged: tuple[tuple[Option, Judged], ...]
    best: tuple[Option, Adapter] | None

    def of(self, name: str) -> tuple[Option, Judged]:
        """One option with its numbers per query."""
        return next(pair for pair in self.judged if pair[0].name == name)


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything that was found. ``recommended`` and ``closest`` are names of options or empty, see ``Answer``.

    ``truth`` says where relevance comes from, ``independent`` whether that is something else than the new model;
    ``num_items`` were given; ``latencies`` are of the maps alone, measured on this machine; ``left_out`` are the
    options that should have been among the rows and are not; ``doubt`` is what speaks against the rows of both files
    being the same items; ``gathered`` says that what is relevant to the queries was looked for, see ``Split``.
    """

    rows: tuple[Row, ...]
    recommended: str
    closest: str
    reason: str
    truth: str
    independent: bool
    num_items: int
    num_pairs: int
    num_judged: int
    num_queries: int
    num_skipped: int
    latencies: tuple[MapLatency, ...]
    left_out: tuple[LeftOut, ...]
    config: DecisionConfig
    doubt: str = ""
    gathered: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON types."""
        return dataclasses.asdict(self)

    def row(self, name: str) -> Row:
        """The line of one option."""
        return next(row for row in self.rows if row.name == name)


def decide(
    given: Given, config: DecisionConfig, tell: Callable[[str], None] = lambda text: None
) -> tuple[Decision, Evidence]:
    """Judge every option on items that nothing was fitted on, and recommend one, or none.

    Args:
        given: the vectors and what is known about them.
        config: see :class:`DecisionConfig`.
        tell: hears which option is being judged.

    Raises:
        CompatError: for vectors that do not belong together, too few items, or no relevant item at all.
    """
    pairs = Pairs(given.old, given.new, given.labels, given.side)
    fitted_on = given.fit
    split = split_of(given, config)
    source = pairs if fitted_on is None else fitted_on
    fit = source.take(split.fit)
    judging, relevance = held_out(given, pairs, split.judged, split.queries, config.distance)
    # The pairs set apart have labels or nothing: judgements and weights are of the given items.
    chosen_by = given if fitted_on is None else dataclasses.replace(given, judgements=None, ids=None, weights=None)
    validation = _validation(chosen_by, source, split.validate, config.distance)
    options = OptionMaker(
        judging,
        fit,
        config,
        validation,
        Orderable.of(split.judged, for_orders(pairs.labels), given.weights),
        Orderable.of(split.validate, for_orders(source.labels), chosen_by.weights),
    )
    judged: list[tuple[Option, Judged]] = []
    latencies: list[MapLatency] = []
    rates: dict[VectorMap, float] = {}
    elsewhere = options.candidates(given, split.judged)  # first, since they may be refused
    made, total = itertools.chain(options.all(), elsewhere), options.count(given)
    for number, option in enumerate(made, 1):
        tell(f"option {number} of {max(number, total)}: {option.name}")
        judged.append((option, judge(option.scorer, relevance, len(judging.old))))
        if option.vector_map is not None and option.kind in (ways.GALLERY, ways.QUERY):
            timed = (judging.old if option.kind == ways.GALLERY else judging.new)[:TIMED_ROWS]
            latencies.append(map_latency(option.name, option.vector_map, timed, judging.side))
            rates[option.vector_map] = latencies[-1].rows_per_s
    stored = (pairs.source.dtype.itemsize, pairs.target.dtype.itemsize)
    billing = Billing(config.costs, len(pairs), judging.old.shape[1], judging.new.shape[1], rates, *stored)
    rows = outcome_rows(judged, config.metric, billing, config.resamples, config.seed)
    answer = recommend(rows, config.metric, config.target, relevance.independent, given.doubt)
    skipped = int((relevance.counts == 0).sum())
    decision = Decision(
        tuple(rows), answer.recommended, answer.closest, answer.reason, relevance.source, relevance.independent,
        len(pairs), len(fit), len(judging.old), len(relevance) - skipped, skipped, tuple(latencies),
        tuple(options.left_out), config, given.doubt, split.gathered,
    )  # fmt: skip
    return decision, Evidence(split, fit, judging, relevance, tuple(judged), options.best)


def _validation(given: Given, pairs: Pairs, rows: np.ndarray, distance: str) -> tuple[Judging, Relevance]:
    """The items that options are chosen by, every one a query. Raises CompatError where they are too few for that."""
    try:
        return held_out(given, pairs, rows, np.arange(len(rows)), distance)
    except NothingRelevant as error:
        rule = "none of them has a relevant one among the others: nothing can be chosen by them"
        value = f"{counted(len(rows), 'items')} to choose between maps by"
        fix = "give more items of the same labels, or more judgements"
        raise CompatError("vectors", value=value, rule=rule, fix=fix) from error


def split_of(given: Given, config: DecisionConfig) -> Split:
    """Which items :func:`decide` fits on, chooses by and judges. Raises CompatError for too few."""
    fitted_on = None if given.fit is None else len(given.fit)
    askable = _askable(given, len(given.old))
    return split_rows(
        len(given.old), fitted_on, config.pairs, config.judged, config.queries, config.seed, askable, _strangers(given),
        _mates(given),
    )  # fmt: skip


def _mates(given: Given) -> Mates | None:
    if given.judgements is not None and given.ids is not None:
        return Mates.by_judgement(given.judgements, np.asarray(given.ids).astype(str))
    return None if given.labels is None else Mates.by_label(given.labels)


def _strangers(given: Given) -> np.ndarray | None:
    """The classes of the pairs set apart ``(M,)``, where the given items are all of other classes; else None."""
    if given.fit is None or given.fit.labels is None or given.labels is None:
        return None
    fitted, judged = (np.asarray(labels).astype(str) for labels in (given.fit.labels, given.labels))
    # Items without a label are called by their rows, and two files have rows of the same numbers.
    return None if np.isin(judged[labelled(judged)], fitted).any() else fitted


def _askable(given: Given, count: int) -> np.ndarray | None:
    """Which items may ask ``(N,)``: those with a relevant one among the judgements, or with a label; None: all."""
    if given.judgements is None or given.ids is None:
        known = None if given.labels is None else labelled(given.labels)
        return None if known is None or known.all() else known
    judged = {name for name, items in given.judgements.items() if any(value > 0 for value in items.values())}
    return np.fromiter((str(name) in judged for name in given.ids), dtype=bool, count=count)
