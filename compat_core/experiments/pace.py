"""How much of a run is done and how long the rest takes, from what each of its stages was expected to cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Work:
    """What one stage is expected to cost.

    Training is counted in any unit, since its speed is only known once something was trained; evaluation does not
    train, so its seconds are guessed outright.

    Attributes:
        training: passes of images through a network, or any other unit that all stages share.
        seconds: of everything that does not depend on the training speed.
    """

    training: float = 0.0
    seconds: float = 0.0


def forecast(
    works: Sequence[Work], spent: Mapping[int, float], index: int, fraction: float
) -> tuple[float, float | None]:
    """Share of a run that is done, in [0, 1], and the seconds left, None while nothing tells the speed.

    Args:
        works: every stage of the run, in order.
        spent: stage number -> seconds worked on it so far; without the stages that were only skipped.
        index: the stage that runs now; all before it are done.
        fraction: how much of that one is done, in [0, 1].
    """
    done = [1.0 if place < index else fraction if place == index else 0.0 for place in range(len(works))]
    trained = sum(work.training * part for work, part in zip(works, done, strict=True))
    training = sum(work.training for work in works)
    pace = _pace([(spent[place], works[place].training * done[place]) for place in spent if works[place].training])
    if pace is None and trained < training:
        return (trained / training), None
    # a machine twice as slow as the guess at evaluating the first seed is so at evaluating the next
    slow = _pace([(spent[place], works[place].seconds * done[place]) for place in spent if works[place].seconds]) or 1.0
    costs = [work.training * (pace or 0.0) + work.seconds * slow for work in works]
    left = sum(cost * (1.0 - part) for cost, part in zip(costs, done, strict=True))
    whole = sum(costs)
    return (1.0 - left / whole if whole else fraction), left


def _pace(worked: Sequence[tuple[float, float]]) -> float | None:
    """Seconds per unit over (seconds, units done); None before the first second of work."""
    seconds, units = sum(second for second, _ in worked), sum(unit for _, unit in worked)
    return seconds / units if seconds > 1.0 and units > 0 else None
