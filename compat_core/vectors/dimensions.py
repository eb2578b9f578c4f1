"""Which columns of a table are the dimensions of a vector: an index or an id among them would change every answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from compat_core.errors import CompatError

NO_NUMBERS = "no numbers"
INDEX = "an index"
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")  # what pandas calls an index without a name in Parquet
_NAMELESS = re.compile(r"Unnamed: \d+(\.\d+)*")  # what pandas calls a column without a name in CSV
_NUMBERED = re.compile(r"(.*?)\d+")
NAMED = 8  # columns named in a sentence
ENOUGH_ROWS = 100  # from here on whole numbers that never repeat, beside fractions, are no chance
FAR_LARGER = 10


@dataclass(frozen=True, slots=True)
class Dimensions:
    """The columns that the vectors of a table were made of.

    Attributes:
        taken: in their order; a single one may hold lists.
        left_out: column -> why, for people; ids and labels are not among them.
        doubtful: columns among those taken that hold whole numbers, some of them more than once, beside fractions.
    """

    taken: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    doubtful: tuple[str, ...] = ()

    def sentence(self) -> str:
        """What was taken and what was not, for people."""
        if len(self.taken) == 1:
            taken = f"the vectors are column {self.taken[0]}"
        else:
            taken = f"the vectors are {len(self.taken):,} columns: {_some(self.taken)}"
        left = [f"{name} ({why})" for name, why in self.left_out.items()]
        return f"{taken}; left out: {', '.join(left[:NAMED])}{' …' if len(left) > NAMED else ''}" if left else taken

    def doubt(self) -> str:
        """What to look at again, for people; empty where nothing is."""
        if not self.doubtful:
            return ""
        return (
            f"whole numbers beside fractions in {_some(self.doubtful)}: taken as dimensions; where they are labels, "
            "call the column label, where they are something else, leave it out"
        )


class WholeNumbers:
    """Follows the columns that hold whole numbers over the blocks of a table, to tell an id from a dimension.

    Args:
        names: of the columns, D of them.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.whole = np.full(len(names), len(names) > 1)
        self._seen: dict[int, list[np.ndarray]] = {place: [] for place in range(len(names))}  # never repeated so far
        self._low, self._high = np.full(len(names), np.inf), np.full(len(names), -np.inf)
        self._rows = 0

    def see(self, rows: np.ndarray) -> None:
        """Look at the next block ``(B, D)``."""
        self._rows += len(rows)
        if not self.whole.any():
            return
        for place in np.flatnonzero(self.whole).tolist():
            column = rows[:, place]
            self.whole[place] = column.dtype.kind in "iu" or bool((np.floor(column) == column).all())
            if self.whole[place] and place in self._seen and len(np.unique(column)) == len(column):
                self._seen[place].append(column.copy())
            else:
                self._seen.pop(place, None)
        with np.errstate(invalid="ignore"):  # NaN is found, and refused, later
            self._low = np.minimum(self._low, rows.min(axis=0))
            self._high = np.maximum(self._high, rows.max(axis=0))

    def ids(self) -> list[str]:
        """Columns of whole numbers that never repeat, beside fractions or far larger than all other columns."""
        largest = np.maximum(np.abs(self._low), np.abs(self._high))
        beside_fractions = self._rows >= ENOUGH_ROWS and not self.whole.all()
        found = []
        for place in np.flatnonzero(self.whole).tolist():
            if place not in self._seen or len(np.unique(np.concatenate(self._seen[place]))) < self._rows:
                continue
            others = np.delete(largest, place)
            if beside_fractions or largest[place] > FAR_LARGER * others.max():
                found.append(self.names[place])
        return found

    def varied(self) -> list[str]:
        """Columns of whole numbers that hold more than one."""
        return [self.names[place] for place in np.flatnonzero(self.whole & (self._low < self._high)).tolist()]


def refuse_ids(spec: str, whole: WholeNumbers) -> None:
    """Raise CompatError when a column looks like an id that is called something else."""
    found = whole.ids()
    if found:
        raise CompatError(
            spec,
            rule=f"column {found[0]} holds another whole number in every row, as ids do and dimensions do not",
            fix="call it id, or leave it out; is it a dimension all the same, write the vectors as .npy",
        )


def doubtful(whole: WholeNumbers, integers: Iterable[str]) -> tuple[str, ...]:
    """Columns written as whole numbers, of several values, where most other columns hold fractions."""
    found = set(whole.varied()) & set(integers)
    return tuple(name for name in whole.names if name in found) if 2 * len(found) < len(whole.names) else ()


def is_index(name: str) -> bool:
    """Whether pandas calls an index without a name so, in Parquet."""
    return _PANDAS_INDEX.fullmatch(name) is not None


def nameless(columns: Sequence[str]) -> list[str]:
    """The leading columns of a CSV that have no name: row names, as pandas and R write them."""
    found: list[str] = []
    for name in columns:
        if not _NAMELESS.fullmatch(name):
            break
        found.append(name)
    return found


def refuse_gap(spec: str, taken: Sequence[str], others: Mapping[str, str]) -> None:
    """Raise CompatError when a column without numbers is called like those of the vector, such as v3 beside v0 … v2.

    Args:
        spec: what to call the file.
        taken: the columns of numbers.
        others: column without numbers -> a cell of it.
    """
    stems = {numbered[1] for name in taken if (numbered := _NUMBERED.fullmatch(name))}
    for name, cell in others.items():
        numbered = _NUMBERED.fullmatch(name)
        if numbered and numbered[1] in stems:
            rule = f"column {name} holds no numbers, though it is called like the dimensions beside it"
            fix = "write numbers as 1.5, or call the column something else"
            raise CompatError(spec, value=cell[:40], rule=rule, fix=fix)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= NAMED else f"{', '.join(names[: NAMED - 2])} … {names[-1]}"
