"""One self-contained HTML page about one or more runs: no file beside it, no network, printable, light and dark."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Protocol

from compat_core.errors import CompatError
from compat_core.reports import figures
from compat_core.reports.alt import alt_text
from compat_core.reports.chains import MATRIX_NOTE as CHAIN_MATRIX_NOTE
from compat_core.reports.chains import SUMMARY_NOTE as CHAIN_SUMMARY_NOTE
from compat_core.reports.chains import chain_entries, chain_matrix, chain_numbers
from compat_core.reports.frames import (
    MAIN_METRICS,
    MISSING,
    Results,
    aggregate,
    as_list,
    config_diff,
    per_class_table,
    percent_text,
)
from compat_core.reports.held import check_held
from compat_core.reports.html_page import HtmlPage
from compat_core.reports.html_studies import add_backfill, add_protocols, add_subgroups, in_metrics
from compat_core.reports.markup import Panel, frame_panel, summary_panels
from compat_core.reports.pareto import pareto_figure
from compat_core.reports.tables import SUMMARY_NOTE
from compat_core.reports.verdicts import MARKS, claims_sentences, stored_verdicts, verdict_table

WORST_CLASSES = 10


class ReportRun(Protocol):
    """What the report needs of a run; :class:`compat_core.experiments.Run` has it."""

    @property
    def id(self) -> str: ...
    @property
    def config(self) -> Any: ...
    @property
    def meta(self) -> Any: ...
    def results(self) -> dict[str, Any] | None: ...
    def environment(self) -> dict[str, Any] | None: ...


def html_report(
    runs: Sequence[ReportRun], method_order: Sequence[str] | None = None, metrics: Sequence[str] | None = None
) -> str:
    """The page: verdicts in words, tables, figures, worst classes, backfill, protocols, subgroups, and what is needed
    to reproduce it.

    Args:
        runs: one or more runs that have results.
        method_order: method names in the order that fixes their colours; None: the methods registry's, as in the app.
        metrics: what tables and sentences are about; figures show the first. None or empty: :data:`MAIN_METRICS`.

    Raises:
        CompatError: without runs, or naming the runs that have no results yet, or that lack one of ``metrics``.
    """
    runs = list(runs)
    if not runs:
        raise CompatError("report", value=[], rule="needs at least one run", fix="see: python -m compat_core runs")
    stored = {run.id: run.results() for run in runs}
    lacking = [run_id for run_id, results in stored.items() if not results or not results.get("rows")]
    if lacking:
        raise CompatError(
            "report", value=lacking, rule="these runs have no results",
            fix="wait until they are done, resume them (python -m compat_core run --resume RUN), or leave them out",
        )  # fmt: skip
    if method_order is None:
        from compat_core.methods import METHODS  # late: the registry loads torch

        method_order = METHODS.names()
    loaded = [(run, stored[run.id] or {}) for run in runs]
    if metrics:
        check_held([results for _, results in loaded], metrics)
    page = _Page(method_order, metrics or MAIN_METRICS)
    if len(runs) > 1:
        page.comparison(loaded)
    for run, results in loaded:
        page.run(run, results)
    title = "CompatBench report: " + ", ".join(_title(run) for run in runs)
    return page.document(title, _INTRO)


class _Page(HtmlPage):
    """The sections of a report about runs."""

    def __init__(self, method_order: Sequence[str], metrics: Sequence[str]) -> None:
        super().__init__()
        self.order = method_order
        self.metrics = metrics

    # -- sections --------------------------------------------------------------------------------------------------

    def comparison(self, loaded: Sequence[tuple[ReportRun, Results]]) -> None:
        results = [one for _, one in loaded if not one.get("chain")]
        self.parts.append("<section><h2>All runs together</h2>")
        if results:
            self.summary(results)
            self.trade_off(results)
        difference = config_diff({run.id: run.config.to_dict() for run, _ in loaded})
        caption = "Settings that differ" if len(difference) else "No setting differs"
        self.table(frame_panel(difference, caption))
        self.parts.append("</section>")

    def run(self, run: ReportRun, results: Results) -> None:
        meta = run.meta
        facts = f"run {run.id} · data set {results.get('dataset', '')} · distance {results.get('distance', '')}"
        counts = f"{results.get('num_queries', MISSING)} queries · seeds {', '.join(map(str, run.config.seeds))}"
        heading = f"<h2>{escape(_title(run))}</h2><p class='soft'>{escape(f'{facts} · {counts}')}</p>"
        self.parts.append(f"<section class='run'>{heading}")
        tags, notes = _field(meta, "tags") or (), str(_field(meta, "notes") or "")
        words = [f"Tags: {', '.join(map(str, tags))}"] * bool(tags) + [notes] * bool(notes)
        self.parts += [f"<p>{escape(text)}</p>" for text in words]
        if results.get("chain"):
            self.chain(results)
        else:
            self.upgrade(results)
        self.reproducibility(run, results)
        config = json.dumps(run.config.to_dict(), indent=2, ensure_ascii=False)
        self.parts.append(f"<h3>Configuration</h3><pre>{escape(config)}</pre></section>")

    def upgrade(self, results: Results) -> None:
        items = "".join(f"<li>{escape(sentence)}</li>" for sentence in claims_sentences(results, self.metrics[0]))
        self.parts.append(f"<h3>What was found</h3><ul>{items}</ul>")
        self.verdicts(results)
        self.summary([results])
        self.figures(results)
        self.worst_classes(results)
        add_backfill(self, results, self.metrics)
        add_protocols(self, results)
        add_subgroups(self, results, self.metrics)

    def chain(self, results: Results) -> None:
        for metric in self.metrics:
            by_method = chain_entries(results, metric)
            self.heading(f"Chain of versions, {metric}", 3)
            for method, entries in by_method.items():
                self.table(frame_panel(chain_matrix(entries), method))
            numbers = chain_numbers([entry for entries in by_method.values() for entry in entries])
            percent = [name for name in numbers.columns if name not in ("method", "seed")]
            self.table(frame_panel(numbers, "Summary per method and seed", percent))
        self.note(CHAIN_MATRIX_NOTE)
        self.note(CHAIN_SUMMARY_NOTE)

    def verdicts(self, results: Results) -> None:
        table = verdict_table(results)
        if table.empty:
            self.note("No verdicts: compatibility was not tested in this run.")
            return
        differences = [percent_text(value) for value in table["difference"]]
        table["text"] = [
            f"{MARKS.get(word, '')} {value}" for word, value in zip(table["verdict"], differences, strict=True)
        ]
        pivot = table.pivot(index="method", columns="metric", values="text")
        pivot = pivot.loc[list(dict.fromkeys(table["method"])), list(dict.fromkeys(table["metric"]))]
        panel = frame_panel(pivot.reset_index(), "Verdict and difference to the status quo per metric")
        self.table(dataclasses.replace(panel, right=frozenset(range(1, len(panel.header)))))
        self.note(_VERDICT_NOTE)

    def summary(self, results: Sequence[Results]) -> None:
        rows = [row for one in results for row in one["rows"]]
        metrics = [metric for metric in self.metrics if metric in {row["metric"] for row in rows}]
        for panel in summary_panels(rows, metrics, stored_verdicts(results)):
            self.table(panel)
        self.note(SUMMARY_NOTE)

    def figures(self, results: Results) -> None:
        table = aggregate(results["rows"])
        metric = next((name for name in self.metrics if name in set(table["metric"])), None)
        self.parts.append("<h3>Figures</h3>")
        if metric is None:
            self.note(f"No figures: the results hold none of {', '.join(self.metrics)}.")
            return
        methods = list(dict.fromkeys(table.loc[table["metric"] == metric, "method"]))
        options: dict[str, Any] = {"metric": metric, "methods": methods}
        self.figure(figures.metric_bars(results, **options), alt_text("bars", results, **options))
        self.trade_off(results, methods)
        if results.get("curves"):
            cmc = figures.cmc_figure(results, methods, order=self.order)
            self.figure(cmc, alt_text("cmc", results, methods=methods))
            precision = figures.precision_recall_figure(results, methods, order=self.order)
            self.figure(precision, alt_text("precision-recall", results, methods=methods))
        self.pairs(
            (
                figures.matrix_heatmap(results, method, metric),
                alt_text("matrix", results, method=method, metric=metric),
            )
            for method in methods
        )

    def trade_off(self, results: Results | Sequence[Results], methods: Sequence[str] | None = None) -> None:
        measured = {row["metric"] for one in as_list(results) for row in one["rows"]}
        held = [name for name in ("mAP", *self.metrics) if f"recovered_gain({name})" in measured]
        metric = in_metrics(self, self.metrics, held, "Cost and recovered gain are")[0]
        figure = pareto_figure(results, metric, methods, self.order)
        self.figure(figure, alt_text("pareto", results, metric=metric, methods=methods))

    def worst_classes(self, results: Results) -> None:
        lines = results.get("per_class", ())
        if not lines:
            return
        self.parts.append("<h3>Classes, worst first</h3>")
        held = [name for name in ("mAP", *self.metrics) if name in lines[0]]
        metric = in_metrics(self, self.metrics, held, "Classes are")[0]
        table = per_class_table(results, metric)
        for method, part in table.groupby("method", sort=False):
            caption = f"{method}: the {min(WORST_CLASSES, len(part))} worst of {len(part)} classes, {metric}"
            shown = part.head(WORST_CLASSES).drop(columns=["run", "method"])
            self.table(frame_panel(shown, caption, ["new/migrated", "old/old", "change"]))

    def reproducibility(self, run: ReportRun, results: Results) -> None:
        environment = dict(run.environment() or {})
        packages = environment.pop("packages", None) or {}
        facts = {"seeds": ", ".join(map(str, run.config.seeds)), **_flat(environment)}
        facts["packages"] = ", ".join(f"{name} {version}" for name, version in packages.items())
        facts["metric versions"] = ", ".join(f"{k} {v}" for k, v in results.get("metric_versions", {}).items())
        facts["elapsed in its last sitting"] = (
            f"{results['elapsed_s']:.1f} s" if results.get("elapsed_s") is not None else ""
        )
        self.parts.append("<section class='card'><h3>To reproduce this</h3>")
        self.table(_facts_panel(facts))
        self.table(_facts_panel(_flat(results.get("dataset_card") or {}), "Data set"))
        self.parts.append("</section>")


_VERDICT_NOTE = (
    "✓ compatible, ✗ not compatible, ? mixed over seeds or undecided at 95 %. Several seeds are compatible (or not) "
    "only if every one is. Numbers: new/migrated − old/old in percentage points, mean over seeds."
)
_INTRO = (
    "Cells are written query/gallery. old/old is the status quo, new/old the new model on the untouched gallery, "
    "new/migrated the method, new/new a full backfill, paragon the ceiling: an unconstrained new model, "
    "fully backfilled."
)


def _title(run: ReportRun) -> str:
    return str(_field(run.meta, "name") or _field(run.meta, "title") or run.config.title or run.id)


def _field(meta: Any, name: str) -> Any:
    """A field of what people wrote beside the run, given as an object or as a mapping."""
    return meta.get(name) if isinstance(meta, Mapping) else getattr(meta, name, None)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    facts: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            facts |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)):
            facts[f"{prefix}{key}"] = ", ".join(map(str, value))
        else:
            facts[f"{prefix}{key}"] = "not recorded" if value is None else str(value)
    return facts


def _facts_panel(facts: Mapping[str, str], title: str = "") -> Panel:
    return Panel(title, ("what", "value"), [(key.replace("_", " "), text) for key, text in facts.items() if text != ""])
