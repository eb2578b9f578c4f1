"""Names that people chose are shown as they wrote them, whatever Streamlit would make of them."""

import pytest

from compat_core.ui.words import literal


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("loss :red[x]", r"loss \:red\[x\]"),
        (":material/home: :smile: :+1:", ":\u2060material/home: :\u2060smile: :\u2060+1:"),
        (":streamlit: a_b", ":\u2060streamlit: a\\_b"),
        ("12:30, 12:30:45, 3:1", "12:30, 12:30:45, 3:1"),
        ("a: b <i>", "a: b &lt;i&gt;"),
    ],
)
def test_directives_icons_and_emoji_are_words(written, shown):
    assert literal(written) == shown


def test_a_runs_name_heads_its_card_as_written(copied, visit):
    (run,) = copied.list()
    run.update_meta(name="batch :red[64] :smile:")
    headings = [heading.value for heading in visit("runs", run=run.id).subheader]
    assert "batch \\:red\\[64\\] :\u2060smile:" in headings
