"""Which of the given items are fitted on, chosen by and judged."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from compat_core.adapters.labels import NO_CLASS, class_codes
from compat_core.errors import CompatError

FEWEST = 40
FEWEST_CLASSES = 4  # to set two of them apart
FEWEST_QUERIES = 10
VALIDATED = 2_000  # most items that choices between fitted options are made on
AT_RANDOM = 4  # one in so many items of a gathered sample, at least, is there by chance alone
LEFT = 5  # one in so many queries, where there are few, is left for choices,
RELEVANT_LEFT = 10  # with so many items that are relevant to it


class Mates:
    """The items that are relevant to each item, itself excepted.

    Attributes:
        some: ``(N,)`` bool, whether an item has any.
        group: ``(N,)`` int64, whose list of relevant items it has; −1 without one.
    """

    def __init__(self, some: np.ndarray, group: np.ndarray, members: np.ndarray, start: np.ndarray) -> None:
        self.some, self.group, self._members, self._start = some, group, members, start

    @classmethod
    def by_label(cls, labels: np.ndarray) -> Mates:
        """Items of the same label ``(N,)``; one without a label has none."""
        codes, num_classes = class_codes(labels)
        members = np.argsort(codes, kind="stable")
        start = np.searchsorted(codes[members], np.arange(num_classes + 1))
        sizes = np.diff(start)
        return cls((codes != NO_CLASS) & (np.append(sizes, 0)[codes] > 1), codes, members, start)

    @classmethod
    def by_judgement(cls, judgements: Mapping[str, Mapping[str, float]], ids: np.ndarray) -> Mates:
        """Items judged relevant (above 0), by id ``(N,)``."""
        place = {str(name): row for row, name in enumerate(ids)}
        group, lists = np.full(len(ids), NO_CLASS, dtype=np.int64), []
        for name, items in judgements.items():
            if name in place:
                wanted = [place[item] for item, value in items.items() if value > 0 and item in place]
                lists.append(np.array([row for row in wanted if row != place[name]], dtype=np.int64))
                group[place[name]] = len(lists) - 1
        sizes = np.array([len(rows) for rows in lists], dtype=np.int64)
        members = np.concatenate([*lists, np.zeros(0, dtype=np.int64)])
        return cls((group != NO_CLASS) & (np.append(sizes, 0)[group] > 0), group, members, np.append(0, sizes.cumsum()))

    def of(self, group: int) -> np.ndarray:
        """``(R,)`` int64 rows relevant to each item of a group; that item itself may be among them."""
        return self._members[self._start[group] : self._start[group + 1]]


@dataclass(frozen=True, slots=True)
class Split:
    """Disjoint sets of rows: ``fit`` adapters on, ``validate`` choices between them, ``judge`` every option.

    ``fit`` and ``validate`` are rows of the pairs set apart where there are such, else of the given items; ``queries``
    are positions among ``judged``. ``gathered``: what is relevant to the queries was looked for, not met by chance.
    """

    fit: np.ndarray
    validate: np.ndarray
    judged: np.ndarray
    queries: np.ndarray
    gathered: bool = False


def split_rows(
    count: int,
    fitted: int | None,
    pairs: int,
    judged: int,
    queries: int,
    seed: int,
    askable: np.ndarray | None = None,
    classes: np.ndarray | None = None,
    mates: Mates | None = None,
) -> Split:
    """A random but fixed split.

    A few thousand of millions of items, drawn at random, hold hardly two of one product or of one person. So where more
    items are given than are looked at, what is relevant to the queries is gathered with them, evenly, and the rest is
    drawn at random; the same goes for the items that choices are made on, to which a fifth of the queries is left
    where there are few. What is fitted on does not depend on it.

    Choices are made on items as strange to the fit as the judged ones: with ``classes`` these are whole classes of
    which nothing is fitted on, else single items. A map that knows its classes by heart would win among items of them.

    Args:
        count: given items.
        fitted: items to fit on that are not among them; None: at most half of the given items are judged, the others
            may be fitted on.
        pairs: most items to fit on and choose by; judged, queries: most items judged, and querying.
        seed: of the split.
        askable: ``(count,)`` bool, items that may query; None: all.
        classes: ``(fitted,)`` of the pairs to fit on, where none of these classes is judged.
        mates: of the given items, where relevance is known.

    Raises:
        CompatError: for fewer than 40 items, or fewer than 10 that may query among those to be judged.
    """
    if count < FEWEST or (fitted is not None and fitted < FEWEST):
        few = count if count < FEWEST else fitted
        raise CompatError(
            "vectors", value=f"{few} items", rule=f"needs at least {FEWEST}: some to fit on, others to judge on"
        )
    order = np.random.default_rng(seed).permutation(count)
    chosen = np.sort(order[: min(judged, count if fitted is not None else count // 2)])
    rest = order[len(chosen) :] if fitted is None else np.random.default_rng(seed + 2).permutation(fitted)
    rest = rest[:pairs]
    chosen_by = _set_apart(rest, min(VALIDATED, len(rest) // 5), classes, seed)
    fit, validate = rest[~chosen_by], rest[chosen_by]
    spare = order[len(chosen) :] if fitted is not None else order[len(chosen) + len(rest) :]
    if len(spare) and mates is not None:
        pool = np.concatenate([order[: len(chosen)], spare])
        gathered = _gather(pool, len(chosen), queries, mates, seed + 4, len(validate) // 4 if fitted is None else 0)
        if gathered is not None:
            judged_rows, asking = gathered
            if fitted is None:
                left = np.concatenate([rest[chosen_by], pool[~np.isin(pool, judged_rows)]])
                again = _gather(left, len(validate), len(validate) // 4, mates, seed + 5)
                validate = validate if again is None else again[0]
            return Split(np.sort(fit), np.sort(validate), judged_rows, asking, gathered=True)
    asking = np.random.default_rng(seed + 1).permutation(len(chosen))
    if askable is not None:
        asking = asking[askable[chosen[asking]]]
        if len(asking) < FEWEST_QUERIES:
            rule = f"needs at least {FEWEST_QUERIES} with judgements or a label among the {len(chosen):,} to judge on"
            raise CompatError("queries", value=f"{len(asking)} items", rule=rule, fix="judge or label more of them")
    asking = asking[:queries]
    return Split(np.sort(fit), np.sort(validate), chosen, np.sort(asking))


def _gather(
    pool: np.ndarray, most: int, queries: int, mates: Mates, seed: int, left: int = 0
) -> tuple[np.ndarray, np.ndarray] | None:
    """So many rows of a pool, ascending, with queries and what is relevant to them, and the queries' positions.

    Every query gets one relevant item before any gets a second. None where hardly any item has one in the pool.
    ``left``: queries wanted afterwards; where there are too few for both, some are left with what is relevant to them.
    """
    inside = np.zeros(len(mates.some), dtype=bool)
    inside[pool] = True
    near: dict[int, np.ndarray] = {}  # once for a group: it may be half of millions, and all queries may be of it
    asking: list[int] = []
    draws: list[Iterator[int]] = []
    rng = random.Random(seed)
    wanted, kept = min(queries, most // 2), set[int]()
    for row in pool[mates.some[pool]].tolist():
        if len(asking) == wanted + left:
            break
        group = int(mates.group[row])
        if group not in near:
            near[group] = mates.of(group)[inside[mates.of(group)]]
        if (near[group][:2] != row).any():
            asking.append(row)
            draws.append(_drawn(near[group], row, rng))
    found = len(asking)
    if found < FEWEST_QUERIES:
        return None
    if 2 * FEWEST_QUERIES <= found < wanted + left:
        wanted = min(wanted, found - min(left, max(FEWEST_QUERIES, found // LEFT)))
        kept = {*asking[wanted:], *itertools.chain(*(itertools.islice(draw, RELEVANT_LEFT) for draw in draws[wanted:]))}
    asking, draws = asking[:wanted], draws[:wanted]
    taken, room = set(asking), most - most // AT_RANDOM
    while draws and len(taken) < room:
        going = []
        for draw in draws:
            item = next(draw, None)
            if item is not None and len(taken) < room:
                taken.add(item)
                going.append(draw)
        draws = going
    for row in itertools.chain((row for row in pool.tolist() if row not in kept), kept):
        if len(taken) >= most:
            break
        taken.add(row)
    chosen = np.sort(np.fromiter(taken, dtype=np.int64))
    return chosen, np.sort(np.searchsorted(chosen, asking))


def _drawn(rows: np.ndarray, but: int, rng: random.Random) -> Iterator[int]:
    """Rows in random order without one of them; those that nobody asks for cost nothing."""
    moved: dict[int, int] = {}
    for place in range(len(rows)):
        other = place + int(rng.random() * (len(rows) - place))
        row = int(rows[moved.get(other, other)])
        moved[other] = moved.get(place, place)
        if row != but:
            yield row


def fitted_rows(count: int, pairs: int, judged: int, seed: int) -> np.ndarray:
    """The rows of ``count`` given items that a decision fits on, ascending: with them its maps can be fitted again.

    Which items may query, and how many do, changes nothing about them. Raises CompatError as :func:`split_rows`.
    """
    return split_rows(count, None, pairs, judged, 0, seed).fit


def _set_apart(rows: np.ndarray, most: int, classes: np.ndarray | None, seed: int) -> np.ndarray:
    """Which of ``rows (R,)`` choices are made on ``(R,)`` bool: the first ``most``, or whole classes, two at least."""
    if classes is not None:
        names, codes, sizes = np.unique(classes[rows], return_inverse=True, return_counts=True)
        if len(names) >= FEWEST_CLASSES:
            drawn = np.random.default_rng(seed + 3).permutation(len(names))
            return np.isin(codes, drawn[: max(2, int((sizes[drawn].cumsum() <= most).sum()))])
    return np.arange(len(rows)) < most
