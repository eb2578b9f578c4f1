"""Operating points: what is found when false accepts may happen at a given rate, and which rates data can resolve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from compat_core.errors import CompatError

FEWEST = 10  # false accepts an operating point must allow: fewer make its rate a matter of luck
CURVE_RATES = tuple(float(10.0 ** (step / 10)) for step in range(-60, 1))  # 1e-6 … 1, ten per decade


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One point of a curve: what is found when false accepts may happen at a given rate.

    Attributes:
        rate: the false-accept rate asked for (FAR, or FPIR), in (0, 1).
        value: the true-accept rate there (TAR, or TPIR), in [0, 1]; None when the data cannot resolve the rate.
        threshold: accept scores strictly above it (cosine, dot product, or minus the Euclidean distance); or None.
        num_admitted: impostors above the threshold, at most floor(rate · impostors); or None.
        refusal: why there is no value, in one sentence; empty when there is one.
    """

    rate: float
    value: float | None
    threshold: float | None
    num_admitted: int | None
    refusal: str = ""


def check_rates(name: str, rates: Sequence[float]) -> tuple[float, ...]:
    """Rates as distinct Python floats in the order given. Raises CompatError unless all lie in (0, 1)."""
    listed = list(rates) if isinstance(rates, (Sequence, np.ndarray)) and not isinstance(rates, str) else []
    fine = [isinstance(r, (int, float, np.number)) and not isinstance(r, bool) and 0 < r < 1 for r in listed]
    if not listed or not all(fine):
        raise CompatError(name, value=rates, rule="must list numbers between 0 and 1", fix=f"{name}=(1e-3, 1e-2)")
    return tuple(dict.fromkeys(float(rate) for rate in listed))


def allowed(rate: float, num_impostors: int) -> int:
    """floor(rate · impostors), on the rate as its shortest decimal writes it: 0.29 of 100 is 29, not 28."""
    return int(Fraction(repr(rate)) * num_impostors)


def refuse(metric: str, rate: float, num_impostors: int, unit: str) -> OperatingPoint:
    """The operating point without a value, saying how many impostors it would take."""
    needed = -int(-FEWEST / Fraction(repr(rate)) // 1)
    sentence = f"{metric}={rate:g} needs at least {needed:,} {unit}; there are {num_impostors:,}."
    return OperatingPoint(rate, None, None, None, sentence)
