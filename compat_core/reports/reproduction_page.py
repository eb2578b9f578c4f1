"""The reproduction page: Markdown written from kept runs, beside the published figures. No number in it is typed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from compat_core.metrics.protocols import IDENTIFICATION, VERIFICATION
from compat_core.reports.claims import CLAIMS, Finding, pool
from compat_core.reports.frames import MISSING, change_text, percent_text
from compat_core.reports.published import PUBLISHED
from compat_core.reports.reproduction import FIRST_CLAIMS, METRICS
from compat_core.reports.verdicts import MARKS, pooled_verdict

_INTRO = """# What reproduces, and at which budget

Written by `python -m compat_core reproduction` from the files in `reproduction/`; no number here was typed. Each kept
run names its budget: data, network, epochs, images, seeds. **The published figures beside ours are of other data sets,
networks and budgets**: compare direction and share of the gain, never value with value. Cells are `query/gallery`;
`old/old` is the status quo, `new/old` the untouched old gallery, `new/migrated` the method, `paragon` the ceiling.
Values are percent, mean ± standard deviation over seeds. Intervals are 95 %, percentile bootstrap over queries (over
classes where the budget says so) of the mean over seeds. ✓ compatible in every seed, ✗ not compatible in any, ? mixed
or undecided.
"""

_OUTCOME_MARKS = {"holds": "✓", "does not hold": "✗", "undecided": "?"}


def page(kept: Sequence[Mapping[str, Any]]) -> str:
    """The whole page as Markdown.

    Args:
        kept: what :func:`keep` returned, in the order of the page.
    """
    parts = [_INTRO, _claims(kept), _published()]
    parts += [_run(one) for one in kept]
    return "\n".join(part.rstrip() + "\n" for part in parts)


def _run(one: Mapping[str, Any]) -> str:
    environment = one["environment"]
    lines = [
        f"## {one['title']} ({one['dataset']})",
        "",
        f"{one['budget']}; {one['num_queries']:,} queries, {one['distance']} distance, chance mAP "
        f"{percent_text(one['chance']['mAP'])} %, CMC@1 {percent_text(one['chance']['CMC@1'])} %. Run on "
        f"{environment['device']} ({environment['device_reason']}), torch {environment['packages']['torch']}, "
        f"{one['elapsed_s'] / 60:.0f} min in its last sitting." + _shift(one["dataset_card"].get("sharpness")),
        "",
    ]
    if one["chain"]:
        return "\n".join(lines + _chain(one))
    for metric in METRICS:
        lines += [f"**{metric}**", "", *_matrix(one, metric), ""]
    for protocol in (VERIFICATION, IDENTIFICATION):
        lines += _protocol(one, protocol)
    lines += _backfill(one)
    return "\n".join(lines)


def _shift(sharpness: float | None) -> str:
    if sharpness is None:
        return ""
    return f" Its evaluation images are {sharpness:.2f} times as sharp as its training images, a shift in every number."


def _matrix(one: Mapping[str, Any], metric: str) -> list[str]:
    header = ["method", "old/old", "new/old", "new/migrated", "new/new", "paragon", "gain", "recovered", "cost", ""]
    lines = []
    for method, values in one["values"].items():
        cells = [_seeds(values[metric].get(cell, ())) for cell in header[1:6]]
        numbers = [_difference(one, method, metric, what) for what in ("gain", "recovered", "cost")]
        lines.append([f"`{method}`", *cells, *numbers, _mark(one, method, metric)])
    return _table(header, lines)


def _protocol(one: Mapping[str, Any], protocol: str) -> list[str]:
    trials = one["protocols"].get(protocol)
    if trials is None:
        return []
    counts = ", ".join(f"{value:,} {key.removeprefix('num_')}" for key, value in trials.items())
    prefixes = ("TAR@FAR=", "EER", "ROC-AUC") if protocol == VERIFICATION else ("TPIR@FPIR=", "rank-")
    names = [name for name in next(iter(one["values"].values())) if name.startswith(prefixes)]
    resolved = [name for name in names if any(_all_values(one, name))]
    lines = []
    for method, values in one["values"].items():
        for name in resolved:
            cells = [_seeds(values[name].get(cell, ())) for cell in ("old/old", "new/migrated", "paragon")]
            lines.append([f"`{method}`", name, *cells, _mark(one, method, name)])
    refused = [name for name in names if name not in resolved]
    note = [f"Refused, the data cannot resolve them: {', '.join(refused)}.", ""] if refused else []
    title = "1:1 verification" if protocol == VERIFICATION else "1:N open-set identification"
    header = ["method", "metric", "old/old", "new/migrated", "paragon", ""]
    return [f"**{title}** ({counts})", "", *_table(header, lines), "", *note]


def _all_values(one: Mapping[str, Any], name: str) -> list[bool]:
    return [
        value is not None
        for values in one["values"].values()
        for cell in values.get(name, {}).values()
        for value in cell
    ]


def _backfill(one: Mapping[str, Any]) -> list[str]:
    mapped = [line for line in one["backfill"] if line["metric"] == "mAP"]
    if not mapped:
        return []
    orders = list(dict.fromkeys(line["order"] for line in mapped))
    area = {(line["method"], line["order"]): line["auc"] for line in mapped}
    methods = dict.fromkeys(line["method"] for line in mapped)
    lines = [[f"`{method}`", *(percent_text(area.get((method, order))) for order in orders)] for method in methods]
    return ["**Area under the backfill curve, mAP**, per ordering", "", *_table(["method", *orders], lines), ""]


def _chain(one: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for metric in METRICS:
        entries = [entry for entry in one["chain"] if entry["metric"] == metric]
        cells = [pair["cell"] for pair in entries[0]["pairs"]]
        own = [f"v{step}/v{step}" for step in range(1, len(entries[0]["matrix"]) + 1)]
        rows = []
        for method in dict.fromkeys(entry["method"] for entry in entries):
            chosen = [entry for entry in entries if entry["method"] == method]
            texts = [_seeds(one["values"][method][metric][cell]) for cell in own]
            for cell in cells:
                outcomes = [pair["outcome"] for entry in chosen for pair in entry["pairs"] if pair["cell"] == cell]
                texts.append(f"{_seeds(one['values'][method][metric][cell])} {MARKS[pooled_verdict(outcomes)]}")
            share = float(np.mean([entry["AC"] for entry in chosen]))
            rows.append([f"`{method}`", *texts, percent_text(share)])
        lines += [f"**{metric}**", "", *_table(["method", *own, *cells, "AC"], rows), ""]
    return lines


def _published() -> str:
    header = ["method", "where", "metric", "old/old", "cross", "ceiling", "share of the gain", "cost", "note"]
    lines = [
        [
            f"`{entry.method}`", f"{entry.setting}, {entry.source}", entry.metric, f"{entry.old:.1f}",
            f"{entry.cross:.1f}", f"{entry.paragon:.1f}", f"{100 * entry.share:.0f} %" if entry.share > 0 else "none",
            MISSING if entry.cost is None else f"{entry.cost:.1f}", entry.note,
        ]
        for entry in PUBLISHED
    ]  # fmt: skip
    title = "## Published figures to read ours beside"
    return "\n".join([title, "", "Shares are computed from the printed values.", "", *_table(header, lines)])


def _claims(kept: Sequence[Mapping[str, Any]]) -> str:
    """Every claim in one table, by setting; then what each outcome rests on."""
    settings = list(dict.fromkeys(map(_setting, kept)))
    lines, evidence = [], []
    for claim in CLAIMS:
        found = [(one, _finding(entry)) for one in kept for entry in one["findings"] if entry["claim"] == claim.name]
        cells = [_counted([finding.outcome for one, finding in found if _setting(one) == each]) for each in settings]
        outcome = _outcome(kept, claim.name, [finding.outcome for _, finding in found])
        lines.append([f"{claim.statement} ({claim.source})", outcome, *cells])
        rows = [
            [
                finding.outcome,
                finding.what,
                change_text(finding.value, finding.ci_low, finding.ci_high),
                one["title"],
                finding.budget,
            ]
            for one, finding in found
        ]
        rows += [
            ["not judged", entry["why"], MISSING, one["title"], one["budget"]]
            for one in kept for entry in one.get("passed_over", ()) if entry["claim"] == claim.name
        ]  # fmt: skip
        if rows:
            header = ["outcome", "what", "points (95 % interval)", "run", "at"]
            evidence += ["", f"**{claim.statement}** Refuted by: {claim.refuted_by}", "", *_table(header, rows)]
    note = (
        "A claim holds when the whole interval of its difference lies on the claimed side and every seed agrees, and "
        "does not when all of these lie on the other; one run that refutes it is enough. An outcome is one at the "
        "budget named beside it. In the columns: in how many comparisons the claim holds (✓), does not hold (✗) or is "
        "undecided (?)."
    )
    table = _table(["claim", "outcome", *settings], lines)
    return "\n".join(["## The claims", "", note, "", *table, "", "### What the outcomes rest on", *evidence])


def _setting(one: Mapping[str, Any]) -> str:
    archs = dict.fromkeys(one["config"][version]["arch"] for version in ("old", "new"))
    return f"{one['dataset']}, {' → '.join(archs)}"


def _counted(outcomes: Sequence[str]) -> str:
    return " ".join(f"{mark} {outcomes.count(name)}" for name, mark in _OUTCOME_MARKS.items() if name in outcomes)


def _outcome(kept: Sequence[Mapping[str, Any]], claim: str, outcomes: Sequence[str]) -> str:
    """The outcome over all kept runs, with how many of them hold, and how many were never asked."""
    early = sum(claim not in _asked(one) for one in kept)
    pooled = "not asked" if early == len(kept) else pool(outcomes)
    counted = f", holds in {outcomes.count('holds')} of {len(outcomes)}"
    unasked = f", not asked of {early} of {len(kept)} runs" if 0 < early < len(kept) else ""
    return f"**{pooled}**{counted if pooled != 'holds' and len(outcomes) > 1 else ''}{unasked}"


def _asked(one: Mapping[str, Any]) -> set[str]:
    """Names of the claims that were put to a run when it was kept: a later one says nothing of it yet."""
    answered = {entry["claim"] for entry in (*one["findings"], *one.get("passed_over", ()))}
    return answered.union(one.get("asked", FIRST_CLAIMS))


def _finding(entry: Mapping[str, Any]) -> Finding:
    """A kept finding, its outcome by today's rule: the numbers are what was kept."""
    fields = {field.name for field in dataclasses.fields(Finding)}
    found = Finding(**{key: value for key, value in entry.items() if key in fields})
    claim = CLAIMS.get(entry["claim"])
    if claim.exact or not found.per_seed:
        return found
    return dataclasses.replace(found, outcome=claim.judged(found.ci_low, found.ci_high, found.per_seed))


def _seeds(values: Iterable[float | None]) -> str:
    found = [value for value in values if value is not None]
    if not found:
        return "refused"
    return percent_text(float(np.mean(found)), float(np.std(found, ddof=1)) if len(found) > 1 else None)


def _difference(one: Mapping[str, Any], method: str, metric: str, what: str) -> str:
    for line in one["differences"]:
        if (line["method"], line["metric"], line["what"]) == (method, metric, what):
            return change_text(line["value"], line["ci_low"], line["ci_high"])
    return MISSING


def _mark(one: Mapping[str, Any], method: str, metric: str) -> str:
    chosen = [v["outcome"] for v in one["verdicts"] if (v["method"], v["metric"]) == (method, metric)]
    return MARKS.get(pooled_verdict(chosen), "") if chosen else ""


def _table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    escaped = [[str(cell).replace("|", "\\|") for cell in line] for line in (header, *lines)]
    first, *rest = (f"| {' | '.join(line)} |" for line in escaped)
    return [first, "|" + " --- |" * len(header), *rest]
