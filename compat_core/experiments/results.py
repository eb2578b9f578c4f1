"""``results.json``, parsed once per version of the file, always under the name of the folder that it lies in."""

from __future__ import annotations

import functools
import marshal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from compat_core.experiments import files

RESULTS_FILE = "results.json"
KEPT_FILES = 32  # about 1 MB each
KEPT_ANSWERS = 4096  # a few words each, so that a long list of runs fits

Answer = TypeVar("Answer")


def load(folder: Path) -> dict[str, Any] | None:
    """The results of the run in ``folder``; None while there are none.

    Every call returns an object of its own: changing it changes nothing for the next caller.

    Args:
        folder: a run folder. Its name is the run that the results speak of, see :func:`named`.

    Raises:
        FileNotFoundError: when the folder is gone.
        CompatError: when the file is not a JSON object.
    """
    version = _version(folder)
    return None if version is None else marshal.loads(_packed(version))


def derive(folder: Path, make: Callable[[dict[str, Any]], Answer]) -> Answer | None:
    """``make(results)`` of the run in ``folder``, worked out once per version of the file; None without results.

    Lists of many runs ask for a word or two about each, again and again: they must not parse megabytes for it.

    Args:
        folder: a run folder.
        make: a function of the results alone, defined at the top of a module (a new lambda would be worked out anew);
            what it returns is handed to every caller, so it must not be changeable.

    Raises:
        FileNotFoundError, CompatError: as :func:`load`.
    """
    version = _version(folder)
    return None if version is None else _derived(make, version)


def named(results: dict[str, Any], run_id: str) -> dict[str, Any]:
    """``results`` as those of ``run_id``: at the top, in every row (as its first column), and wherever else an entry
    names its run. A copied folder is a run of its own, though its files were written for another."""
    renamed = {**results, "run": run_id}
    for key, entries in results.items():
        if key == "rows":
            renamed[key] = [{"run": run_id, **row} | {"run": run_id} for row in entries]
        elif isinstance(entries, list):
            renamed[key] = [
                entry | {"run": run_id} if isinstance(entry, dict) and "run" in entry else entry for entry in entries
            ]
    return renamed


class _Version(NamedTuple):
    """One state of one file. A file that is replaced has another inode, even within one tick of the clock."""

    path: Path
    inode: int
    mtime_ns: int
    size: int


def _version(folder: Path) -> _Version | None:
    path = folder / RESULTS_FILE
    try:
        found = path.stat()
    except FileNotFoundError:
        if not folder.is_dir():
            raise
        return None
    return _Version(path, found.st_ino, found.st_mtime_ns, found.st_size)


@functools.lru_cache(maxsize=KEPT_FILES)
def _packed(version: _Version) -> bytes:
    """The parsed results as bytes: unpacking them is a fresh copy, four times as fast as parsing the JSON again."""
    return marshal.dumps(named(files.read_object(version.path), version.path.parent.name))


@functools.lru_cache(maxsize=KEPT_ANSWERS)
def _derived(make: Callable[[dict[str, Any]], Any], version: _Version) -> Any:
    return make(marshal.loads(_packed(version)))
