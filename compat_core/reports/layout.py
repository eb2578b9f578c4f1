"""What all figures share: a template that fits light and dark pages, and the lines of status quo and ceiling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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


def add_references(figure: go.Figure, references: Mapping[str, float], drawn: Iterable[float]) -> None:
    """Lines across for status quo and ceiling, and a y range that holds them: plotly's own ignores such lines.

    Args:
        figure: with percent on its y axis.
        references: cell (one of REFERENCES) -> the metric there, a fraction.
        drawn: every other value in the figure, fractions.
    """
    for cell, value in references.items():
        style = {"color": role(cell).color, "dash": role(cell).dash}
        words = f"{REFERENCES[cell]} {100 * value:.1f} %"
        figure.add_hline(y=100 * value, line=style, annotation_text=words, annotation_position="top left")
    heights = [100 * value for value in (*references.values(), *drawn)]
    if heights:
        room = MARGIN * max(max(heights) - min(heights), 1.0)
        figure.update_yaxes(range=[min(heights) - room, max(heights) + 2 * room])
