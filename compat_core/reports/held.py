"""Which metrics finished runs hold: what all of them share, and which run lacks what."""

from __future__ import annotations

from collections.abc import Sequence

from compat_core.errors import CompatError, unknown_name
from compat_core.reports.frames import Results, as_list


def runs_lacking(results: Results | Sequence[Results]) -> dict[str, list[str]]:
    """Every registered metric -> the runs without a number of it, in the registry's order; none where all have one.

    A run made before a metric was added lacks it.
    """
    from compat_core.metrics import METRICS  # late: exporting rows needs no torch

    return _lacking(results, METRICS.names())


def shared_metrics(results: Results | Sequence[Results]) -> list[str]:
    """The registered metrics that every one of ``results`` holds, in the registry's order."""
    return [name for name, lacking in runs_lacking(results).items() if not lacking]


def left_out(results: Results | Sequence[Results]) -> str:
    """One line that says which registered metrics are left out because which runs lack them; empty where none is."""
    together: dict[tuple[str, ...], list[str]] = {}
    for name, lacking in runs_lacking(results).items():
        if lacking:
            together.setdefault(tuple(lacking), []).append(name)
    parts = [f"{', '.join(names)} (not measured in {', '.join(lacking)})" for lacking, names in together.items()]
    return f"Left out: {'; '.join(parts)}." if parts else ""


def measured_in(name: str) -> str:
    """The metric behind a derived number, ``mAP`` of ``gain(mAP)``; any other name is that of a metric."""
    return name.partition("(")[2][:-1] if name.endswith(")") else name


def protocol_metrics(results: Results | Sequence[Results]) -> dict[str, list[str]]:
    """What runs hold beside the registered metrics, such as ``TAR@FAR=0.01`` -> the runs without a number of it."""
    from compat_core.metrics import METRICS

    held = {measured_in(row["metric"]) for one in as_list(results) for row in one.get("rows", ())}
    return _lacking(results, sorted(held - set(METRICS.names())))


def _lacking(results: Results | Sequence[Results], metrics: Sequence[str]) -> dict[str, list[str]]:
    measured = {str(one.get("run", "")): {row["metric"] for row in one.get("rows", ())} for one in as_list(results)}
    return {name: [run for run, names in measured.items() if name not in names] for name in metrics}


def check_held(results: Results | Sequence[Results], metrics: Sequence[str]) -> None:
    """Refuse a metric that not all of ``results`` hold.

    Args:
        results: one run's results, or several runs'.
        metrics: names of registered metrics, or of those of a protocol.

    Raises:
        CompatError: for an unknown name, and naming the metric, the runs that lack it, and what all of them hold.
    """
    known = runs_lacking(results) | protocol_metrics(results)
    for metric in metrics:
        if metric not in known:
            raise unknown_name("metric", metric, known)
        if known[metric]:
            raise CompatError(
                "metric", value=metric, rule=f"not measured in {', '.join(known[metric])}",
                fix=f"leave out what lacks it, or choose of {', '.join(shared_metrics(results)) or 'other runs'}",
            )  # fmt: skip
