"""Both themes can be read: contrast by the Web Content Accessibility Guidelines."""

import re
import tomllib

import pytest

from compat_core.ui.frame import ROOT

THEMES = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]


def luminance(colour):
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("name", ["light", "dark"])
def test_text_buttons_and_logo_stand_out(name):
    theme = THEMES[name]
    page, sidebar, primary = theme["backgroundColor"], theme["secondaryBackgroundColor"], theme["primaryColor"]
    assert contrast("#FFFFFF", primary) >= 4.5, "the text of a primary button"
    assert contrast(primary, page) >= 3, "its outline"
    assert contrast(theme["textColor"], page) >= 7 and contrast(theme["textColor"], sidebar) >= 7
    assert contrast(theme.get("linkColor", primary), page) >= 4.5
    words = re.findall(r'<t\w+ [^>]*fill="(#\w+)"|<tspan fill="(#\w+)"', (ROOT / "assets" / "logo.svg").read_text())
    assert len(words) == 2
    assert all(contrast(one or other, sidebar) >= 3 for one, other in words), "large text"
