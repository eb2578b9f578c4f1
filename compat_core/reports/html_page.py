"""A self-contained HTML page: text, tables and interactive figures, with nothing to load from anywhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from html import escape

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from compat_core.reports.markup import Panel

# Nothing may be loaded, whatever a name or a note contains; plotly needs inline code and styles, and blobs for saving.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; "
    "form-action 'none'"
)
_PLOT_CONFIG = {"displaylogo": False, "responsive": True, "plotlyServerURL": ""}
# A page of sixty figures is read from its top: each is drawn when it comes near, all of them before a print.
_DRAWING = """
const plots = Array.from(document.querySelectorAll('script.plot'), (data) => data.previousElementSibling);
function draw(plot) {
  const data = plot.nextElementSibling;
  if (plot.classList.contains('js-plotly-plot')) return;
  const figure = JSON.parse(data.textContent);
  plot.style.height = '';
  Plotly.newPlot(plot, figure.data, figure.layout, CONFIG);
}
const near = new IntersectionObserver((seen) => seen.filter((one) => one.isIntersecting).forEach((one) => {
  near.unobserve(one.target);
  draw(one.target);
}), {rootMargin: '600px'});
plots.forEach((plot) => near.observe(plot));
addEventListener('beforeprint', () => plots.forEach(draw));
""".replace("CONFIG", json.dumps(_PLOT_CONFIG))
# auto-fill: the last of an odd number of figures keeps its half of the row
_STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1b1f24; --soft: #57606a; --rule: #d0d7de; --band: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --page: #0e1117; --ink: #e6edf3; --soft: #9da7b1; --rule: #30363d; --band: #161b22; }
}
body { background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 0 auto;
  max-width: 1200px; padding: 24px; }
h1, h2, h3 { line-height: 1.25; } h2 { border-top: 1px solid var(--rule); padding-top: 24px; margin-top: 40px; }
.soft, figcaption { color: var(--soft); font-size: 13px; }
.wide { overflow-x: auto; } table { border-collapse: collapse; margin: 12px 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 4px 0; white-space: nowrap; }
th, td { border-bottom: 1px solid var(--rule); padding: 4px 12px 4px 0; text-align: left; vertical-align: top; }
th { color: var(--soft); font-weight: 600; } .number { text-align: right; }
figure { margin: 16px 0; } .row { display: flex; flex-wrap: wrap; gap: 16px; } .row figure { margin: 4px 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(440px, 100%), 1fr)); gap: 8px; }
.pair figure { min-width: 0; }
pre { background: var(--band); padding: 12px; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12.5px; }
.js-plotly-plot :is(.gtitle, .xtitle, .ytitle, .xtick text, .ytick text, .legendtext, .annotation-text, .cbaxis text,
  .cbtitle text, .bartext-outside, .textpoint text) { fill: var(--ink) !important; }
@media print {
  :root { --page: #ffffff; --ink: #000000; --soft: #444444; --rule: #bbbbbb; --band: #f6f8fa; }
  body { max-width: none; padding: 0; }
  h2, h3, caption { break-after: avoid; } figure, tr, .card { break-inside: avoid; }
  .modebar { display: none !important; } section.run { break-before: page; }
}
"""


class HtmlPage:
    """Collects the page's parts; plotly's code is embedded once, in :meth:`document`."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.num_figures = 0

    def document(self, title: str, intro: str) -> str:
        """The whole page. ``intro`` is plain text."""
        code = f"<script>{get_plotlyjs()}</script>" if self.num_figures else ""
        head = (
            f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(title)}</title><style>{_STYLE}</style>{code}"
        )
        opening = f"<header><h1>{escape(title)}</h1><p>{escape(intro)}</p></header>"
        main = "<main>{}</main>".format("\n".join(self.parts)) + (f"<script>{_DRAWING}</script>" if code else "")
        return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{opening}\n{main}</body></html>\n'

    def heading(self, text: str, level: int = 2) -> None:
        """A heading of level 2 or 3."""
        self.parts.append(f"<h{level}>{escape(text)}</h{level}>")

    def paragraph(self, text: str) -> None:
        """Plain text."""
        self.parts.append(f"<p>{escape(text)}</p>")

    def note(self, text: str) -> None:
        """Plain text, set back."""
        self.parts.append(f"<p class='soft'>{escape(text)}</p>")

    def pictures(self, shown: Sequence[tuple[bytes, str]]) -> None:
        """PNG pictures side by side, each with its caption."""
        figures = "".join(
            f'<figure><img alt="{escape(words)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'
            f"<figcaption>{escape(words)}</figcaption></figure>"
            for png, words in shown
        )
        self.parts.append(f"<div class='row'>{figures}</div>")

    def table(self, panel: Panel) -> None:
        """A table that scrolls sideways where it has to."""
        kinds = ["number" if place in panel.right else "text" for place in range(len(panel.header))]
        head = "".join(
            f"<th scope='col' class='{kind}'>{escape(title)}</th>"
            for kind, title in zip(kinds, panel.header, strict=True)
        )
        body = []
        for row, line in enumerate(panel.lines):
            cells = [f"<b>{escape(cell)}</b>" if (row, place) in panel.bold else escape(cell)
                     for place, cell in enumerate(line)]  # fmt: skip
            body.append("".join(f"<td class='{kind}'>{cell}</td>" for kind, cell in zip(kinds, cells, strict=True)))
        lines = "".join(f"<tr>{line}</tr>" for line in body)
        caption = f"<caption>{escape(panel.title)}</caption>" if panel.title else ""
        self.parts.append(
            f"<div class='wide'><table>{caption}<thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"
        )

    def pairs(self, shown: Iterable[tuple[go.Figure, str]]) -> None:
        """Interactive figures with their descriptions, two side by side where the window is wide enough."""
        self.parts.append("<div class='pair'>")
        for figure, alt in shown:
            self.figure(figure, alt)
        self.parts.append("</div>")

    def figure(self, figure: go.Figure, alt: str) -> None:
        """An interactive figure with its description below it."""
        self.num_figures += 1
        data = figure.to_json().replace("<", "\\u003c")  # no name may end the script it stands in
        words = escape(alt, quote=True)
        self.parts.append(
            f'<figure><div role="img" aria-label="{words}"><div style="height: {figure.layout.height}px"></div>'
            f'<script type="application/json" class="plot">{data}</script></div>'
            f"<figcaption>{words}</figcaption></figure>"
        )
