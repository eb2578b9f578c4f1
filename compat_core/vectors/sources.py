"""Vectors, labels, ids and other columns from the files people have: .npy, .npz, Parquet, CSV, and qrels.

``FILE`` or ``FILE:NAME``: the name picks an array of an .npz or a column of a table. A .npy is memory-mapped and never
read whole; Parquet is streamed, many vectors into a temporary file; .npz and CSV are read into memory. Nothing is
unpickled.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compat_core.errors import CompatError, unknown_name
from compat_core.retrieval.inputs import check_keys, refuse_empty
from compat_core.vectors.csv_table import csv_columns, csv_keys, csv_values, csv_vectors
from compat_core.vectors.file_spec import FileSpec, SpecLike
from compat_core.vectors.parquet import open_parquet, parquet_vectors

ID_COLUMN, LABEL_COLUMN = "id", "label"
RESERVED = (ID_COLUMN, LABEL_COLUMN)


@dataclass(frozen=True, slots=True)
class VectorFile:
    """What one file of vectors holds.

    Attributes:
        emb: ``(N, D)`` real numbers, memory-mapped where the format allows it; values are checked when they are read.
        ids: ``(N,)`` texts from its ``id`` column, or None.
        labels: ``(N,)`` from its ``label`` column, or None.
    """

    emb: np.ndarray
    ids: np.ndarray | None = None
    labels: np.ndarray | None = None


def read_vectors(spec: SpecLike) -> VectorFile:
    """Vectors from a file.

    In a table, a column of lists is the vectors; without one all numeric columns are, but for ``id`` and ``label``.

    Args:
        spec: ``FILE`` or ``FILE:NAME``.

    Raises:
        CompatError: for a missing, truncated or foreign file, objects, big-endian numbers, booleans or complex numbers,
            no rows, another number of dimensions, or lists of unequal length.
    """
    file = FileSpec.parse(spec).of_arrays()
    path, name = file.path, file.column
    if file.kind == ".npy":
        return VectorFile(_vectors(str(spec), open_array(path)))
    if file.kind == ".npz":
        return VectorFile(_vectors(str(spec), _npz(path, name)))
    if file.kind == ".parquet":
        emb = parquet_vectors(str(spec), path, name, RESERVED)
    else:
        emb = csv_vectors(str(spec), path, name, RESERVED)
    ids = read_ids(file)
    labels = read_column(FileSpec(path, LABEL_COLUMN)) if LABEL_COLUMN in table_columns(file) else None
    return VectorFile(_vectors(str(spec), emb), ids, labels)


def read_column(spec: SpecLike, usual: str = "") -> np.ndarray:
    """One value per item: labels, ids, groups. Whole numbers or texts ``(N,)``.

    A table without a name gives the ``usual`` column where it has one, or its only one beside ``id`` and ``label``. In
    a CSV ``NA`` is a text and not an empty cell, and numbers are those written as such: ``007`` is a text.

    Raises:
        CompatError: as :func:`read_vectors`, for a column that is not there, an empty or blank text, or numbers that
            are not whole.
    """
    return _keys(str(spec), _column(spec, usual, keys=True))


def read_ids(spec: SpecLike) -> np.ndarray | None:
    """The ``id`` column ``(N,)`` of a table, as texts; None where there is none. Raises CompatError for an empty id."""
    file = FileSpec.parse(spec).of_arrays()
    if not file.is_table or ID_COLUMN not in table_columns(file):
        return None
    return read_column(FileSpec(file.path, ID_COLUMN)).astype(str)


def table_columns(file: FileSpec) -> list[str]:
    """The names of a table's columns. Raises CompatError for a file that cannot be read."""
    if file.kind == ".csv":
        return csv_columns(file.path)
    return list(open_parquet(file.path).schema_arrow.names)


def only_column(names: list[str], usual: str = "") -> str:
    """The column that is meant where nobody named one: ``usual``, or the only one; empty where several could be."""
    if usual in names:
        return usual
    rest = [name for name in names if name not in RESERVED] or names
    return rest[0] if len(rest) == 1 else ""


def read_numbers(spec: SpecLike) -> np.ndarray:
    """One finite number per item, such as a weight: ``(N,)`` float64.

    Raises:
        CompatError: as :func:`read_column`, for a text, NaN or infinity.
    """
    values = _column(spec)
    if values.dtype.kind not in "fiu" or not np.isfinite(values.astype(np.float64)).all():
        raise CompatError(str(spec), rule=f"dtype is {values.dtype}; must hold one finite number per item")
    return values.astype(np.float64)


def read_ages(spec: SpecLike) -> np.ndarray:
    """One number or date per item, larger or later being newer: ``(N,)`` float64 or datetime64[s].

    Dates as text are ISO 8601, such as 2024-03-31 or 2024-03-31T12:00:00Z.

    Raises:
        CompatError: as :func:`read_numbers`, and for a text that is no date or a date that is missing.
    """
    values = _column(spec)
    if values.dtype.kind in "US":
        values = _dates(str(spec), values.astype(str))
    if values.dtype.kind != "M":
        return read_numbers(spec)
    if np.isnat(values).any():
        raise CompatError(str(spec), rule=f"row {int(np.flatnonzero(np.isnat(values))[0])} holds no date")
    return values.astype("datetime64[s]")


