"""What all figures share: a template that fits light and dark pages, and lines across, labelled beside the plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import plotly.graph_objects as go

from compat_core.reports.roles import METHOD_COLORS, role

CLEAR, GRID, NEUTRAL = "rgba(0,0,0,0)", "rgba(128,128,128,0.25)", "#7F7F7F"
_AXIS = {"gridcolor": GRID, "zeroline": False, "linecolor": NEUTRAL, "ticks": "outside", "automargin": True}
# plotly's own mode bar is a dark strip on a light page
MODEBAR = {"bgcolor": CLEAR, "color": NEUTRAL, "activecolor": "#0072B2"}
# A template of our own: plotly's current default would depend on who was imported before.
TEMPLATE = go.layout.Template(layout={"xaxis": _AXIS, "yaxis": _AXIS, "colorway": METHOD_COLORS, "modebar": MODEBAR})
REFERENCES = {"old/old": "status quo", "paragon": "ceiling"}
MARGIN = 0.05  # of the range, above and below what is drawn


LEVEL_LINE_PX, LEVEL_LETTER_PX = 16, 7  # of the labels beside a plot
LEVEL_PLOT_PX = 240  # height of a plot area at the least


@dataclass(frozen=True, slots=True)
class Level:
    """A line across a figure and the words beside it, which may be several lines (``<br>``)."""

    height: float
    words: str
    color: str
    dash: str
    width: int = 2


def level_of(cell: str, height: float, words: str) -> Level:
    """A :class:`Level` that looks like the role of ``cell``."""
    return Level(height, words, role(cell).color, role(cell).dash)


def new_figure(title: str, x_title: str = "", y_title: str = "", height: int = 440) -> go.Figure:
    """An empty figure that fits light and dark pages, ``height`` pixels high; titles may hold a little HTML."""
    figure = go.Figure()
    return figure.update_layout(
        template=TEMPLATE, title={"text": title, "x": 0, "xanchor": "left"}, height=height, paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR, uirevision="compatbench", margin={"l": 60, "r": 20, "t": 60, "b": 60},
        xaxis_title=x_title, yaxis_title=y_title, hovermode="closest",
        legend={"bgcolor": CLEAR, "font": {"size": 13}, "itemsizing": "constant"},
    )  # fmt: skip


def tips(figure: go.Figure) -> list[float]:
    """Both ends of every bar or point with its whisker, in units of the y axis."""
    ends = []
    for trace in figure.data:
        ups, downs = (trace.error_y[side] or [None] * len(trace.y) for side in ("array", "arrayminus"))
        for height, up, down in zip(trace.y, ups, downs, strict=True):
            if height is not None:
                ends += [height + (up or 0.0), height - (down or 0.0)]
    return ends


def hold(figure: go.Figure, heights: Sequence[float]) -> None:
    """Give the y axis a range that holds ``heights`` (in its units), with some room: plotly's own ignores lines across.

    ``heights`` must not be empty.
    """
    room = MARGIN * max(max(heights) - min(heights), 1.0)
    figure.update_yaxes(range=[min(heights) - room, max(heights) + 2 * room])


def add_levels(figure: go.Figure, levels: Sequence[Level]) -> None:
    """Lines across, with their words right of the plot area, where no bar or curve is, moved apart where they are near.

    Args:
        figure: with a range on its y axis, which says how near two labels are.
        levels: in units of the y axis.
    """
    if not levels:
        return
    for level in levels:
        figure.add_hline(y=level.height, line={"color": level.color, "dash": level.dash, "width": level.width})
    low, high = figure.layout.yaxis.range
    ordered = sorted(levels, key=lambda level: level.height)
    lines = [level.words.count("<br>") + 1 for level in ordered]
    wanted = [LEVEL_PLOT_PX * (level.height - low) / (high - low) for level in ordered]
    places = _spread(wanted, [LEVEL_LINE_PX * count for count in lines])
    for level, old, new in zip(ordered, wanted, places, strict=True):
        figure.add_annotation(
            text=level.words, x=1, xref="paper", xanchor="left", xshift=4, y=level.height, yanchor="middle",
            yshift=new - old, align="left", showarrow=False,
        )  # fmt: skip
    longest = max(len(line) for level in levels for line in level.words.split("<br>"))
    figure.update_layout(margin={"r": LEVEL_LETTER_PX * longest + 12})


def _spread(wanted: Sequence[float], sizes: Sequence[float]) -> list[float]:
    """Middles of labels stacked upwards, as near to the ``wanted`` ones (rising) as their sizes let them.

    Labels that would overlap form a block, which stands where its members want to be on average.
    """
    blocks: list[list[int]] = []
    for place in range(len(wanted)):
        blocks.append([place])
        while (
            len(blocks) > 1
            and _middles(blocks[-2], wanted, sizes)[-1] + _apart(sizes, blocks[-2][-1], blocks[-1][0])
            > _middles(blocks[-1], wanted, sizes)[0]
        ):
            last = blocks.pop()
            blocks[-1] += last
    return [middle for block in blocks for middle in _middles(block, wanted, sizes)]


def _apart(sizes: Sequence[float], below: int, above: int) -> float:
    return (sizes[below] + sizes[above]) / 2


def _middles(block: Sequence[int], wanted: Sequence[float], sizes: Sequence[float]) -> list[float]:
    offsets = [0.0]
    for below, above in pairwise(block):
        offsets.append(offsets[-1] + _apart(sizes, below, above))
    start = sum(wanted[place] - offset for place, offset in zip(block, offsets, strict=True)) / len(block)
    return [start + offset for offset in offsets]


def add_references(figure: go.Figure, references: Mapping[str, float], drawn: Iterable[float]) -> None:
    """Lines across for status quo and ceiling, and a y range that holds them: plotly's own ignores such lines.

    Args:
        figure: with percent on its y axis.
        references: cell (one of REFERENCES) -> the metric there, a fraction.
        drawn: every other value in the figure, fractions.
    """
    heights = [100 * value for value in (*references.values(), *drawn)]
    if not heights:
        return
    hold(figure, heights)
    levels = {cell: f"{REFERENCES[cell]}<br>{100 * value:.1f} %" for cell, value in references.items()}
    add_levels(figure, [level_of(cell, 100 * references[cell], words) for cell, words in levels.items()])
