"""A look at the beginning of files before anything is started: is it there, can it be read, do the shapes agree."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from compat_core.errors import CompatError, unknown_name
from compat_core.experiments.files import CLOSED
from compat_core.vectors.arrays import BESIDE, OBJECTS, WITHOUT_OBJECTS, only_array, read_header
from compat_core.vectors.checks import STOP, check_labels, finite_rows, not_finite, row_fault
from compat_core.vectors.file_spec import SUFFIXES, FileSpec
from compat_core.vectors.picture_files import ARCHIVE, picture_files
from compat_core.vectors.sources import ID_COLUMN, LABEL_COLUMN, only_column

VECTORS = ("old", "new", "side")  # options that take two dimensions
IDS = ("ids", "new-ids")
FREE_FORM = ("qrels",)  # options that take no file of arrays
PICTURES = "images"
LABELS = "labels"
USUAL = {"ids": ID_COLUMN, "new-ids": ID_COLUMN, LABELS: LABEL_COLUMN}  # the column an option takes unless told
READ_BYTES = 64 * 2**20  # of an array; what is larger is not read before somebody starts
MAGIC = b"\x93NUMPY"


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file as somebody names it.

    Attributes:
        name: what to call it.
        content: its bytes, or where it lies.
        column: the array or column of it that is meant; empty where none is named.
    """

    name: str
    content: bytes | Path
    column: str = ""

    @classmethod
    def at(cls, text: str) -> InputFile:
        """``FILE`` or ``FILE:NAME``, with ``~`` for one's own folder."""
        spec = FileSpec.parse(text)
        path = spec.path.expanduser().absolute()
        return cls(path.name, path, spec.column)

    @property
    def spec(self) -> FileSpec:
        """Where it lies, or would lie by its name alone for bytes, with its column."""
        return FileSpec(self.content if isinstance(self.content, Path) else Path(self.name), self.column)


def peek_errors(files: Mapping[str, InputFile]) -> dict[str, str]:
    """What is wrong with the files of a decision, as far as their beginnings tell.

    Args:
        files: option of ``decide`` (``old``, ``new``, ``labels``, …) -> its file.

    Returns:
        option -> what is wrong, for people; nothing for a file that looks right. Values are read of small arrays only.
    """
    errors: dict[str, str] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for option, file in files.items():
        try:
            shape = peek(option, file)
            if shape is not None:
                shapes[option] = shape
        except CompatError as error:
            errors[option] = str(error)
    for option, shape in shapes.items():
        of = "new" if option == "new-ids" else "old"
        if option == of or of not in shapes:
            continue
        fault = row_fault(shape[0], "rows", files[of].name, shapes[of][0], _by_id(option, files))
        if fault:
            fix = "or give the ids of both, and rows are matched by them" if option == "new" else ""
            errors[option] = str(CompatError(files[option].name, rule=fault, fix=fix))
    return errors


def _by_id(option: str, files: Mapping[str, InputFile]) -> bool:
    """Whether the rows of a file are brought to the old file's by id, as ``matched`` does it: both have ids."""
    if option in IDS:
        return False
    theirs = _has_ids(files[option]) or (option == "new" and "new-ids" in files)
    return theirs and ("ids" in files or _has_ids(files["old"]))


def _has_ids(file: InputFile) -> bool:
    names = _names(file)
    if _is_npz(file):
        return any(name in names and name != file.column for name in BESIDE[ID_COLUMN])
    return file.spec.is_table and ID_COLUMN in names


def column_choices(option: str, file: InputFile) -> list[str]:
    """The columns of a table, or arrays of an .npz, that could be meant, the likeliest first.

    Args:
        option: of ``decide``.
        file: what was given for it.

    Returns:
        two names or more; nothing where there is nothing to choose: another kind of file, a name given already, one
        column only, vectors (which take all columns of a table), or a file that cannot be read.
    """
    if file.column or option in FREE_FORM or (file.spec.is_table and option in VECTORS):
        return []
    names = _names(file)
    meant = only_array if _is_npz(file) else only_column
    likeliest = meant(names, USUAL.get(option, ""))
    names.sort(key=lambda name: (name != likeliest, name == ID_COLUMN))
    return names if len(names) > 1 else []


def _names(file: InputFile) -> list[str]:
    """The columns of a table, or arrays of an .npz; none for another kind of file, or one that cannot be read."""
    try:
        with _opened(file) as opened:
            if _is_npz(file):
                with zipfile.ZipFile(opened) as archive:
                    return [name.removesuffix(".npy") for name in archive.namelist()]
            if file.spec.kind == ".csv":
                import pandas as pd

                return [str(name) for name in pd.read_csv(opened, nrows=0).columns]
            if file.spec.kind == ".parquet":
                import pyarrow.parquet

                return list(pyarrow.parquet.ParquetFile(opened).schema_arrow.names)
    except (ImportError, ValueError, OSError, zipfile.BadZipFile):  # peek says what is wrong
        pass
    return []


def peek(option: str, file: InputFile) -> tuple[int, ...] | None:
    """The shape that the file's header states; None where only reading it all would tell.

    Raises:
        CompatError: for a missing or empty file, one of another format than its name says, truncated, holding objects,
            no rows, or numbers or dimensions that ``option`` cannot be.
    """
    if option == PICTURES and _is_folder_or_archive(file):
        return None
    size = _size(file)
    if not size:
        raise CompatError(file.name, rule="is empty (0 bytes)")
    suffix = file.spec.kind
    if option in FREE_FORM:
        return None
    if suffix not in SUFFIXES:
        raise CompatError(file.name, rule=f"must end in one of {', '.join(SUFFIXES)}", fix="convert it")
    with _opened(file) as opened:
        if suffix == ".parquet":
            return _parquet(file.name, opened)
        if suffix == ".csv":
            _csv(file.name, opened)
            return None
        shape, dtype = _npz(option, file, opened) if suffix == ".npz" else _npy(file.name, opened, size)
    _fits(option, file.name, shape, dtype)
    if int(np.prod(shape, dtype=np.int64)) * dtype.itemsize <= READ_BYTES and (option in VECTORS or option == LABELS):
        _refuse_values(option, file)
    return shape


