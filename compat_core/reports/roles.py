"""One colour, marker and line dash per role, and one colour and marker per method, on every page and in every report.

Colours come from the Okabe–Ito palette. Black, yellow, orange and sky blue of that palette vanish on a dark or on a
light background, so grey stands in for black and the last two are darkened: every colour here has a contrast of at
least 3:1 against white and against a near-black page. Meaning never rests on colour alone: roles also differ in marker
and dash, methods also in marker.

Reference: Okabe and Ito, Color Universal Design, 2008.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

from compat_core.errors import unknown_name


@dataclass(frozen=True, slots=True)
class Role:
    """How one cell of the query × gallery matrix is drawn and named.

    Attributes:
        cell: the cell, written ``query/gallery`` (or ``paragon``).
        title: its name in legends.
        meaning: one sentence for help texts.
        color: hex colour.
        symbol: plotly marker symbol.
        dash: plotly line dash.
    """

    cell: str
    title: str
    meaning: str
    color: str
    symbol: str
    dash: str


@dataclass(frozen=True, slots=True)
class MethodStyle:
    """The colour (hex) and the plotly marker symbol of one method."""

    color: str
    symbol: str


ROLES: dict[str, Role] = {
    role.cell: role
    for role in (
        Role("old/old", "old/old (status quo)", "old queries, old gallery: what you have", "#7F7F7F", "circle", "dash"),
        Role("new/old", "new/old (cross test)", "new queries, old gallery untouched", "#D55E00", "x", "dot"),
        Role("new/migrated", "new/migrated (method)", "new queries, mapped gallery", "#0072B2", "diamond", "solid"),
        Role("new/new", "new/new (full backfill)", "new queries, re-embedded gallery", "#009E73", "square", "dashdot"),
        Role("paragon", "paragon (ceiling)", "unconstrained new model, full backfill", "#CC79A7", "star", "longdash"),
    )
}
CELLS: tuple[str, ...] = tuple(ROLES)

# The version of an embedding (as in the embedding space view) is drawn like the cell whose gallery it fills.
VERSION_CELLS = {"old": "old/old", "migrated": "new/migrated", "new": "new/new"}

# 7 colours and 10 symbols share no divisor, so walking both gives 70 distinct pairs before one comes back.
METHOD_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8800B", "#2F8FC4", "#7F7F7F")
METHOD_SYMBOLS = (
    "circle", "square", "diamond", "triangle-up", "cross", "star", "x", "triangle-down", "pentagon", "hexagram",
)  # fmt: skip

# Ten hues that also differ in lightness (Okabe–Ito and Tol's muted ones), then a tint of each.
CLASS_COLORS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E3B505", "#56B4E9", "#7F7F7F", "#882255", "#6A4FC7", "#7A8B1F",
    "#80B9D9", "#EAAF80", "#80CFB9", "#E6BCD3", "#F1DA82", "#ABDAF4", "#BFBFBF", "#C490AA", "#B5A7E3", "#BDC58F",
)  # fmt: skip


def role(cell: str) -> Role:
    """The role of ``cell``. Raises CompatError, with the nearest known cell, for any other name."""
    if cell not in ROLES:
        raise unknown_name("cell", cell, ROLES)
    return ROLES[cell]


def method_style(method: str, order: Sequence[str]) -> MethodStyle:
    """The colour and marker of ``method``, the same wherever the same registry order is passed in.

    Args:
        method: the method's name or its label with parameters (``fct:side=simclr``). Parameters keep the colour of the
            method and change its marker.
        order: all method names, in registry order. A name that is not among them gets a place derived from its
            letters, so it is stable too (but may share its look with another).
    """
    name, _, params = method.partition(":")
    if method in order:
        index, shift = order.index(method), 0
    else:
        place = len(order) + zlib.crc32(name.encode()) % (len(METHOD_COLORS) * len(METHOD_SYMBOLS))
        index = order.index(name) if name in order else place
        shift = 1 + zlib.crc32(params.encode()) % (len(METHOD_SYMBOLS) - 1) if params else 0
    return MethodStyle(METHOD_COLORS[index % len(METHOD_COLORS)], METHOD_SYMBOLS[(index + shift) % len(METHOD_SYMBOLS)])


def style_of(name: str, names: Sequence[str], order: Sequence[str]) -> MethodStyle:
    """A method's own look; over several runs (``run · method``) the place in the figure, to keep series apart."""
    return method_style(name, names if " · " in name or not order else order)
