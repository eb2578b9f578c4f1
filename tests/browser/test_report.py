"""The HTML report as a browser shows it: figures are drawn when they come near, and all of them before a print."""

import pytest

from compat_core.reports.html import html_report
from tests.reports.sample import SampleRun, sample_results

pytestmark = pytest.mark.browser


def test_a_figure_is_drawn_when_it_comes_near_and_before_a_print(page, tmp_path):
    mistakes = []
    page.on("pageerror", lambda error: mistakes.append(str(error)))
    page.on("console", lambda line: mistakes.append(line.text) if line.type == "error" else None)
    methods = ["independent", *(f"fct:</script>{number}" for number in range(12))]
    file = tmp_path / "report.html"
    file.write_text(html_report([SampleRun(data=sample_results(methods=methods))]), encoding="utf-8")
    page.goto(file.as_uri())
    drawn, figures = page.locator(".js-plotly-plot"), page.locator("figure")
    count = figures.count()
    assert count > 12 and drawn.count() < count
    figures.first.scroll_into_view_if_needed()
    drawn.first.locator("text=mAP").first.wait_for()
    assert drawn.count() < count
    page.pdf(path=tmp_path / "report.pdf")
    assert drawn.count() == count
    assert not mistakes
