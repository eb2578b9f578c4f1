"""What each method costs the new model against what it recovers, as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from compat_core.reports import series
from compat_core.reports.frames import Results
from compat_core.reports.labels import Canvas, Mark, free_labels
from compat_core.reports.layout import NEUTRAL, add_levels, hold, level_of, new_figure, tips
from compat_core.reports.roles import style_of

SIDE_ROOM = 0.12  # of the range, left and right of what is drawn: a name has room there


def pareto_figure(
    results: Results | Sequence[Results], metric: str = "mAP", methods: Sequence[str] | None = None,
    order: Sequence[str] = (),
) -> go.Figure:  # fmt: skip
    """What each method costs the new model (x, points) against the share of the gain it recovers (y, percent).

    Up and left is better. One point per method, named where there is room; bars are the 95 % interval for one seed and
    ± one standard deviation for several. Methods whose recovered gain is not defined (the ceiling is not above the
    status quo) are named above the plot, not left out in silence.
    """
    x_title = f"cost to the new model: paragon − new/new ({escape(metric)}, percentage points)"
    figure = new_figure(f"Cost and recovered gain, {escape(metric)}", x_title, "recovered gain (%)")
    pairs = series.labels_of(results, methods)
    names = [series.label(results, one, method) for one, method in pairs]
    absent, marks = [], []
    for name, (one, method) in zip(names, pairs, strict=True):
        gain = series.cell_value(one, method, "new/migrated", f"recovered_gain({metric})")
        cost = series.cell_value(one, method, "new/new", f"cost_to_new({metric})")
        if gain is None or cost is None:
            absent.append(name)
            continue
        style = style_of(name, names, order)
        bars = series.error_bar(cost), series.error_bar(gain)
        marks.append(Mark.of(100 * cost.mean, 100 * gain.mean, *bars))
        figure.add_scatter(
            x=[100 * cost.mean], y=[100 * gain.mean], mode="markers", name=escape(name), error_x=bars[0],
            error_y=bars[1], customdata=[name], marker={"color": style.color, "symbol": style.symbol, "size": 13},
            hovertext=[f"{series.hover_text(name, gain, 'recovered gain')}<br>{series.hover_text('', cost, 'cost')}"],
            hovertemplate="%{hovertext}<extra></extra>",
        )  # fmt: skip
    hold(figure, [0.0, 100.0, *tips(figure)])
    low, high = min((mark.left for mark in marks), default=0.0), max((mark.right for mark in marks), default=0.0)
    room = SIDE_ROOM * max(high - low, 1.0)
    figure.update_xaxes(range=[min(low, 0.0) - room, max(high, 0.0) + room])
    add_levels(figure, [level_of("old/old", 0, "status quo"), level_of("paragon", 100, "ceiling")])
    figure.update_layout(legend={"orientation": "h", "y": -0.3, "x": 0})
    figure.add_vline(x=0, line={"color": NEUTRAL, "dash": "dot"})
    canvas = Canvas(figure.layout.xaxis.range, figure.layout.yaxis.range)
    lines = [canvas.across(0), canvas.across(100), canvas.upright(0), canvas.beside(0), canvas.beside(100)]
    named = free_labels(marks, {place: one.name for place, one in enumerate(figure.data)}, canvas, lines)
    for label in named.values():
        figure.add_annotation(label)
    if absent:
        note = f"not shown, recovered gain or cost not defined: {escape(', '.join(absent))}"
        figure.add_annotation(text=note, x=0, y=1, xref="paper", yref="paper", showarrow=False, xanchor="left",
                              yanchor="bottom")  # fmt: skip
    return figure
