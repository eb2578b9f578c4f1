"""Words beside the points of a figure that cover neither each other nor a point, its whiskers or a line across."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compat_core.reports.layout import NEUTRAL

NARROW_PX, PLOT_HEIGHT_PX = 620, 290  # of a plot area where the page is narrow: what is free there is free on any
BESIDE_PX = 70  # of the margin beside the plot area that labels may use
LETTER_PX, LINE_PX, POINT_PX, RULE_PX = 6.5, 15, 9, 1  # of a label; half of a marker and of a line, with room
# Where a label may stand from its point, in pixels right and up: its anchor and both distances.
PLACES = [
    (anchor, right, up)
    for up in (0, 16, -16, 32, -32, 48, -48, 64, -64, 80, -80)
    for anchor, right in (("left", 12), ("right", -12))
]
Box = tuple[float, float, float, float]  # left, right, bottom, top, in pixels
Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Mark:
    """A point and the ends of its whiskers, in units of the axes."""

    x: float
    y: float
    left: float
    right: float
    low: float
    high: float

    @classmethod
    def of(cls, x: float, y: float, x_error: Mapping[str, Any] | None, y_error: Mapping[str, Any] | None) -> Mark:
        """A mark with plotly's error bars of one point, each with ``array`` and ``arrayminus``, or None."""
        (less_x, more_x), (less_y, more_y) = (
            (bar["arrayminus"][0], bar["array"][0]) if bar else (0.0, 0.0) for bar in (x_error, y_error)
        )
        return cls(x, y, x - less_x, x + more_x, y - less_y, y + more_y)


@dataclass(frozen=True, slots=True)
class Canvas:
    """What the axes of a plot area show."""

    x: Range
    y: Range

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels right and up of the lower left corner."""
        (left, right), (bottom, top) = self.x, self.y
        return NARROW_PX * (x - left) / (right - left), PLOT_HEIGHT_PX * (y - bottom) / (top - bottom)

    def covered(self, mark: Mark) -> list[Box]:
        """What a mark covers: the marker, and its whiskers."""
        right, up = self.at(mark.x, mark.y)
        (left, low), (far, high) = self.at(mark.left, mark.low), self.at(mark.right, mark.high)
        return [
            (right - POINT_PX, right + POINT_PX, min(up - POINT_PX, low), max(up + POINT_PX, high)),
            (min(right - POINT_PX, left), max(right + POINT_PX, far), up - POINT_PX, up + POINT_PX),
        ]

    def across(self, height: float) -> Box:
        """What a horizontal line covers."""
        _, up = self.at(self.x[0], height)
        return 0.0, NARROW_PX, up - RULE_PX, up + RULE_PX

    def upright(self, x: float) -> Box:
        """What a vertical line covers."""
        right, _ = self.at(x, self.y[0])
        return right - RULE_PX, right + RULE_PX, 0.0, PLOT_HEIGHT_PX

    def beside(self, height: float) -> Box:
        """What the words beside a line across cover, right of the plot area."""
        _, up = self.at(self.x[1], height)
        return NARROW_PX, NARROW_PX + BESIDE_PX, up - LINE_PX, up + LINE_PX


def free_labels(
    marks: Sequence[Mark], words: Mapping[int, str], canvas: Canvas, taken: Sequence[Box] = ()
) -> dict[int, dict[str, Any]]:
    """Plotly annotations by number of the mark; a label that finds no free place is not among them.

    Args:
        marks: all points of the figure.
        words: what to call some of them, by number, the most important first.
        canvas: what the axes show.
        taken: what else labels must not cover.
    """
    held = [*taken, *(box for mark in marks for box in canvas.covered(mark))]
    labels: dict[int, dict[str, Any]] = {}
    for number, text in words.items():
        mark = marks[number]
        right, up = canvas.at(mark.x, mark.y)
        for anchor, away, above in PLACES:
            box = _box(right + away, up + above, LETTER_PX * len(text), anchor)
            inside = box[0] >= 0 and box[1] <= NARROW_PX + BESIDE_PX and box[2] >= 0 and box[3] <= PLOT_HEIGHT_PX
            if inside and not any(_overlap(box, other) for other in held):
                held.append(box)
                labels[number] = {
                    "x": mark.x, "y": mark.y, "text": text, "xanchor": anchor, "ax": away, "ay": -above,
                    "showarrow": True, "arrowhead": 0, "arrowwidth": 1, "standoff": 6, "arrowcolor": NEUTRAL,
                }  # fmt: skip
                break
    return labels


def _box(right: float, up: float, width: float, anchor: str) -> Box:
    left = right if anchor == "left" else right - width
    return left, left + width, up - LINE_PX / 2, up + LINE_PX / 2


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]
