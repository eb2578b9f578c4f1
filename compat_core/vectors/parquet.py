"""Vectors from Parquet, streamed: a few thousand rows at a time, into memory or, where they are many, into a file.

Parquet cannot be memory-mapped, and reading a column of lists whole takes several times its size. What is too large for
memory goes into a temporary file that is gone when nothing uses it any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from compat_core.errors import CompatError, unknown_name
from compat_core.retrieval.streamed import let_go
from compat_core.vectors.dimensions import (
    INDEX,
    NO_NUMBERS,
    Dimensions,
    WholeNumbers,
    doubtful,
    is_index,
    refuse_gap,
    refuse_ids,
)
from compat_core.vectors.scratch import scratch

BATCH_ROWS = 8192
FILE_FROM_BYTES = 256 * 2**20  # vectors of this size and more are kept in a temporary file


def open_parquet(path: Path) -> Any:
    """A ``pyarrow.parquet.ParquetFile``. Raises CompatError when it is none, holds no row, or pyarrow is missing."""
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise CompatError(str(path), rule="reading Parquet needs pyarrow", fix="pip install pyarrow") from error
    try:
        file = pyarrow.parquet.ParquetFile(path, pre_buffer=False)  # or it keeps all that was read
    except (ValueError, OSError) as error:  # pyarrow's errors derive from these
        first = (str(error).splitlines() or ["unknown"])[0]
        raise CompatError(str(path), rule=f"cannot be read as parquet ({first})") from error
    if not file.metadata.num_rows:
        raise CompatError(str(path), rule="holds no row")
    return file


def parquet_vectors(spec: str, path: Path, name: str, reserved: Sequence[str]) -> tuple[np.ndarray, Dimensions]:
    """The vectors of a Parquet file ``(N, D)``, in the numbers' own type, and the columns they were made of.

    Args:
        spec: what to call it in errors.
        path: the file.
        name: a column of lists, or of numbers (then D is 1); empty: the only column of lists, else all numeric columns
            but the index of a pandas frame.
        reserved: columns that are not part of a vector.

    Raises:
        CompatError: for a column that is not there, several of lists, none that fits, lists of unequal length or of
            anything but numbers, empty places, a column without numbers that is called like the others, or ids that are
            called something else.
    """
    file = open_parquet(path)
    chosen = _vector_columns(spec, file.schema_arrow, name, reserved)
    columns = list(chosen.taken)
    whole = WholeNumbers(columns)
    stored, done = np.empty((0, 0)), 0
    for rows in _batches(spec, file, columns):
        if len(columns) > 1:
            whole.see(rows)
        if not done:
            stored = _room(spec, (file.metadata.num_rows, rows.shape[1]), rows.dtype)
        if rows.shape[1] != stored.shape[1]:
            _unequal(spec, columns[0], done, rows.shape[1], stored.shape[1])
        stored[done : done + len(rows)] = rows
        done += len(rows)
        let_go(stored)  # written pages belong to the file, not to this process
    if len(columns) == 1:
        return stored, chosen
    refuse_ids(spec, whole)
    integers = [column for column in columns if _is_integer(file.schema_arrow.field(column).type)]
    return stored, replace(chosen, doubtful=doubtful(whole, integers))


def _vector_columns(spec: str, schema: Any, name: str, reserved: Sequence[str]) -> Dimensions:
    kinds = {field.name: field.type for field in schema}
    if name:
        if name not in kinds:
            raise unknown_name(f"column in {spec}", name, kinds)
        return Dimensions((name,))
    lists = [column for column, kind in kinds.items() if _is_list(kind)]
    if len(lists) > 1:
        rule = f"has several columns of lists ({', '.join(lists)})"
        raise CompatError(spec, rule=rule, fix=f"say which: :{lists[0]}")
    if lists:
        return Dimensions(tuple(lists))
    left_out = {column: INDEX for column in _index_columns(schema) if column not in reserved}
    rest = {column: kind for column, kind in kinds.items() if column not in reserved and column not in left_out}
    numeric = tuple(column for column, kind in rest.items() if _is_number(kind))
    if not numeric:
        raise CompatError(spec, rule=f"has no column of lists and no numeric column ({', '.join([*kinds][:8])})")
    others = {column: str(kind) for column, kind in rest.items() if column not in numeric}
    refuse_gap(spec, numeric, others)
    return Dimensions(numeric, left_out | dict.fromkeys(others, NO_NUMBERS))


def _index_columns(schema: Any) -> list[str]:
    """The columns that were the index of a pandas frame: as its notes in the file say, or by the name it gives them."""
    noted = (schema.pandas_metadata or {}).get("index_columns", ())  # a range that is not stored is no text
    return [name for name in schema.names if name in [*noted] or is_index(name)]


def _is_list(kind: Any) -> bool:
    import pyarrow

    types = pyarrow.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_number(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_integer(kind) or pyarrow.types.is_floating(kind))


def _is_integer(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_integer(kind))


def _batches(spec: str, file: Any, columns: list[str]) -> Iterator[np.ndarray]:
    done = 0
    for batch in file.iter_batches(BATCH_ROWS, columns=columns):
        arrays = [batch.column(column) for column in columns]
        if _is_list(arrays[0].type):
            yield _lists(spec, columns[0], arrays[0], done)
        else:
            yield np.stack([_numbers(spec, *pair) for pair in zip(columns, arrays, strict=True)], axis=1)
        done += len(batch)


def _lists(spec: str, name: str, column: Any, first: int) -> np.ndarray:
    """One batch of a column of lists as a matrix; ``first`` is the number of its first row."""
    import pyarrow.compute

    lengths = pyarrow.compute.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    unequal = np.flatnonzero(lengths != lengths[0])
    if len(unequal):
        _unequal(spec, name, first + int(unequal[0]), int(lengths[unequal[0]]), int(lengths[0]))
    return _numbers(spec, name, column.flatten()).reshape(len(column), -1)


def _unequal(spec: str, name: str, row: int, length: int, expected: int) -> None:
    rule = f"column {name}: row {row} holds {length} numbers, those before hold {expected}"
    raise CompatError(spec, rule=rule, fix="every vector needs the same number of dimensions")


def _numbers(spec: str, name: str, column: Any) -> np.ndarray:
    if not _is_number(column.type):
        raise CompatError(spec, rule=f"column {name} does not hold lists of numbers or numbers ({column.type})")
    if column.null_count:
        raise CompatError(spec, rule=f"column {name} has {column.null_count} empty places", fix="drop those rows")
    return np.asarray(column.to_numpy(zero_copy_only=False))


def _room(spec: str, shape: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    if shape[0] * shape[1] * dtype.itemsize < FILE_FROM_BYTES:
        return np.empty(shape, dtype)
    return scratch(spec, shape, dtype, "its vectors")
