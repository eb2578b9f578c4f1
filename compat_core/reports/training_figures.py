"""How training goes: losses, and retrieval watched while a method trains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import plotly.graph_objects as go

from compat_core.reports import series
from compat_core.reports.layout import (
    NEUTRAL,
    new_figure,
)
from compat_core.reports.roles import (
    METHOD_COLORS,
)

MAX_TRAININGS = 4


def loss_figure(events: Iterable[Mapping[str, Any]]) -> go.Figure:
    """Training losses against steps, one curve per training (and seed) and loss; colours say the training.

    With more than four trainings only the totals are shown at first; a click in the legend adds a part.

    Args:
        events: lines of ``events.jsonl``; only those of the kind ``train`` are read. Without any, the figure is empty
            and says so.
    """
    figure = new_figure("Training loss", "optimiser step", "loss")
    _draw_trainings(figure, series.losses(events), "total", "%{y:.4g}")
    if not figure.data:
        figure.add_annotation(text="no training steps yet", showarrow=False, font={"color": NEUTRAL, "size": 15})
    return figure.update_layout(uirevision="loss")


def watch_figure(events: Iterable[Mapping[str, Any]]) -> go.Figure:
    """mAP among a few of a training's own images after every epoch, one curve per training (and seed) and cell.

    With more than four trainings only ``new/old`` is shown at first.

    Args:
        events: lines of ``events.jsonl``; only those of the kind ``watch`` are read.
    """
    found = {key: (steps, [100 * value for value in values]) for key, (steps, values) in series.watched(events).items()}
    figure = new_figure("mAP among training images", "optimiser step", "mAP (%)")
    _draw_trainings(figure, found, "new/old", "%{y:.1f} %")
    return figure.update_layout(uirevision="watch")


def _draw_trainings(figure: go.Figure, found: series.TrainingCurves, main: str, value: str) -> None:
    """One line per training and part: colours say the training, dashes the part; ``main`` stays when it is crowded."""
    trainings = list(dict.fromkeys((seed, name) for seed, name, _ in found))
    parts = sorted({part for *_, part in found} - {main})
    crowded = len(trainings) > MAX_TRAININGS and any(part == main for *_, part in found)
    for (seed, name, part), (steps, values) in found.items():
        title = series.training_title(seed, name)
        dash = "solid" if part == main else ("dash", "dot", "dashdot", "longdash")[parts.index(part) % 4]
        color = METHOD_COLORS[trainings.index((seed, name)) % len(METHOD_COLORS)]
        figure.add_scatter(
            x=steps, y=values, mode="lines", name=escape(f"{title}: {part}"), legendgroup=escape(title),
            line={"color": color, "dash": dash, "width": 2 if part == main else 1.5},
            text=[f"{escape(title)}<br>{escape(part)}"] * len(steps),
            visible="legendonly" if crowded and part != main else True,
            hovertemplate=f"%{{text}} {value}<br>step %{{x}}<extra></extra>",
        )  # fmt: skip
