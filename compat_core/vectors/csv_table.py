"""Vectors and columns from CSV, read into memory. What names things stays as it is written: 007 and 7 are two ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from compat_core.errors import CompatError, unknown_name
from compat_core.vectors.dimensions import (
    INDEX,
    NO_NUMBERS,
    Dimensions,
    WholeNumbers,
    doubtful,
    nameless,
    refuse_gap,
    refuse_ids,
)

BLOCK_ROWS = 8192


def csv_columns(path: Path) -> list[str]:
    """The names of the columns. Raises CompatError for a file that is no CSV or holds no row."""
    return list(_read(path, nrows=1).columns)


def csv_values(path: Path, name: str) -> Any:
    """A column of numbers or dates as a series, typed as pandas does it; ``NA`` and the like are missing.

    Raises:
        CompatError: as :func:`csv_columns`.
    """
    return _read(path, usecols=lambda column: column == name)[name]


def csv_keys(path: Path, name: str) -> Any:
    """A column of ids, labels or groups as a series; only an empty or blank cell is missing: ``NA`` may be a country.

    Returns:
        numbers where every cell is what its number is written as, spaces aside; else texts, ``007`` with its zeros.

    Raises:
        CompatError: as :func:`csv_columns`.
    """
    import pandas as pd

    texts = _read(path, usecols=lambda column: column == name, dtype=str, na_filter=False)[name]
    empty = texts.str.strip() == ""
    return texts.mask(empty) if empty.any() else pd.Series(numbers_if_exact(texts.astype(object).to_numpy()))


def csv_vectors(spec: str, path: Path, name: str, reserved: Sequence[str]) -> tuple[np.ndarray, Dimensions]:
    """The vectors of a CSV file ``(N, D)``: all numeric columns but the ``reserved`` ones, or the one of that name.

    Leading columns without a name are the row names that pandas and R write, and no part of a vector.

    Raises:
        CompatError: as :func:`csv_columns`, for a column that is not there, none that is numeric, a text among the
            numbers of one, texts in one that is called like the others, or ids that are called something else.
    """
    frame = _read(path)
    columns = list(frame.columns)
    if name:
        if name not in columns:
            raise unknown_name(f"column in {spec}", name, columns)
        return np.asarray(frame[name].to_numpy())[:, None], Dimensions((name,))
    left_out = {column: INDEX for column in nameless(columns) if frame[column].dtype.kind != "f"}
    rest = [column for column in columns if column not in reserved and column not in left_out]
    numeric = [column for column in rest if frame[column].dtype.kind in "fiu"]
    if not numeric:
        rule = f"has no numeric column ({', '.join(columns[:8])})"
        raise CompatError(spec, rule=rule, fix="separate columns by commas and write numbers as 1.5")
    for column in rest:
        _refuse_stray_text(spec, frame[column])
    texts = [column for column in rest if column not in numeric]
    refuse_gap(spec, numeric, {column: str(frame[column].iloc[0]) for column in texts})
    emb = np.asarray(frame[numeric].to_numpy())
    whole = WholeNumbers(numeric)
    for first in range(0, len(emb), BLOCK_ROWS):
        whole.see(emb[first : first + BLOCK_ROWS])
    refuse_ids(spec, whole)
    integers = [column for column in numeric if frame[column].dtype.kind in "iu"]
    return emb, Dimensions(tuple(numeric), left_out | dict.fromkeys(texts, NO_NUMBERS), doubtful(whole, integers))


def _read(path: Path, **how: Any) -> Any:
    import pandas as pd

    try:
        frame = pd.read_csv(path, **how)
    except (ValueError, OSError, UnicodeDecodeError) as error:  # pandas' errors derive from these
        first = (str(error).splitlines() or ["unknown"])[0]
        raise CompatError(str(path), rule=f"cannot be read as csv ({first})") from error
    if not len(frame):
        raise CompatError(str(path), rule="holds no row")
    frame.columns = [str(column) for column in frame.columns]
    return frame


def numbers_if_exact(texts: np.ndarray) -> np.ndarray:
    """Whole numbers or fractions ``(N,)`` that are written as the ``texts (N,)`` are; else the texts themselves."""
    plain = np.char.strip(texts.astype(str))
    for kind in (np.int64, np.uint64, np.float64):
        try:
            numbers = plain.astype(kind)
        except (ValueError, OverflowError):
            continue
        if np.isfinite(numbers).all() and (numbers.astype(str) == plain).all():
            return numbers
    return texts


def _refuse_stray_text(spec: str, column: Any) -> None:
    """A column that is mostly numbers is a dimension; a text in it would drop the dimension without a word."""
    import pandas as pd

    if column.dtype.kind in "fiub":
        return
    numbers = pd.to_numeric(column, errors="coerce")
    stray = np.flatnonzero(numbers.isna() & column.notna())
    if len(stray) < len(column) / 2:
        row = int(stray[0]) if len(stray) else 0
        rule = f"column {column.name}, row {row}: not a number, among numbers"
        raise CompatError(spec, value=str(column.iloc[row])[:40], rule=rule, fix="mend that cell")