def _refuse_values(option: str, file: InputFile) -> None:
    """Raise CompatError for vectors or labels that no decision can be made on, whatever stands beside them."""
    with _opened(file) as opened:
        loaded = np.load(opened, allow_pickle=False)
        values = loaded[file.column or only_array(loaded.files, USUAL.get(option, ""))] if _is_npz(file) else loaded
    if option in VECTORS:
        bad = np.flatnonzero(~finite_rows(values))
        if len(bad):
            raise CompatError(file.name, rule=not_finite(bad), fix="drop or repair those items")
    elif values.dtype.kind in "iubU":  # others are looked at when they are read
        for finding in check_labels(values.reshape(-1)):
            if finding.severity == STOP:
                raise CompatError(file.name, rule=finding.sentence)


def _is_npz(file: InputFile) -> bool:
    return file.spec.kind == ".npz"


def _size(file: InputFile) -> int:
    """In bytes. Raises CompatError for a path where no file is, or one that may not be read."""
    if isinstance(file.content, bytes):
        return len(file.content)
    if os.path.isdir(file.content):
        raise CompatError(file.name, value=str(file.content), rule="is a folder; must be a file", fix="name one in it")
    if not os.path.isfile(file.content):
        raise CompatError(file.name, value=str(file.content), rule="no such file on the machine this app runs on")
    if not os.access(file.content, os.R_OK):
        raise CompatError(file.name, value=str(file.content), rule=CLOSED, fix="change its permissions")
    return file.content.stat().st_size


def _opened(file: InputFile) -> BinaryIO:
    return file.content.open("rb") if isinstance(file.content, Path) else io.BytesIO(file.content)


def _is_folder_or_archive(file: InputFile) -> bool:
    """Whether it is a folder or zip archive of pictures. Raises CompatError for one without a picture in it."""
    if isinstance(file.content, Path):
        return picture_files(file.content) is not None
    return file.spec.kind == ARCHIVE and zipfile.is_zipfile(io.BytesIO(file.content))


def _fits(option: str, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if option == PICTURES:
        if dtype != np.uint8 or len(shape) < 3:
            raise CompatError(name, rule=f"shape is {shape}, dtype {dtype}; must be uint8 pictures (N, H, W[, C])")
    elif option in VECTORS:
        if dtype.kind not in "fiu" or len(shape) != 2:
            rule = f"shape is {shape}, dtype {dtype}; must be real numbers in two dimensions: (items, dimension)"
            raise CompatError(name, rule=rule)
    elif len(shape) != 1 and shape[1:] != (1,):
        raise CompatError(name, rule=f"shape is {shape}; must have one dimension: one entry per item")
    if 0 in shape:
        raise CompatError(name, rule=f"shape is {shape}; must hold at least one row")


def _npy(name: str, opened: BinaryIO, size: int | None) -> tuple[tuple[int, ...], np.dtype]:
    if opened.read(len(MAGIC)) != MAGIC:
        raise CompatError(name, rule="is not an .npy file", fix="write it with numpy.save")
    opened.seek(0)
    try:
        shape, dtype = read_header(opened)
    except (ValueError, EOFError) as error:
        raise CompatError(name, rule=f"its header cannot be read ({error})", fix="write it with numpy.save") from error
    if dtype.hasobject:
        raise CompatError(name, rule=OBJECTS, fix=WITHOUT_OBJECTS)
    wanted = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    if size is not None and size - opened.tell() < wanted:
        raise CompatError(name, rule=f"is truncated: {size - opened.tell():,} of {wanted:,} bytes of numbers are there")
    return shape, dtype


def _npz(option: str, file: InputFile, opened: BinaryIO) -> tuple[tuple[int, ...], np.dtype]:
    try:
        with zipfile.ZipFile(opened) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            if file.column and file.column not in names:
                raise unknown_name(f"array in {file.name}", file.column, names)
            meant = file.column or only_array(names, USUAL.get(option, ""))
            if not meant:
                rule = f"holds {len(names)} arrays ({', '.join(names[:8])}); must hold one, or be a path with its name"
                raise CompatError(file.name, rule=rule, fix=f"{file.name}:{names[0] if names else 'NAME'}")
            with archive.open(f"{meant}.npy") as member:
                return _npy(file.name, io.BytesIO(member.read(2**16)), None)
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise CompatError(file.name, rule="is not an .npz file", fix="write it with numpy.savez") from error


def _parquet(name: str, opened: BinaryIO) -> tuple[int]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise CompatError(name, rule="reading Parquet needs pyarrow", fix="pip install pyarrow") from error
    try:
        rows = pyarrow.parquet.ParquetFile(opened).metadata.num_rows
    except (ValueError, OSError) as error:  # pyarrow's errors derive from these
        raise CompatError(name, rule="is not a Parquet file") from error
    if not rows:
        raise CompatError(name, rule="holds no row")
    return (rows,)


def _csv(name: str, opened: BinaryIO) -> None:
    import pandas as pd

    try:
        rows = len(pd.read_csv(opened, nrows=1))
    except ValueError as error:  # pandas' errors, and those of decoding, derive from it
        raise CompatError(name, rule="cannot be read as csv") from error
    if not rows:
        raise CompatError(name, rule="holds no row")