def _dates(spec: str, texts: np.ndarray) -> np.ndarray:
    import pandas as pd

    dates = pd.to_datetime(pd.Series(texts), format="ISO8601", utc=True, errors="coerce")
    wrong = np.flatnonzero(dates.isna())
    if len(wrong):
        rule = f"row {wrong[0]} is neither a number nor a date that can be read in one way only"
        raise CompatError(spec, value=texts[wrong[0]][:40], rule=rule, fix="write dates as 2024-03-31")
    return dates.dt.tz_convert(None).to_numpy()


def read_qrels(spec: SpecLike) -> dict[str, dict[str, float]]:
    """Relevance judgements in TREC's form, ``query 0 item relevance`` per line: query id -> item id -> relevance.

    Raises:
        CompatError: for a missing file, no judgement, or a line of another form, which is named.
    """
    path = FileSpec.parse(spec).existing().path
    judged: dict[str, dict[str, float]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        words = line.split()
        if not words:
            continue
        try:
            query, _, item, relevance = words
            judged.setdefault(query, {})[item] = float(relevance)
        except ValueError as error:
            rule = f"line {number} is not 'query 0 item relevance'"
            raise CompatError(str(path), value=line[:60], rule=rule) from error
    if not judged:
        raise CompatError(str(path), rule="holds no judgement")
    return judged


def open_array(path: Path) -> np.ndarray:
    """An ``.npy`` file, memory-mapped, whatever it holds. Raises CompatError when it is broken or holds objects."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise CompatError(str(path), rule=_reason(path, str(error)), fix="write it with numpy.save") from error


def _npz(path: Path, name: str) -> np.ndarray:
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = list(archive.files)
            if name and name not in names:
                raise unknown_name(f"array in {path}", name, names)
            if not name and len(names) != 1:
                rule = f"holds {len(names)} arrays ({', '.join(names[:8])})"
                raise CompatError(str(path), rule=rule, fix=f"say which: {path}:{names[0] if names else 'NAME'}")
            array: np.ndarray = archive[name or names[0]]
            return array
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise CompatError(str(path), rule=_reason(path, str(error)), fix="write it with numpy.savez") from error


def _table_column(file: FileSpec, name: str, keys: bool) -> Any:
    """One column of a table as a series, empty cells missing; a CSV's type depends on whether it holds ``keys``."""
    if file.kind == ".parquet":
        return open_parquet(file.path).read([name]).to_pandas()[name]
    return csv_keys(file.path, name) if keys else csv_values(file.path, name)


def _column(spec: SpecLike, usual: str = "", keys: bool = False) -> np.ndarray:
    file = FileSpec.parse(spec).of_arrays()
    path, name = file.path, file.column
    if file.kind == ".npy":
        values = open_array(path)
    elif file.kind == ".npz":
        values = _npz(path, name)
    else:
        names = table_columns(file)
        name = name or only_column(names, usual)
        if not name:
            raise CompatError(
                str(spec), rule=f"has {len(names)} columns", fix=f"say which: {path}:NAME ({', '.join(names[:8])})"
            )
        if name not in names:
            raise unknown_name(f"column in {path}", name, names)
        column = _table_column(file, name, keys)
        refuse_empty(f"column {name} of {path}", column.isna().to_numpy())
        if isinstance(column.iloc[0], (list, tuple, np.ndarray)):
            raise CompatError(
                str(spec), rule=f"column {name} holds lists; must hold one entry per item", fix="name another column"
            )
        # By way of objects: pandas' own strings become an array of one character each.
        values = column.to_numpy() if column.dtype.kind in "iufbM" else column.astype(object).to_numpy().astype(str)
    if values.ndim != 1:
        raise CompatError(str(spec), rule=f"shape is {values.shape}; must have one dimension: one entry per item")
    if not len(values):
        raise CompatError(str(spec), rule=f"shape is {values.shape}; must hold at least one entry")
    return np.asarray(values)


def _keys(spec: str, values: np.ndarray) -> np.ndarray:
    if values.dtype == object:
        values = values.astype(str)
    return check_keys(spec, values, len(values), spec)


def _vectors(spec: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in "fiu":
        raise CompatError(spec, rule=f"dtype is {array.dtype}; must hold real numbers", fix="save float32")
    if not array.dtype.isnative:
        fix = "save it again with .astype('=f4')"
        raise CompatError(
            spec, rule=f"dtype is {array.dtype.str}: the bytes are in the order of another machine", fix=fix
        )
    if array.ndim != 2:
        raise CompatError(spec, rule=f"shape is {array.shape}; must have two dimensions: (items, dimension)")
    if 0 in array.shape:
        raise CompatError(spec, rule=f"shape is {array.shape}; must hold at least one item and one dimension")
    return array


def _reason(path: Path, message: str) -> str:
    """Why numpy could not read a file, in words that say what to do."""
    if not path.stat().st_size:
        return "is empty (0 bytes)"
    with path.open("rb") as file:
        begin = file.read(6)
    known = begin == b"\x93NUMPY" or begin.startswith(b"PK")
    if known and "object" in message.lower():
        return "holds Python objects, which only unpickling could read, and that is refused"
    if not known:
        return f"is not an {path.suffix} file"
    return f"cannot be read, truncated perhaps ({message})"
