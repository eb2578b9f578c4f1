"""Run lists: the most recent ones on Start, all of them on Runs."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from compat_core.data import DATASETS, downloaded
from compat_core.errors import CompatError
from compat_core.experiments import queue
from compat_core.experiments.presets import PRESETS
from compat_core.experiments.run import Run
from compat_core.experiments.store import RunStore
from compat_core.reports.frames import percent_text, records
from compat_core.reports.verdicts import COMPATIBLE, MARKS, verdict_table
from compat_core.ui.live import STATE_MARKS
from compat_core.ui.pickers import ago, run_name


def dataset_rows() -> list[dict[str, str]]:
    """Every data set, those that are on this machine first: bundled, downloaded, or what it takes."""
    rows = []
    for entry in DATASETS:
        here = downloaded(entry.name)
        where = "✓ your folder" if entry.name == "folder" else "✓ bundled" if entry.offline else "✓ downloaded"
        rows.append({"name": entry.name, "here": where if entry.offline or here else "downloads once"}
                    | {"what": entry.summary})  # fmt: skip
    return sorted(rows, key=lambda row: not row["here"].startswith("✓"))


def latest_of_preset(store: RunStore, preset: str) -> Run | None:
    """The newest run of exactly this preset, archived ones left out.

    Its name, seeds and device are the reader's: ``python -m compat_core demo`` offers the last two, and what the page
    says of the preset holds for each. Anything else changed (the form keeps the preset's name then) is another
    experiment.
    """
    whole = PRESETS.get(preset).config
    for run in store.list():
        try:
            if run.config_dict().get("preset") != preset or run.meta.archived:
                continue
            config = run.config
        except CompatError:  # deleted while the list was read, or of another version of the program
            continue
        if config == whole.replace(title=config.title, seeds=config.seeds, device=config.device):
            return run
    return None


def recent_runs(store: RunStore, most: int = 6) -> list[dict[str, Any]]:
    """Name, state and age of the newest runs, each with its id; see :func:`tell_apart`."""
    rows = []
    for run in store.list()[:most]:
        try:
            rows.append(
                {"run": run_name(run), "state": STATE_MARKS[run.status.state]}
                | {"created": ago(run.meta.created_at), "id": run.id}
            )
        except CompatError:
            continue
    return tell_apart(rows, "run")


def tell_apart(rows: list[dict[str, Any]], column: str) -> list[dict[str, Any]]:
    """``rows`` with the end of the id before every name in ``column`` that another row has too: behind a long one it
    would be out of view."""
    times = Counter(row[column] for row in rows)
    return [
        row | {column: f"{row['id'].rpartition('-')[2]} · {row[column]}"} if times[row[column]] > 1 else row
        for row in rows
    ]


def headline(run: Run) -> str:
    """The run's mAP verdicts in a few characters, best first: ``fct ✓ 92.9, bct ✗ 56.0``, of a chain ``bct-sys AC
    100.0``; empty without results."""
    return run.derive(_verdicts_in_short) or ""


def _verdicts_in_short(results: dict[str, Any]) -> str:
    if results.get("chain"):
        return _chains_in_short(results["chain"])
    table = verdict_table(results)
    table = table[table["metric"] == "mAP"]
    cross: dict[str, list[float]] = {}
    for row in results.get("rows", ()):
        if row["cell"] == "new/migrated" and row["metric"] == "mAP":
            cross.setdefault(row["method"], []).append(row["value"])
    means = {method: sum(values) / len(values) for method, values in cross.items()}
    best_first = sorted(
        records(table), key=lambda row: (row["verdict"] == COMPATIBLE, means.get(row["method"], 0.0)), reverse=True
    )
    return ", ".join(
        f"{row['method']} {MARKS.get(row['verdict'], '?')} {percent_text(means.get(row['method']))}"
        for row in best_first
    )


def _chains_in_short(entries: list[dict[str, Any]]) -> str:
    """A chain has no single verdict: the share of its pairs of versions that are compatible, best first."""
    shares: dict[str, list[float]] = {}
    for entry in entries:
        if entry["metric"] == "mAP":
            shares.setdefault(entry["method"], []).append(entry["AC"])
    means = {method: sum(values) / len(values) for method, values in shares.items()}
    best_first = sorted(means, key=lambda method: means[method], reverse=True)
    return ", ".join(f"{method} AC {percent_text(means[method])}" for method in best_first)


def run_rows(
    store: RunStore, text: str = "", states: list[str] | None = None, archived: bool = False
) -> list[dict[str, Any]]:
    """One row per run, pinned ones first, then the newest; dates, times and shares as numbers that can be sorted.

    Args:
        store: where the runs are.
        text: only runs whose name, id, tags, data set or methods contain it (any case).
        states: only these states; None or empty: all.
        archived: show archived runs too.
    """
    rows = []
    for run in store.list():
        try:
            row = _row(store, run)
        except CompatError:
            continue
        words = " ".join(str(row[key]) for key in ("name", "id", "tags", "data", "methods")).lower()
        if (
            text.strip().lower() in words
            and (not states or row["_state"] in states)
            and (archived or not row["_archived"])
        ):
            rows.append(row)
    return sorted(tell_apart(rows, "name"), key=lambda row: not row["_pinned"])


def _headline_if_readable(run: Run) -> str:
    """:func:`headline`, or that there is none: a run that left the list could not be looked into, or run again."""
    try:
        return headline(run)
    except CompatError:
        return "results cannot be read"


def _row(store: RunStore, run: Run) -> dict[str, Any]:
    config, status, meta = run.config_dict(), run.status, run.meta
    ended = status.finished_at or status.heartbeat
    specs = config.get("methods", [])
    position = queue.queue_position(store, run) if status.state == "queued" else None
    return {
        # first what tells runs apart: a long name would push it out of view
        "state": STATE_MARKS[status.state] + (f", place {position}" if position else ""),
        "created": datetime.fromtimestamp(meta.created_at, UTC) if meta.created_at else None,
        "name": ("★ " if meta.pinned else "") + run_name(run),
        "progress": 1.0 if status.state == "done" else round(status.progress, 2),
        "stage": status.stage if status.state == "running" else "",
        "took": (ended - status.started_at) / 60 if ended and status.started_at else None,
        "tags": ", ".join(meta.tags),
        "verdicts (mAP, %)": _headline_if_readable(run),
        "data": config.get("data", {}).get("dataset", ""),
        "seeds": len(config.get("seeds", [])),
        "methods": ", ".join(spec.get("alias") or spec["name"] for spec in specs),
        "id": run.id,
        "_state": status.state,
        "_pinned": meta.pinned,
        "_archived": meta.archived,
    }
