"""The tables of a decision as CSV files: every option, who gets worse by group, and query by query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from compat_core.reports.decision import Decided, option_table
from compat_core.vectors.harm import GroupChange, changes_under
from compat_core.vectors.lost_queries import lost_queries
from compat_core.vectors.options import STATUS_QUO

GROUP_COLUMNS = ["option", *GroupChange.__dataclass_fields__, "worse"]


def decision_tables(decided: Decided, found: Mapping[str, np.ndarray]) -> dict[str, pd.DataFrame]:
    """``options``, ``harm-by-group`` and ``lost-queries``, complete and exact; fractions, not percent.

    Args:
        decided: ``Decision.to_dict()``.
        found: the arrays of :func:`compat_core.vectors.studies.per_query`.
    """
    metrics = ("mAP", "CMC@1")
    options = [option_table(decided, metric).assign(metric=metric) for metric in metrics]
    others = [name for name in found["options"].tolist() if name != STATUS_QUO]
    groups = [
        {"option": name} | asdict(change) | {"worse": change.worse}
        for name in others
        for change in changes_under(found, name)
    ]
    lost = [lost_queries(found, name).assign(option=name) for name in others]
    return {
        "options": _first(pd.concat(options, ignore_index=True), "option", "metric"),
        "harm-by-group": pd.DataFrame(groups, columns=GROUP_COLUMNS),
        "lost-queries": _first(pd.concat(lost, ignore_index=True), "option"),
    }


def write_tables(folder: Path, decided: Decided, found: Mapping[str, np.ndarray]) -> None:
    """Write :func:`decision_tables` as CSV; a table without a line has its heading."""
    for name, table in decision_tables(decided, found).items():
        table.to_csv(folder / f"{name}.csv", index=False)


def _first(table: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return table[[*columns, *table.columns.difference(list(columns), sort=False)]]
