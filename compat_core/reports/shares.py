"""A share of the possible gain over several seeds: the share of the mean gain, not the mean of each seed's share.

Where a seed has hardly anything to gain, its own share may be any number, and one such seed would decide the mean of
them. The gains' own means are also what a reader of a table can divide.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

CELLS = ("new/migrated", "old/old", "paragon")
_SHARE = re.compile(r"(recovered_gain|update_gain)\((.+)\)")


class Share(NamedTuple):
    """A share over seeds; ``mean`` is NaN where there is no gain (or, of an update gain, none was made).

    ``spread`` is the sample standard deviation over seeds of ``(gain − mean · possible gain) / mean possible gain``:
    that of the seeds' shares where all have as much to gain.
    """

    mean: float
    spread: float
    seeds: int


def shared_metric(metric: str) -> str | None:
    """What ``metric`` is a share of the gain in (``mAP`` of ``recovered_gain(mAP)``); None for any other metric."""
    found = _SHARE.fullmatch(metric)
    return found[2] if found else None


Values = Mapping[tuple[str, str], Mapping[int, float]]
"""Cell and metric -> seed -> value."""


def values_by_seed(rows: Iterable[Mapping[str, Any]]) -> Values:
    """What tidy rows of one method of one run hold; values that are null are left out."""
    found: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for row in rows:
        if row["value"] is not None and not math.isnan(row["value"]):
            found[row["cell"], row["metric"]][row["seed"]] = row["value"]
    return found


def share_over_seeds(metric: str, values: Values) -> Share | None:
    """The share ``metric`` over all seeds; None where it is no share, of one seed, or of cells that lack some seeds.

    Args:
        metric: as it stands in the rows, such as ``recovered_gain(mAP)``.
        values: of one method of one run.
    """
    what = shared_metric(metric)
    if what is None:
        return None
    cross, old, paragon = (values.get((cell, what), {}) for cell in CELLS)
    if len(cross) < 2 or not cross.keys() == old.keys() == paragon.keys():
        return None
    gain = np.array([cross[seed] - old[seed] for seed in cross])
    possible = np.array([paragon[seed] - old[seed] for seed in cross])
    if possible.mean() <= 0 or (metric.startswith("update_gain") and gain.mean() <= 0):
        return Share(float("nan"), float("nan"), 0)
    mean = gain.mean() / possible.mean()
    spread = ((gain - mean * possible) / possible.mean()).std(ddof=1)
    return Share(float(mean), float(spread), len(gain))
