"""Vectors, labels, ids and other columns from the files people have: .npy, .npz, Parquet, CSV, and qrels.

``FILE`` or ``FILE:NAME``: the name picks an array of an .npz or a column of a table. A .npy is memory-mapped and never
read whole; Parquet is streamed, many vectors into a temporary file; .npz and CSV are read into memory. Nothing is
unpickled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from compat_core.adapters.labels import named_apart
from compat_core.errors import CompatError, unknown_name
from compat_core.retrieval.inputs import check_keys, refuse_empty
from compat_core.vectors.arrays import archived_array, beside, open_array
from compat_core.vectors.csv_table import csv_columns, csv_keys, csv_values, csv_vectors, numbers_if_exact
from compat_core.vectors.dimensions import Dimensions
from compat_core.vectors.file_spec import FileSpec, SpecLike
from compat_core.vectors.parquet import open_parquet, parquet_vectors

ID_COLUMN, LABEL_COLUMN = "id", "label"
RESERVED = (ID_COLUMN, LABEL_COLUMN)


@dataclass(frozen=True, slots=True)
class VectorFile:
    """What one file of vectors holds.

    Attributes:
        emb: ``(N, D)`` real numbers, memory-mapped where the format allows it; values are checked when they are read.
        ids: ``(N,)`` texts from its ``id`` column, or its array ``ids``, or None.
        labels: ``(N,)`` from its ``label`` column, or its array ``labels``, or None; as :func:`read_labels`.
        dimensions: the columns of a table that the vectors were made of, or None.
    """

    emb: np.ndarray
    ids: np.ndarray | None = None
    labels: np.ndarray | None = None
    dimensions: Dimensions | None = None


def read_vectors(spec: SpecLike) -> VectorFile:
    """Vectors from a file.

    In a table, a column of lists is the vectors; without one all numeric columns are, but for ``id``, ``label`` and the
    index of a pandas frame. In an .npz, arrays called ``ids`` and ``labels`` belong to the vectors beside them.

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
        emb = _vectors(str(spec), archived_array(path, name))
        return VectorFile(emb, read_ids(file), _labels_beside(file))
    if file.kind == ".parquet":
        emb, dimensions = parquet_vectors(str(spec), path, name, RESERVED)
    else:
        emb, dimensions = csv_vectors(str(spec), path, name, RESERVED)
    return VectorFile(_vectors(str(spec), emb), read_ids(file), _labels_beside(file), dimensions)


def read_column(spec: SpecLike, usual: str = "") -> np.ndarray:
    """One value per item: labels, ids, groups. Whole numbers or texts ``(N,)``.

    A table without a name gives the ``usual`` column where it has one, or its only one beside ``id`` and ``label``. In
    a CSV ``NA`` is a text and not an empty cell, and numbers are those written as such: ``007`` is a text.

    Raises:
        CompatError: as :func:`read_vectors`, for a column that is not there, an empty or blank text, or numbers that
            are not whole.
    """
    return _keys(str(spec), _column(spec, usual, keys=True))


def read_labels(spec: SpecLike) -> np.ndarray:
    """A label per item ``(N,)``, as :func:`read_column`; what is empty, null or NaN is an item without a label.

    Where there are such items all labels are texts, see :mod:`~compat_core.vectors.labels`.

    Raises:
        CompatError: as :func:`read_column`, and where no item has a label.
    """
    _, values, empty = _cells(spec, LABEL_COLUMN, keys=True)
    if empty.all():
        raise CompatError(str(spec), rule="holds no label: every entry is empty", fix="leave the file out")
    known = values[~empty]
    if FileSpec.parse(spec).kind == ".csv" and empty.any():
        known = numbers_if_exact(known)  # pandas writes whole numbers with gaps as 3.0
    known = _keys(str(spec), known)
    return named_apart(~empty, known) if empty.any() else known


def read_ids(spec: SpecLike) -> np.ndarray | None:
    """The ids ``(N,)`` beside what is named, as texts: a table's ``id`` column, or the array ``ids`` of an .npz.

    Returns:
        None where there are none, or an .npz holds another number of them than of what is named.

    Raises:
        CompatError: for an empty id.
    """
    file = FileSpec.parse(spec).of_arrays()
    name = _beside(file, ID_COLUMN)
    return read_column(FileSpec(file.path, name)).astype(str) if name else None


def _labels_beside(file: FileSpec) -> np.ndarray | None:
    name = _beside(file, LABEL_COLUMN)
    return read_labels(FileSpec(file.path, name)) if name else None


def _beside(file: FileSpec, usual: str) -> str:
    """What ids or labels are called in a file that holds something else too; empty where there are none."""
    if file.is_table:
        return usual if usual in table_columns(file) else ""
    return beside(file.path, file.column, usual) if file.kind == ".npz" else ""


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


def read_weights(spec: SpecLike) -> np.ndarray:
    """How often each item is asked for: ``(N,)`` float64, at least 0.

    Raises:
        CompatError: as :func:`read_numbers`, and for a number below 0.
    """
    values = read_numbers(spec)
    if (values < 0).any():
        row = int(np.flatnonzero(values < 0)[0])
        raise CompatError(str(spec), value=float(values[row]), rule=f"in row {row}; a weight must be 0 or more")
    return values


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


def _table_column(file: FileSpec, name: str, keys: bool) -> Any:
    """One column of a table as a series, empty cells missing; a CSV's type depends on whether it holds ``keys``."""
    if file.kind == ".parquet":
        return open_parquet(file.path).read([name]).to_pandas(ignore_metadata=True)[name]  # or an index it would be
    return csv_keys(file.path, name) if keys else csv_values(file.path, name)


def _column(spec: SpecLike, usual: str = "", keys: bool = False) -> np.ndarray:
    """One value per item ``(N,)``; raises CompatError for an empty cell of a table."""
    called, values, empty = _cells(spec, usual, keys)
    if FileSpec.parse(spec).is_table:
        refuse_empty(called, empty)
    return values


def _cells(spec: SpecLike, usual: str, keys: bool) -> tuple[str, np.ndarray, np.ndarray]:
    """One value per item ``(N,)``, what to call them, and which are empty ``(N,)`` bool: missing, NaN or blank."""
    file = FileSpec.parse(spec).of_arrays()
    path, name = file.path, file.column
    called, missing = str(spec), None
    if file.kind == ".npy":
        values = open_array(path)
    elif file.kind == ".npz":
        values = archived_array(path, name, usual)
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
        called, missing = f"column {name} of {path}", column.isna().to_numpy()
        if len(column[~missing]) and isinstance(column[~missing].iloc[0], (list, tuple, np.ndarray)):
            raise CompatError(
                str(spec), rule=f"column {name} holds lists; must hold one entry per item", fix="name another column"
            )
        # By way of objects: pandas' own strings become an array of one character each.
        values = column.to_numpy() if column.dtype.kind in "iufbM" else column.astype(object).to_numpy().astype(str)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]  # a column is one entry per item as well
    if values.ndim != 1:
        raise CompatError(str(spec), rule=f"shape is {values.shape}; must have one dimension: one entry per item")
    if not len(values):
        raise CompatError(str(spec), rule=f"shape is {values.shape}; must hold at least one entry")
    values = np.asarray(values)
    if missing is None:
        missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), dtype=bool)
    if values.dtype.kind in "US":
        missing = missing | (np.char.strip(values) == values.dtype.type())
    return called, values, missing


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
