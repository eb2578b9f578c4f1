"""Widgets generated from config dataclasses: the field's type, range, choices and help decide."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

ACRONYMS = {"gpu": "GPU", "gpus": "GPUs", "cpu": "CPU", "umap": "UMAP", "pca": "PCA", "fars": "FARs"}


def config_fields(
    config: Any,
    key: str,
    skip: Sequence[str] = (),
    columns: int = 3,
    *,
    bounded: bool = True,
    linked: bool = False,
    kept: bool = False,
) -> dict[str, Any]:
    """Draw one widget per field and return the values by name.

    Args:
        config: an instance of a config dataclass; its values are the widgets' first values.
        key: prefix of the widgets' keys.
        skip: fields that are drawn elsewhere.
        columns: widgets side by side.
        bounded: keep numbers within their range. The browser drops a number outside it without a word, so a form whose
            caller shows the error of the checked config takes every number: False.
        linked: keep what differs from the first values in the address, so that a link shows the same.
        kept: keep what was typed while the fields are out of sight, on another page too.
    """
    hints = typing.get_type_hints(type(config))
    fields = [
        field
        for field in dataclasses.fields(config)
        if field.name not in skip and hints[field.name] in (bool, int, float, str)
    ]
    values: dict[str, Any] = {}
    grid = st.columns(columns)
    for place, field in enumerate(fields):
        with grid[place % columns]:
            settings = {
                "key": f"{key}-{field.name}",
                "bind": "query-params" if linked else None,
                "persist_state": "session" if kept else None,
            }
            values[field.name] = _widget(field, hints[field.name], getattr(config, field.name), bounded, settings)
    return values


def label_of(name: str, unit: str) -> str:
    """A field's name in words, with its unit unless the name says it: ``epochs``, not ``epochs (epochs)``."""
    words = [ACRONYMS.get(word, word) for word in name.split("_")]
    label = " ".join(words)
    said = _spelt_alike(label).endswith(_spelt_alike(unit.replace("/", " per ")))
    return label if said else f"{label} ({unit})"


def _spelt_alike(text: str) -> str:
    """British and American spelling, capitals and plural made one."""
    return text.lower().replace("ou", "o").rstrip("s")


def _widget(field: Any, hint: type, value: Any, bounded: bool, settings: Mapping[str, Any]) -> Any:
    data = field.metadata
    label = label_of(field.name, data.get("unit", ""))
    low, high = (data.get("low"), data.get("high")) if bounded else (None, None)
    settings = {**settings, "help": f"{data['help']}. {_range(data)}{_paper(data)}".replace("..", ".").strip()}
    if hint is bool:
        return st.checkbox(label, value, **settings)
    if data.get("choices"):
        return st.selectbox(label, data["choices"], index=list(data["choices"]).index(value), **settings)
    if hint is int:
        low, high = (None if bound is None else int(bound) for bound in (low, high))
        return st.number_input(label, low, high, value, **settings)
    if hint is float:
        step = max(abs(value) / 10, 1e-6) if value else 0.1
        return st.number_input(label, low, high, value, step=step, format="%.6g", **settings)
    return st.text_input(label, value, **settings)


def _range(data: Any) -> str:
    low, high = data.get("low"), data.get("high")
    if low is None and high is None:
        return ""
    if high is None:
        return f"At least {low:g}. "
    return f"At most {high:g}. " if low is None else f"From {low:g} to {high:g}. "


def _paper(data: Any) -> str:
    return f"Paper: {data['paper']}." if data.get("paper") else ""
