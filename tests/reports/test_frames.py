"""How differences and their intervals are written."""

import pytest

from compat_core.reports.frames import change_text, points_text


@pytest.mark.parametrize(
    ("value", "low", "high", "text"),
    [
        (0.523, 0.494, 0.552, "+52.3 (+49.4 … +55.2)"),
        (0.00044, 0.00036, 0.00053, "+0.044 (+0.036 … +0.053)"),
        (0.0005, 0.00031, 0.0008, "+0.05 (+0.03 … +0.08)"),
        (0.0236, 0.0228, 0.0244, "+2.36 (+2.28 … +2.44)"),
        (-0.01, -0.02, 0.0, "−1.0 (−2.0 … 0.0)"),
        (0.0, 0.0, 0.0, "0.0 (0.0 … 0.0)"),
        (0.01, None, None, "+1.0"),
        (None, None, None, "–"),
    ],
)
def test_an_interval_keeps_its_width_and_its_side(value, low, high, text):
    assert change_text(value, low, high) == text


def test_decimals_that_are_asked_for_are_kept():
    assert change_text(0.0236, 0.0228, 0.0244, 1) == "+2.4 (+2.3 … +2.4)"
    assert points_text(0.0236) == "+2.4"
