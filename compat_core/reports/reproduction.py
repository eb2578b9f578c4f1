"""What a finished run showed, kept as one small JSON file: enough for the reproduction page, without the run folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from compat_core.experiments.run import Run
from compat_core.metrics import bootstrap_mean, bootstrap_ratio
from compat_core.reports.backfill import backfill_table
from compat_core.reports.claims import CLAIMS, answer
from compat_core.reports.evidence import Evidence
from compat_core.reports.frames import records

SCHEMA_VERSION = 1
METRICS = ("mAP", "CMC@1")
PAIRS = {"gain": ("new/migrated", "old/old"), "cost": ("paragon", "new/new")}
# What a run was asked that was kept before kept files named their claims: those that there were then.
FIRST_CLAIMS = (
    "independent-incompatible", "bct-compatible", "bct-sys-compatible", "bct-costs", "sys-beats-beta", "l2-fails",
    "lwf-fails", "lce-costs-less", "lce-crosses-better", "lce-crosses-dimensions", "chain-two-steps", "fct-untouched",
    "fct-beats-bct", "side-information-helps", "simclr-beats-autoencoder", "sigma-beats-random",
    "worst-first-beats-random", "weaker-new-drags-fct", "relu-breaks-bct", "softmax-to-cosine-breaks-bct",
)  # fmt: skip
ENVIRONMENT = ("compatbench", "python", "cpu", "cpu_cores", "device", "device_reason")


def keep(run: Run) -> dict[str, Any]:
    """What the page needs of a finished run, in JSON types, without paths or per-query numbers.

    Args:
        run: a run with results and rankings.

    Raises:
        CompatError: when its vectors or rankings are gone.
    """
    results = run.results() or {}
    evidence = Evidence(run, run.config)
    card = dict(results["dataset_card"])
    config = run.config.to_dict()
    dataset = str(card["name"])
    config["data"]["dataset"] = dataset
    card.pop("spec", None)
    card.pop("notes", None)
    environment = run.environment() or {}
    values: dict[str, dict[str, dict[str, list[float | None]]]] = {}
    for row in results["rows"]:
        values.setdefault(row["method"], {}).setdefault(row["metric"], {}).setdefault(row["cell"], []).append(
            row["value"]
        )
    answers = [(claim.name, answer(claim, [run])) for claim in CLAIMS]
    kept = {
        "schema_version": SCHEMA_VERSION,
        "run": run.id,
        "title": run.config.title or run.config.preset,
        "dataset": dataset,
        "budget": evidence.budget(),
        "num_queries": results["num_queries"],
        "distance": results["distance"],
        "chance": {name: results["chance"][name] for name in METRICS},
        "elapsed_s": results["elapsed_s"],
        "environment": {key: environment.get(key) for key in ENVIRONMENT}
        | {"packages": {name: environment.get("packages", {}).get(name) for name in ("torch", "torchvision")}},
        "dataset_card": card,
        "config": config,
        "values": values,
        "differences": [] if results["chain"] else [
            line for method in values for metric in METRICS for line in _differences(evidence, method, metric)
        ],
        "verdicts": results["verdicts"],
        "backfill": records(backfill_table(results)),
        "chain": results["chain"],
        "protocols": _trials(results),
        "asked": [name for name, _ in answers],
        "findings": [
            {"claim": name} | dataclasses.asdict(finding) for name, one in answers for finding in one.findings
        ],
        "passed_over": [{"claim": name, "why": why} for name, one in answers for why in one.passed_over],
    }  # fmt: skip
    return _short(kept)


def _short(value: Any) -> Any:
    """Floats to six significant digits, far finer than any interval here, so that the files stay small."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _short(entry) for key, entry in value.items()}
    return [_short(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def _differences(evidence: Evidence, method: str, metric: str) -> list[dict[str, Any]]:
    """Gain, recovered share and cost: mean over seeds and queries, its interval from resampled queries."""
    cells = {cell: evidence.values(method, cell, metric).mean(axis=0) for pair in PAIRS.values() for cell in pair}
    lines = []
    for what, (better, worse) in PAIRS.items():
        found = bootstrap_mean(cells[better] - cells[worse])
        lines.append({"method": method, "metric": metric, "what": what} | found.row())
    share = bootstrap_ratio(cells["new/migrated"] - cells["old/old"], cells["paragon"] - cells["old/old"])
    number = share.row() if share else {"value": None, "ci_low": None, "ci_high": None}
    return [*lines, {"method": method, "metric": metric, "what": "recovered"} | number]


def _trials(results: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    counts = ("num_templates", "num_genuine", "num_impostor", "num_enrolled", "num_mated", "num_unmated")
    return {
        entry["protocol"]: {key: entry[key] for key in counts if key in entry} for entry in results.get("protocols", ())
    }
