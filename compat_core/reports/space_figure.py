"""The shared embedding space, drawn in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from compat_core.errors import CompatError, unknown_name
from compat_core.reports import series
from compat_core.reports.layout import (
    CLEAR,
    GRID,
    NEUTRAL,
    new_figure,
)
from compat_core.reports.roles import (
    CLASS_COLORS,
    VERSION_CELLS,
    role,
)

COLOUR_BY = ("version", "label", "correct")
RIGHT, WRONG = "#0072B2", "#D55E00"


def umap_figure(frame: pd.DataFrame, colour_by: str = "version", lines: tuple[str, str] | None = None) -> go.Figure:
    """Points of the embedding space in two dimensions; symbols say the version, ``customdata`` holds the item's id.

    Args:
        frame: columns ``x``, ``y``, ``version`` (old, migrated, new), ``label`` (class name), ``id`` and ``correct``
            (true, false or null: unknown). Wrong items have open symbols when coloured by correctness.
        colour_by: ``version``, ``label`` (20 colours, with a legend of up to as many classes; walked again beyond) or
            ``correct``.
        lines: two versions, e.g. ``("old", "new")``: draw each item's displacement from the first to the second.

    Raises:
        CompatError: for a missing column, an unknown version or ``colour_by``.
    """
    if colour_by not in COLOUR_BY:
        raise unknown_name("value of colour_by", colour_by, COLOUR_BY)
    lacking = [column for column in ("x", "y", "version", "label", "id", "correct") if column not in frame.columns]
    if lacking:
        raise CompatError("frame of the embedding space", value=list(frame.columns), rule=f"lacks {lacking}")
    figure = new_figure(f"Embedding space (UMAP), coloured by {colour_by}", height=640)
    if lines is not None:
        xs, ys = series.segments(frame, *lines)
        figure.add_scattergl(x=xs, y=ys, mode="lines", name=f"{lines[0]} → {lines[1]}", hoverinfo="skip",
                             line={"color": GRID, "width": 1})  # fmt: skip
    classes = sorted(frame["label"].astype(str).unique())
    for version in dict.fromkeys(frame["version"]):
        if version not in VERSION_CELLS:
            raise unknown_name("version", str(version), VERSION_CELLS)
        look = role(VERSION_CELLS[version])
        for hit, part in series.by_correctness(frame[frame["version"] == version], colour_by == "correct"):
            ids, labels = part["id"].astype(str).tolist(), part["label"].astype(str).tolist()
            color: Any = look.color
            symbol, name = look.symbol, str(version)
            if colour_by == "label":
                color = [CLASS_COLORS[classes.index(label) % len(CLASS_COLORS)] for label in labels]
            elif colour_by == "correct":
                color = {None: NEUTRAL, True: RIGHT, False: WRONG}[hit]
                symbol = f"{symbol}-open" if hit is False else symbol
                name = f"{name}, {series.CORRECTNESS[hit]}"
            figure.add_scattergl(
                x=part["x"].tolist(), y=part["y"].tolist(), mode="markers", name=name, customdata=ids,
                text=series.point_texts(part), hovertemplate="%{text}<extra></extra>",
                marker={"color": color, "symbol": symbol, "size": 7, "opacity": 0.5},
            )  # fmt: skip
    if colour_by == "label" and len(classes) <= len(CLASS_COLORS):
        _class_legend(figure, classes)
    figure.update_yaxes(scaleanchor="x", showticklabels=False, title="UMAP 2 (no unit)")
    return figure.update_xaxes(showticklabels=False, title="UMAP 1 (no unit)").update_layout(dragmode="lasso")


def _class_legend(figure: go.Figure, classes: Sequence[str]) -> None:
    """A second legend, since the first one tells the versions, whose points share the classes' colours."""
    for name, color in zip(classes, CLASS_COLORS, strict=False):
        figure.add_scatter(
            x=[None], y=[None], mode="markers", name=escape(name), legend="legend2", hoverinfo="skip",
            marker={"color": color, "size": 9},
        )  # fmt: skip
    figure.update_layout(
        legend={"title": {"text": "version"}},
        legend2={"title": {"text": "class"}, "x": 1.02, "y": 0.8, "yanchor": "top", "bgcolor": CLEAR}
        | {"itemclick": False, "itemdoubleclick": False},
    )
