"""Chains of versions on the Compare page: the matrix of every method, and what it says as a whole."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from compat_core.reports.chains import (
    MATRIX_NOTE,
    SUMMARY_NOTE,
    Entry,
    chain_cells,
    chain_entries,
    chain_matrix,
    chain_numbers,
)
from compat_core.reports.tables import frame_to_format
from compat_core.ui.downloads import download_table
from compat_core.ui.words import literal


def chains(results: Sequence[dict[str, Any]], metric: str) -> None:
    """The C matrix of each chain in ``results`` (query version × gallery version), mean over seeds."""
    for one in results:
        by_method = chain_entries(one, metric)
        if by_method:
            _chain(one["run"], by_method, metric)


def _chain(run: str, by_method: Mapping[str, Sequence[Entry]], metric: str) -> None:
    st.subheader(f"Chain {run}")
    st.caption(f"{metric}. {MATRIX_NOTE}")
    for method, entries in by_method.items():
        key = f"chain-{run}-{method}"
        st.markdown(f"**{literal(method)}**")
        st.dataframe(chain_matrix(entries), hide_index=True, width="stretch", key=key, alt=f"Chain matrix of {method}")
        download_table(f"chain-{method}".replace(":", "-"), f"{key}-get", functools.partial(_export, entries, metric))
    summary = chain_numbers([entry for entries in by_method.values() for entry in entries])
    percent = st.column_config.NumberColumn(format="percent")
    numbers = {name: percent for name in summary.columns if name not in ("method", "seed")}
    st.caption(SUMMARY_NOTE)
    st.dataframe(
        summary, hide_index=True, width="stretch", key=f"chain-{run}-summary", column_config=numbers,
        alt="Chain summary per method and seed",
    )  # fmt: skip
    download_table("chain", f"chain-{run}-get", lambda kind: frame_to_format(summary, kind, f"chain, {metric}"))


def _export(entries: Sequence[Entry], metric: str, kind: str) -> bytes:
    """Numbers per seed for machines, the matrix for readers (Markdown, LaTeX)."""
    table = chain_matrix(entries) if kind in ("md", "latex") else chain_cells(entries)
    return frame_to_format(table, kind, f"{entries[0]['method']}, {metric} in %")
