"""Who gets worse: an option against the status quo, group by group, and query by query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from compat_core.metrics import bootstrap_means, interval
from compat_core.vectors.judge import Judged
from compat_core.vectors.options import STATUS_QUO

AGE_GROUPS = 5
GROUP = "group "  # begins the name of a stored grouping


@dataclass(frozen=True, slots=True)
class GroupChange:
    """One group of queries under one option.

    Attributes:
        grouping, group: such as ``class`` and ``cat``.
        num_queries: of the group that have a relevant item.
        before, after: share of them whose first item is right, status quo and option.
        lost, won: share whose first item was right and is wrong now, and the reverse.
        change: mean change in average precision, with its 95 % interval; None for fewer than ten queries.
    """

    grouping: str
    group: str
    num_queries: int
    before: float
    after: float
    lost: float
    won: float
    change: float
    ci_low: float | None
    ci_high: float | None

    @property
    def worse(self) -> bool:
        """Whether the whole interval of the change lies below zero."""
        return self.ci_high is not None and self.ci_high < 0


def group_changes(
    groupings: Mapping[str, np.ndarray], before: Judged, after: Judged, resamples: int = 2_000, seed: int = 0
) -> list[GroupChange]:
    """Every group of every grouping, worst first within its grouping.

    Args:
        groupings: name -> ``(Q,)`` the group of each query.
        before, after: the status quo and the option, judged on the same queries.
        resamples, seed: of the bootstrap over the queries of one group.
    """
    valid = ~np.isnan(before.average_precision)
    gain = after.average_precision - before.average_precision
    found = []
    for grouping, groups in groupings.items():
        names, codes = np.unique(np.asarray(groups).astype(str), return_inverse=True)
        changes = []
        for code, name in enumerate(names):
            rows = np.flatnonzero(valid & (codes == code))
            if not len(rows):
                continue
            drawn = bootstrap_means(gain[rows, None], resamples, seed)[:, 0]
            bounds = interval(float(gain[rows].mean()), drawn).row()
            first, then = before.top_1[rows], after.top_1[rows]
            changes.append(
                GroupChange(
                    grouping, str(name), len(rows), float(first.mean()), float(then.mean()),
                    float((first > then).mean()), float((first < then).mean()), float(gain[rows].mean()),
                    bounds["ci_low"], bounds["ci_high"],
                )
            )  # fmt: skip
        found += sorted(changes, key=lambda change: change.change)
    return found


def changes_under(found: Mapping[str, np.ndarray], option: str) -> list[GroupChange]:
    """Every group of every grouping under one option, from what was stored of a decision.

    Args:
        found: the arrays of :func:`compat_core.vectors.studies.per_query`.
        option: the name of one.
    """
    names = found["options"].tolist()
    before, after = (
        Judged(*(found[name][place] for name in ("average_precision", "top_1", "first_item")))
        for place in (names.index(STATUS_QUO), names.index(option))
    )
    groupings = {name.removeprefix(GROUP): groups for name, groups in found.items() if name.startswith(GROUP)}
    return group_changes(groupings, before, after)


def age_groups(ages: np.ndarray) -> np.ndarray:
    """Items in fifths by age, larger numbers or later dates being newer. Shape: ``(N,)`` → ``(N,)`` texts.

    A text says which fifth it is and from where to where its ages go, dates to the day.
    """
    rank = ages.astype(np.int64) if ages.dtype.kind == "M" else ages
    edges = np.quantile(rank, np.linspace(0, 1, AGE_GROUPS + 1)[1:-1])
    place = np.searchsorted(edges, rank, side="right")
    words = ["oldest", *["between"] * (AGE_GROUPS - 2), "newest"]
    names = np.array([f"{fifth + 1} of {AGE_GROUPS}, {word}" for fifth, word in enumerate(words)], dtype=object)
    for fifth in np.unique(place):
        inside = ages[place == fifth]
        ends = dict.fromkeys((_in_words(inside.min()), _in_words(inside.max())))
        names[fifth] += f": {' … '.join(ends)}"
    return names[place].astype(str)


def _in_words(age: np.generic) -> str:
    return str(np.datetime_as_string(age, unit="D")) if isinstance(age, np.datetime64) else f"{age:g}"
