"""A decision about vectors as tables, a figure and one self-contained HTML page."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd

from compat_core.reports.decision_studies import add_studies
from compat_core.reports.frames import MISSING, amount_text, change_text, percent_text
from compat_core.reports.html_page import HtmlPage
from compat_core.reports.markup import Panel, frame_panel
from compat_core.reports.trade_off import trade_off_figure
from compat_core.vectors.backfill_list import order_sentence
from compat_core.vectors.bill import FLOAT_BYTES, CostConfig, Work, bill
from compat_core.vectors.lost_queries import (
    COLUMNS,
    FOLDER,
    PICTURED,
    Thumbnail,
    enlarged,
    lost_queries,
    read_thumbnails,
)
from compat_core.vectors.options import CEILING, NAIVE, RETRAIN, STATUS_QUO

Decided = Mapping[str, Any]  # Decision.to_dict(), as decision.json holds it under "decision"

LOST_LISTED = 50
ROLLBACK = {
    "reference": "Nothing to roll back: the old gallery is untouched until the new index has replaced it.",
    "migrate": "Keep the old vectors beside the migrated ones: to roll back, point queries at the old index and model.",
    "map queries": "Switch the map off: the gallery was never touched.",
    "two spaces": "Stop asking the new index: the old one was never touched.",
    "retrain": "Serve queries with the old model again: the gallery was never touched.",
    "part backfill": "Keep the old vectors until the last share is embedded: to roll back, point at the old index.",
}


def option_table(decided: Decided, metric: str | None = None) -> pd.DataFrame:
    """One line per option: the references first, then the others, best gain first.

    Columns: option, kind, backfilled, value, ci_low, ci_high, gain, gain_low, gain_high, recovered, lost, won
    (fractions), gpu_hours, money, days, gigabytes, recommended (bool).
    """
    metric = metric or decided["config"]["metric"]
    lines = []
    for row in decided["rows"]:
        value, gain, share = row["values"][metric], row["gain"][metric], row["recovered"][metric]
        lines.append(
            {"option": row["name"], "kind": row["kind"], "backfilled": row["backfilled"]}
            | {"value": value["value"], "ci_low": value["ci_low"], "ci_high": value["ci_high"]}
            | {"gain": gain["value"], "gain_low": gain["ci_low"], "gain_high": gain["ci_high"]}
            | {"recovered": share["value"] if share else None, "lost": row["lost"], "won": row["won"]}
            | row["bill"]
            | {"recommended": row["name"] == decided["recommended"]}
        )
    table = pd.DataFrame(lines).sort_values("gain", ascending=False, kind="stable")
    pinned = table["kind"] == "reference"
    return pd.concat([table[pinned].sort_index(), table[~pinned]], ignore_index=True)


def shown_table(decided: Decided, metric: str | None = None) -> pd.DataFrame:
    """:func:`option_table` as people read it: percent, points with their interval, money."""
    table = option_table(decided, metric)
    metric = metric or decided["config"]["metric"]
    lines = []
    for line in table.to_dict("records"):
        lines.append(
            {
                "": "→" if line["recommended"] else "≈" if line["option"] == decided.get("closest") else "",
                "option": line["option"],
                f"{metric} %": percent_text(line["value"]),
                "gain, points (95 %)": change_text(line["gain"], line["gain_low"], line["gain_high"]),
                "of the possible gain": MISSING if pd.isna(line["recovered"]) else _whole_percent(line["recovered"]),
                "money": amount_text(line["money"]),
                "embed again": f"{100 * line['backfilled']:.0f} %",
                "top hit lost / won %": f"{percent_text(line['lost'])} / {percent_text(line['won'])}",
                "GPU-hours": amount_text(line["gpu_hours"]),
                "days": amount_text(line["days"]),
                "GB kept": amount_text(line["gigabytes"]),
            }
        )
    return pd.DataFrame(lines + _not_judged(decided)).fillna(MISSING)


def _not_judged(decided: Decided) -> list[dict[str, str]]:
    """Lines without results: a naive swap that cannot be, and the bill of retraining where nobody brought a model."""
    lines = []
    if NAIVE in {entry["name"] for entry in decided.get("left_out") or ()}:
        lines.append({"": "", "option": f"{NAIVE} (not possible)"})
    if not any(row["kind"] == RETRAIN for row in decided["rows"]):
        base = next(row for row in decided["rows"] if row["name"] == STATUS_QUO)
        work = Work(**base["work"] | {"retrained": 1})
        cost = bill(work, CostConfig(**decided["config"]["costs"]), decided["num_items"])
        amounts = {"money": cost.money, "GPU-hours": cost.gpu_hours, "days": cost.days, "GB kept": cost.gigabytes}
        shown = {column: amount_text(amount) for column, amount in amounts.items()}
        lines.append({"": "", "option": "retrain compatibly (not judged)", "embed again": "0 %"} | shown)
    return lines


def headline(decided: Decided) -> str:
    """The answer in one sentence; where it names an option, another says what that costs."""
    if decided.get("closest"):
        answer = f"Nothing can be recommended without labels. Best imitation of the new model: {decided['closest']}."
        return f"{answer} {_bill_sentence(decided, decided['closest'])}"
    if not decided["independent"]:
        return "Nothing can be recommended without labels."
    if not decided["recommended"]:
        doubtful = bool(decided.get("doubt"))
        return "Nothing can be recommended for these rows." if doubtful else "Recommended: change nothing."
    return f"Recommended: {decided['recommended']}. {_bill_sentence(decided, decided['recommended'])}"


def _bill_sentence(decided: Decided, option: str) -> str:
    """What ``option`` costs, beside a full backfill where it is not one itself."""
    bills = {row["name"]: row["bill"] for row in decided["rows"]}
    money, days, hours = _amounts(bills[option])
    full = _amounts(bills[CEILING])
    if all(amount.startswith("<") for amount in full):
        return "For so few items no option costs anything worth naming."
    against = "" if option == CEILING else " (full backfill: {}, {} and {})".format(*full)
    return f"It costs {money} in money, {days} days and {hours} GPU-hours{against}."


def _amounts(costs: Mapping[str, float]) -> list[str]:
    return [amount_text(costs[name]) for name in ("money", "days", "gpu_hours")]


def facts(decided: Decided) -> str:
    """What stands behind it, in one sentence."""
    skipped = f", {decided['num_skipped']:,} skipped without a relevant item" if decided["num_skipped"] else ""
    gathered = ""
    if decided.get("gathered"):
        gathered = (
            " What is relevant to the queries was looked for among all items, the others are there by chance: compare "
            "the options, the levels are not those of the whole gallery."
        )
    return (
        f"Fitted on {decided['num_pairs']:,} pairs, judged on {decided['num_judged']:,} other items with "
        f"{decided['num_queries']:,} queries{skipped}; truth: {decided['truth']}; "
        f"{decided['config']['distance']} distance. Intervals: 95 %, paired bootstrap over queries. A gain counts only "
        f"where its interval lies above zero with the error shared between all options.{gathered}"
    )


def storage_note(decided: Decided) -> str:
    """How the bill counts what is stored, in one sentence."""
    work = {row["name"]: row["work"] for row in decided["rows"]}
    old, new = (work[name].get("number_bytes", FLOAT_BYTES) for name in (STATUS_QUO, CEILING))
    return (
        f"The bill counts {old} bytes for every number of an old vector and {new} for a new one, as the given files "
        f"hold them, and {FLOAT_BYTES} in a gallery that holds mapped ones, as migrate writes them."
    )


def left_out(decided: Decided) -> list[str]:
    """What is not among the options, and why, one sentence each."""
    return [f"Left out: {entry['name']} ({entry['reason']})." for entry in decided.get("left_out") or ()]


def rollback(decided: Decided) -> str:
    """How to undo the recommended option, or the one closest to the new model."""
    kinds = {row["name"]: row["kind"] for row in decided["rows"]}
    return ROLLBACK[kinds.get(decided["recommended"] or decided.get("closest"), "reference")]


def next_lines(document: Mapping[str, Any]) -> list[str]:
    """What to do to carry the answer out: sentences and commands; nothing where no command of this program does."""
    lines = []
    for step in document.get("steps") or ():
        lines.append(step["say"])
        if step["words"]:
            lines.append(shlex.join(["python", "-m", "compat_core", *step["words"]]))
    return lines


def order_lines(document: Mapping[str, Any], folder: Path | None = None) -> list[str]:
    """Where the rows are listed in the order of a backfill, for which option, and what that order means where it is not
    the recommended one; nothing where none are listed."""
    listed = document.get("backfill_order")
    if not listed:
        return []
    where = folder / listed["file"] if folder else listed["file"]
    chosen = document["decision"]["recommended"] or document["decision"].get("closest")
    means = "" if listed["option"] == chosen else order_sentence(listed["option"])
    return [f"The rows in the order of a backfill, for {listed['option']}: {where}", *filter(None, [means])]


def decision_page(
    document: Mapping[str, Any],
    lost: pd.DataFrame | None = None,
    thumbnails: Mapping[int, Thumbnail] = MappingProxyType({}),
) -> str:
    """The page of a ``decision.json``: the answer, all options with bill and intervals, inputs, how to roll back.

    Args:
        document: the parsed file: ``decision``, ``inputs`` (name -> path's name, shape, sha256) and ``environment``.
        lost: of :func:`compat_core.vectors.lost_queries.lost_queries`, under the option that was looked at;
            None leaves them out.
        thumbnails: pictures of items, by row.
    """
    decided = document["decision"]
    page = HtmlPage()
    page.heading(headline(decided))
    page.paragraph(decided["reason"])
    if means := order_sentence(decided["recommended"] or decided.get("closest") or ""):
        page.paragraph(means)
    for finding in document.get("checks") or ():
        if finding["severity"] == "warn":
            page.paragraph(f"Warning: {finding['sentence']}")
        else:
            page.note(finding["sentence"])
    page.heading("Every option", 3)
    for metric in (decided["config"]["metric"], *[m for m in ("mAP", "CMC@1") if m != decided["config"]["metric"]]):
        table = shown_table(decided, metric)
        panel = frame_panel(table, f"Options by gain in {metric}; status quo, naive swap and ceiling among them")
        page.table(panel)
    for sentence in left_out(decided):
        page.note(sentence)
    metric = decided["config"]["metric"]
    page.figure(
        trade_off_figure(option_table(decided), metric),
        "Money of every option against its gain over the status quo; as in the table",
    )
    add_studies(page, document.get("studies") or {}, decided)
    if lost is not None and not lost.empty:
        _add_lost(page, lost, thumbnails, document["studies"]["looked_at"])
    for line in (*next_lines(document), *order_lines(document)):
        page.paragraph(line)
    page.heading("If it goes wrong", 3)
    page.paragraph(rollback(decided))
    page.heading("To reproduce this", 3)
    page.table(_facts("Inputs", {name: json.dumps(value) for name, value in document["inputs"].items()}))
    config = {key: value for key, value in decided["config"].items() if key != "costs"}
    page.table(_facts("Settings", {key: json.dumps(value) for key, value in config.items()}))
    page.note(storage_note(decided))
    page.table(_facts("The bill's inputs", {key: f"{value:g}" for key, value in decided["config"]["costs"].items()}))
    page.table(_facts("Environment", {key: json.dumps(value) for key, value in document["environment"].items()}))
    return page.document("CompatBench: what to do with these vectors", facts(decided))


def page_of_folder(document: Mapping[str, Any], found: Mapping[str, np.ndarray], folder: Path) -> str:
    """:func:`decision_page` with the queries that got worse, and with what they look like.

    Args:
        document: as there.
        found: the arrays of :func:`compat_core.vectors.studies.per_query`.
        folder: the decision's, which holds the pictures of its items, if there are any.
    """
    lost = lost_queries(found, document["studies"]["looked_at"])
    thumbnails = read_thumbnails(folder / FOLDER, np.unique(lost[list(COLUMNS)].to_numpy()))
    return decision_page(document, lost, thumbnails)


def _add_lost(page: HtmlPage, lost: pd.DataFrame, thumbnails: Mapping[int, Thumbnail], option: str) -> None:
    page.heading("Queries that got worse", 3)
    page.note(
        f"{len(lost):,} queries whose first item was right under the status quo and is wrong under {option}, largest "
        "loss first; all of them are in per_query.npz."
    )
    for line in lost.head(PICTURED).to_dict("records"):
        shown = {words: thumbnails.get(int(line[column])) for column, words in COLUMNS.items()}
        if all(shown.values()):
            page.pictures([(enlarged(one.png), f"{words}: {one.caption}") for words, one in shown.items() if one])
    page.table(frame_panel(lost.head(LOST_LISTED).round(3), "Queries that got worse, by row of the given items"))


def _facts(title: str, values: Mapping[str, str]) -> Panel:
    return Panel(title, ("what", "value"), [(key.replace("_", " "), text) for key, text in values.items()])


def _whole_percent(fraction: float) -> str:
    return f"{round(100 * fraction)} %".replace("-", "−")
