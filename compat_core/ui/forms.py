"""Widgets generated from config dataclasses: the field's type, range, choices and help decide."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from typing import Any

import streamlit as st


def config_fields(config: Any, key: str, skip: Sequence[str] = (), columns: int = 3) -> dict[str, Any]:
    """Draw one widget per field and return the values by name.

    Args:
        config: an instance of a config dataclass; its values are the widgets' first values.
        key: prefix of the widgets' keys.
        skip: fields that are drawn elsewhere.
        columns: widgets side by side.
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
            values[field.name] = _widget(field, hints[field.name], getattr(config, field.name), f"{key}-{field.name}")
    return values


def _widget(field: Any, hint: type, value: Any, key: str) -> Any:
    data = field.metadata
    label = field.name.replace("_", " ")
    unit = data.get("unit", "")
    if unit and not label.endswith(unit):  # "epochs", not "epochs (epochs)"
        label += f" ({unit})"
    help_text = f"{data['help']}. {_range(data)}{_paper(data)}".replace("..", ".").strip()
    if hint is bool:
        return st.checkbox(label, value, key=key, help=help_text)
    if data.get("choices"):
        return st.selectbox(label, data["choices"], index=list(data["choices"]).index(value), key=key, help=help_text)
    if hint is int:
        low, high = data.get("low"), data.get("high")
        return st.number_input(
            label,
            None if low is None else int(low),
            None if high is None else int(high),
            value,
            key=key,
            help=help_text,
        )
    if hint is float:
        step = max(abs(value) / 10, 1e-6) if value else 0.1
        return st.number_input(
            label, data.get("low"), data.get("high"), value, step=step, format="%g", key=key, help=help_text
        )
    return st.text_input(label, value, key=key, help=help_text)


def _range(data: Any) -> str:
    low, high = data.get("low"), data.get("high")
    if low is None and high is None:
        return ""
    if high is None:
        return f"At least {low:g}. "
    return f"At most {high:g}. " if low is None else f"From {low:g} to {high:g}. "


def _paper(data: Any) -> str:
    return f"Paper: {data['paper']}." if data.get("paper") else ""
