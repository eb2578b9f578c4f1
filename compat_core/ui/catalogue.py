"""The registries as pages to read; an entry is shown when the searched text occurs anywhere in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import streamlit as st

from compat_core.adapters import ADAPTERS
from compat_core.data import DATASETS
from compat_core.experiments.presets import PRESETS, command_line
from compat_core.losses import LOSSES
from compat_core.methods import METHODS
from compat_core.metrics import METRICS, PROTOCOL_METRICS
from compat_core.models import BACKBONES
from compat_core.retrieval.orderings import NEEDS, ORDERINGS
from compat_core.ui.words import literal


def parameters(config: type) -> list[dict[str, Any]]:
    """A config class as table rows: name, default, what it does, unit, range, the paper's value."""
    rows = []
    for field in dataclasses.fields(config):
        data = field.metadata
        low, high = data.get("low"), data.get("high")
        bounds = (
            f"{'' if low is None else f'{low:g}'} … {'' if high is None else f'{high:g}'}"
            if (low, high) != (None, None)
            else ""
        )
        allowed = ", ".join(data["choices"]) if data.get("choices") else bounds
        rows.append(
            {"parameter": field.name, "default": str(field.default), "what it does": data["help"]}
            | {"unit": data.get("unit", ""), "range": allowed, "paper": data.get("paper", "")}
        )
    return rows


def matching(entries: Iterable[Any], text: str) -> list[Any]:
    """The entries in which every word of ``text`` occurs."""
    words = text.lower().split()
    return [entry for entry in entries if all(word in str(entry).lower() for word in words)]


def _found(entries: Iterable[Any], text: str) -> list[Any]:
    found = matching(entries, text)
    if not found:
        st.caption("Nothing here matches.")
    return found


def _parameters(entry: Any) -> None:
    rows = parameters(entry.config)
    if rows:
        _table(rows, f"Parameters of {entry.title}")
    else:
        st.caption("No parameters.")


def _table(rows: list[dict[str, Any]], alt: str) -> None:
    """Text that wraps and that the browser's own search finds, unlike a grid's."""
    st.table([{name: literal(str(value)) for name, value in row.items()} for row in rows], hide_index=True, alt=alt)


def methods(text: str) -> None:
    """Upgrade methods."""
    for entry in _found(METHODS, text):
        with st.container(border=True):
            st.subheader(entry.title, anchor=entry.name)
            st.markdown(f"`{entry.name}` · {entry.family} · {entry.paper}")
            st.markdown(entry.summary)
            st.latex(entry.formula)
            st.markdown(f"**Needs** {', '.join(entry.needs)}")
            if entry.departs:
                st.markdown(f"**Departs from the paper** {entry.departs}")
            _parameters(entry)


def adapters(text: str) -> None:
    """Maps between stored vectors."""
    st.caption(
        "Fitted on pairs of vectors of the same items, in either direction: x is the source, y the target. Old → new "
        "migrates a gallery, new → old maps queries."
    )
    for entry in _found(ADAPTERS, text):
        with st.container(border=True):
            st.subheader(entry.title, anchor=f"adapter-{entry.name}")
            kind = "closed form" if entry.closed_form else "trained"
            st.markdown(f"`{entry.name}` · {kind} · {entry.paper}")
            st.markdown(entry.summary)
            st.latex(entry.formula)
            st.markdown(f"**Dimensions** {entry.dimensions}")
            if entry.departs:
                st.markdown(f"**Departs from the paper** {entry.departs}")
            _parameters(entry)


def losses(text: str) -> None:
    """Classification losses."""
    for entry in _found(LOSSES, text):
        with st.container(border=True):
            st.subheader(entry.title, anchor=f"loss-{entry.name}")
            st.markdown(f"`{entry.name}` · {entry.paper}")
            st.markdown(entry.summary)
            st.latex(entry.formula)
            _parameters(entry)


def metrics(text: str) -> None:
    """Retrieval metrics."""
    for entry in _found(METRICS, text):
        with st.container(border=True):
            st.subheader(entry.title, anchor=f"metric-{entry.name}")
            better = "higher is better" if entry.direction > 0 else "lower is better"
            st.markdown(f"`{entry.name}` · {entry.low:g} to {entry.high:g}, {better} · version {entry.version}")
            st.markdown(entry.help)
            st.code(entry.formula, language=None)
            also = f"Also called {', '.join(entry.synonyms)}. " if entry.synonyms else ""
            st.caption(f"{also}{entry.reference}")


def protocol_metrics(text: str) -> None:
    """Metrics of verification and identification."""
    for entry in _found(PROTOCOL_METRICS, text):
        with st.container(border=True):
            st.subheader(entry.title, anchor=f"protocol-{entry.protocol}-{entry.name.partition('@')[0].lower()}")
            better = "higher is better" if entry.direction > 0 else "lower is better"
            st.markdown(f"`{entry.name}` · {entry.protocol} · {entry.low:g} to {entry.high:g}, {better}")
            st.markdown(entry.help)
            st.code(entry.formula, language=None)
            st.caption(entry.reference)


def orderings(text: str) -> None:
    """Orderings of a backfill."""
    for entry in _found(ORDERINGS, text):
        with st.container(border=True):
            st.subheader(entry.title, anchor=f"ordering-{entry.name}")
            st.markdown(f"`{entry.name}`" + (f" · {entry.paper}" if entry.paper else ""))
            st.markdown(f"Embedded again: {entry.summary}.")
            if entry.needs:
                st.markdown(f"**Needs** {', '.join(NEEDS[need] for need in entry.needs)}")


def datasets(text: str) -> None:
    """Data sets."""
    for entry in _found(DATASETS, text):
        with st.container(border=True):
            st.subheader(entry.title, anchor=f"data-{entry.name}")
            st.markdown(f"`{entry.name}` · {'offline' if entry.offline else 'downloaded once'} · {entry.source}")
            st.markdown(entry.summary)


def backbones(text: str) -> None:
    """Backbones."""
    rows = [
        {"name": entry.name, "title": entry.title, "what": entry.summary, "smallest image (px)": entry.min_image_px}
        for entry in _found(BACKBONES, text)
    ]
    if rows:
        _table(rows, "Backbones")


def presets(text: str) -> None:
    """Presets."""
    for entry in _found(PRESETS, text):
        with st.container(border=True):
            st.subheader(entry.title, anchor=f"preset-{entry.name}")
            st.markdown(f"`{entry.name}` · {entry.paper}")
            st.markdown(entry.summary)
            st.code(command_line(entry.config), language="bash")


SECTIONS: dict[str, tuple[Iterable[Any], Callable[[str], None]]] = {
    "Methods": (METHODS, methods),
    "Adapters": (ADAPTERS, adapters),
    "Losses": (LOSSES, losses),
    "Metrics": (METRICS, metrics),
    "Protocols": (PROTOCOL_METRICS, protocol_metrics),
    "Orderings": (ORDERINGS, orderings),
    "Data sets": (DATASETS, datasets),
    "Backbones": (BACKBONES, backbones),
    "Presets": (PRESETS, presets),
}
