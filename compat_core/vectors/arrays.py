"""``.npy`` and ``.npz``: arrays as numpy keeps them, and what an archive holds beside the array that is meant."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from compat_core.errors import CompatError, unknown_name

BESIDE = {"id": ("ids", "id"), "label": ("labels", "label")}  # a table's column -> what people call it in an .npz
OBJECTS = "holds Python objects, which only unpickling could read, and that is refused"
WITHOUT_OBJECTS = (
    "for vectors save np.stack(list(a)).astype('float32'); for labels and ids a.astype(str), a missing label as ''"
)


def open_array(path: Path) -> np.ndarray:
    """An ``.npy`` file, memory-mapped, whatever it holds. Raises CompatError when it is broken or holds objects."""
    try:
        found: Any = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error, "write it with numpy.save") from error
    if not isinstance(found, np.ndarray):
        found.close()
        raise CompatError(str(path), rule="is an archive of arrays (.npz)", fix="call it .npz, or save the one array")
    return found


def archived_array(path: Path, name: str, usual: str = "") -> np.ndarray:
    """An array of an ``.npz`` file.

    Args:
        path: the file.
        name: of the array; empty: the only one that can be meant, see :func:`only_array`.
        usual: as there.

    Raises:
        CompatError: for a broken file, an array that is not there or holds objects, or several that could be meant.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = list(archive.files)
            if name and name not in names:
                raise unknown_name(f"array in {path}", name, names)
            meant = name or only_array(names, usual)
            if not meant:
                rule = f"holds {len(names)} arrays ({', '.join(names[:8])})"
                raise CompatError(str(path), rule=rule, fix=f"say which: {path}:{names[0] if names else 'NAME'}")
            array: np.ndarray = archive[meant]
            return array
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error, "write it with numpy.savez") from error


def only_array(names: list[str], usual: str = "") -> str:
    """The array of an ``.npz`` that is meant where nobody named one; empty where several could be.

    Args:
        names: of its arrays.
        usual: ``id`` or ``label`` where these are wanted; else they are what stands beside the array that is meant.
    """
    wanted = [name for name in BESIDE.get(usual, ()) if name in names]
    rest = [name for name in names if not any(name in called for called in BESIDE.values())] or names
    found = wanted[:1] or rest
    return found[0] if len(found) == 1 else ""


def beside(path: Path, name: str, usual: str) -> str:
    """The array of an ``.npz`` that holds the ids or labels of another one's rows; empty where none does.

    Args:
        path: the file.
        name: the array that is meant; empty: the only one that can be.
        usual: ``id`` or ``label``.

    Raises:
        CompatError: for a broken file.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            names = list(archive.files)
            meant = name or only_array(names)
            found = next((one for one in BESIDE[usual] if one in names and one != meant), "")
            alike = found and meant in names and _rows(archive, found) == _rows(archive, meant)
            return found if alike else ""
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error, "write it with numpy.savez") from error


def read_header(opened: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type of an array from the beginning of its ``.npy`` file. Raises ValueError for anything else."""
    version = np.lib.format.read_magic(opened)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(opened)
    return shape, dtype


def _rows(archive: Any, name: str) -> int:
    """Rows of an array of an opened ``.npz``, without reading it."""
    with archive.zip.open(f"{name}.npy") as opened:
        return int((*read_header(opened)[0], 0)[0])


def _unreadable(path: Path, error: Exception, fix: str) -> CompatError:
    reason = _reason(path, str(error))
    return CompatError(str(path), rule=reason, fix=WITHOUT_OBJECTS if reason == OBJECTS else fix)


def _reason(path: Path, message: str) -> str:
    """Why numpy could not read a file, in words that say what to do."""
    if not path.stat().st_size:
        return "is empty (0 bytes)"
    with path.open("rb") as file:
        begin = file.read(6)
    known = begin.startswith(b"PK") if path.suffix.lower() == ".npz" else begin == b"\x93NUMPY"
    if known and "object" in message.lower():
        return OBJECTS
    if not known:
        return f"is not an {path.suffix} file"
    return f"cannot be read, truncated perhaps ({message})"
