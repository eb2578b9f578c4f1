"""The HTML report stands alone and trusts nothing."""

import re

import pytest
from plotly.offline import get_plotlyjs

from compat_core.errors import CompatError
from compat_core.reports.html import html_report
from tests.reports.sample import SampleRun, sample_results


def _without_plotly(page: str) -> str:
    code = get_plotlyjs()
    assert page.count(code) == 1
    return page.replace(code, "")


def test_report_is_complete_and_self_contained():
    own = _without_plotly(html_report([SampleRun()]))
    assert not re.search(r"https?://", own)
    assert not re.search(r"<(link|img|iframe|object)\b|<script[^>]*\bsrc\b|@import|url\(", own)
    for part in (
        "fct: compatible (mAP 85.4 %", "independent (naive swap): not compatible", "85.4 ± 0.3", "✓ compatible",
        "✗ −55.3", "✓ 26.8",
        "0123abc", "CPU, 2 cores (no GPU was found)", "python -m compat_core demo", "torch 2.15.0", "seeds",
        "worst of 2 classes", "prefers-color-scheme: dark", "@media print", "&quot;schema_version&quot;: 1",
    ):  # fmt: skip
        assert part in own, part
    assert own.count('class="plot"') == 6  # bars, cost against gain, CMC, precision, two matrices
    assert own.count('role="img" aria-label=') == 6
    assert own.index("eight") < own.index("<td class='text'>zero</td>")


def test_report_escapes_names():
    evil = "<script>alert(1)</script>"
    run = SampleRun(id=f"r{evil}", data=sample_results(methods=("independent", evil)))
    run.meta = {"name": f"n{evil}", "tags": [evil], "notes": f'"{evil}'}
    own = _without_plotly(html_report([run]))
    assert evil not in own
    assert own.count("<script") == own.count("</script>") == 2 + 6  # plotly's, the drawing, and one per figure
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in own


def test_several_runs_are_compared_and_plotly_embedded_once():
    other = SampleRun(id="second", data=sample_results("written under another name"))
    other.config = other.config.replace(distance="l2")
    own = _without_plotly(html_report([SampleRun(), other], method_order=["fct", "independent"]))
    assert "All runs together" in own
    assert "Settings that differ" in own
    assert "second: " not in own.split("All runs together")[0]
    assert "written under another name" not in own  # the folder's name counts


def test_a_run_without_curves_or_classes_is_still_reported():
    data = {**sample_results(), "curves": [], "per_class": [], "verdicts": []}
    own = _without_plotly(html_report([SampleRun(data=data)]))
    assert own.count('class="plot"') == 4
    assert "was not tested" in own


def test_runs_without_results_are_named():
    with pytest.raises(CompatError, match=r"\['waiting'\].*no results.*resume"):
        html_report([SampleRun(), SampleRun(id="waiting", data=None)])
    with pytest.raises(CompatError, match="at least one run"):
        html_report([])
