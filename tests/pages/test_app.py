"""The frame: every page is on the menu, and a deep link into a cold server gets the whole app."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from compat_core.ui.frame import PAGES, ROOT


def test_every_page_script_is_on_the_menu():
    assert {path.stem for path in (ROOT / "pages").glob("*.py")} == set(PAGES)


def test_cold_deep_link_draws_the_frame_once(empty):
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).switch_page("pages/search.py").run()
    assert not app.exception
    assert [title.value for title in app.title] == ["Search"]
    assert any("Device" in caption.value for caption in app.sidebar.caption)


@pytest.mark.parametrize("path", sorted((ROOT / "assets").glob("*.svg")), ids=lambda path: path.name)
def test_drawings_are_small_and_fetch_nothing(path: Path):
    text = path.read_text()
    assert len(text) < 4_000
    assert "href" not in text and "<script" not in text
    assert ElementTree.fromstring(text).get("aria-label")
