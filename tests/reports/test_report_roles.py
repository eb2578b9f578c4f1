"""Roles and methods keep their look, and it can be seen on light and dark pages."""

import pytest

from compat_core.errors import CompatError
from compat_core.reports.backfill_curves import LOOKS
from compat_core.reports.roles import CELLS, METHOD_COLORS, METHOD_SYMBOLS, ROLES, VERSION_CELLS, method_style, role


def _luminance(color: str) -> float:
    parts = [int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("background", ["#ffffff", "#0e1117"])
@pytest.mark.parametrize(
    "color", sorted({*METHOD_COLORS, *(look.color for look in ROLES.values()), *(color for color, *_ in LOOKS)})
)
def test_every_colour_stands_out(color, background):
    light, dark = sorted((_luminance(color), _luminance(background)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 3.0


def test_roles_differ_in_colour_marker_and_dash():
    assert CELLS == ("old/old", "new/old", "new/migrated", "new/new", "paragon")
    for part in ("color", "symbol", "dash"):
        assert len({getattr(look, part) for look in ROLES.values()}) == len(ROLES)
    assert set(VERSION_CELLS.values()) <= set(ROLES)


def test_unknown_cell_suggests_the_right_one():
    with pytest.raises(CompatError, match="did you mean 'new/migrated'"):
        role("new/migrate")


def test_method_styles_are_stable_and_distinct():
    order = [f"method-{index}" for index in range(70)]
    looks = {name: method_style(name, order) for name in order}
    assert len(set(looks.values())) == len(METHOD_COLORS) * len(METHOD_SYMBOLS) == 70
    assert method_style("method-3", [*order, "later"]) == looks["method-3"]


def test_parameters_keep_the_colour_and_change_the_marker():
    order = ["independent", "fct"]
    plain, variant = method_style("fct", order), method_style("fct:side=simclr", order)
    assert plain.color == variant.color
    assert plain.symbol != variant.symbol
    assert method_style("unheard-of", order) == method_style("unheard-of", order)
