"""Files that are read while they are written: JSON that is replaced whole, and lines that are only ever appended."""

from __future__ import annotations

import json
import math
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

from compat_core.errors import CompatError

CLOSED = "may not be read by this account"


def json_text(values: Any) -> str:
    """``values`` as :func:`write_json` writes them.

    NaN and infinity become ``null`` (JSON has neither); numpy and torch scalars and arrays become plain numbers and
    lists.

    Args:
        values: anything made of dicts, lists, tuples, strings, numbers, booleans and None.

    Raises:
        TypeError: for a value that has no JSON form.
    """
    return json.dumps(_plain(values), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_json(path: Path, values: Any, *, fsync: bool = False) -> None:
    """Replace ``path`` by ``values`` as JSON; a reader sees the old file or the new one, never a part of either.

    Args:
        path: the file; its folder must exist (a deleted run folder must not come back to life).
        values: see :func:`json_text`.
        fsync: wait until the bytes are on the disk, so that they survive a power cut as well.

    Raises:
        FileNotFoundError: when the folder is gone.
        TypeError: for a value that has no JSON form.
    """
    text = json_text(values)
    # The temporary name is unique, so two writers cannot replace the file by a mixture of what each wrote.
    temporary = path.parent / f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp"
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            if fsync:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(option: str, folder: Path) -> None:
    """Raise CompatError unless something can be written into ``folder``, which need not be there yet.

    Tried where the nearest folder above it that is there lies, and nothing is left behind: what is refused later, or
    cut off, made no folder.

    Args:
        option: of the command line, for the message.
        folder: where something is to be written, before the work that makes it begins.
    """
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except NotADirectoryError as error:
        raise CompatError(option, value=str(folder), rule=f"{there} is a file, not a folder") from error
    except OSError as error:
        rule = f"nothing can be written there ({error.strerror or error})"
        raise CompatError(option, value=str(folder), rule=rule, fix="name a place on another disk or folder") from error


def read_json(path: Path) -> Any:
    """The parsed content of ``path``.

    Raises:
        FileNotFoundError: when there is no such file.
        CompatError: when it is not JSON, or permissions keep it closed.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except PermissionError as error:
        raise CompatError("file", value=str(path), rule=CLOSED, fix="change its permissions") from error
    except ValueError as error:  # covers JSONDecodeError and UnicodeDecodeError
        raise CompatError("file", value=str(path), rule=f"not valid JSON ({error})") from error


def read_object(path: Path) -> dict[str, Any]:
    """As :func:`read_json`, for a file that must hold a JSON object. Raises CompatError when it does not."""
    values = read_json(path)
    if not isinstance(values, dict):
        raise CompatError("file", value=str(path), rule="must be an object")
    return values


def folders_with(root: Path, name: str) -> tuple[list[Path], list[Path]]:
    """The folders of ``root`` that hold a file ``name``, and those that permissions keep closed.

    Returns:
        folders whose ``name`` can be read, and those that may not be looked into or whose ``name`` may not be read
        (``root`` itself where it may not be listed), each ordered by name. What begins with a dot is in neither.
    """
    try:
        entries = sorted(root.iterdir())
    except PermissionError:
        return [], [root]
    except (FileNotFoundError, NotADirectoryError):
        return [], []
    found: list[Path] = []
    closed: list[Path] = []
    for folder in entries:
        if folder.name.startswith("."):
            continue
        try:
            if (folder / name).is_file():
                (found if os.access(folder / name, os.R_OK) else closed).append(folder)
        except PermissionError:
            closed.append(folder)
    return found, closed


def append_line(path: Path, text: str) -> None:
    """Append one line in a single write, so that lines of several threads never interleave.

    A writer that was killed in the middle of a line leaves no newline behind; the next line then starts with one, so
    that only the broken line is lost.
    """
    line = " ".join(text.splitlines()).encode("utf-8", "replace") + b"\n"
    with open(path, "a+b", buffering=0) as file:
        if (size := file.seek(0, os.SEEK_END)) > 0:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                line = b"\n" + line
        file.write(line)


def append_event(path: Path, event: dict[str, Any]) -> None:
    """Append one JSON object as a line of a ``.jsonl`` file."""
    append_line(path, json.dumps(_plain(event), ensure_ascii=False, allow_nan=False))


def read_events(path: Path, offset: int = 0) -> tuple[list[dict[str, Any]], int]:
    """The events appended since ``offset``, and the offset to pass next time.

    Args:
        path: a ``.jsonl`` file; one that does not exist yet has no events.
        offset: bytes already read; 0 reads from the start, and so does an offset behind the end (the file was
            started anew).

    Returns:
        The events, and the number of bytes consumed: up to the last newline, so a half-written last line is read
        again, whole, by the next call. A complete line that is no JSON object is the remains of a killed writer and
        is passed over.
    """
    try:
        with open(path, "rb") as file:
            if offset < 0 or offset > os.fstat(file.fileno()).st_size:
                offset = 0
            file.seek(offset)
            block = file.read()
    except FileNotFoundError:
        return [], 0
    end = block.rfind(b"\n") + 1
    events = [event for line in block[:end].splitlines() if (event := _event(line)) is not None]
    return events, offset + end


def tail(path: Path, lines: int, most_bytes: int = 262_144) -> str:
    """The last ``lines`` lines of a text file, looking at its last ``most_bytes`` bytes; empty when there is none."""
    if lines <= 0:
        return ""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            start = max(0, size - most_bytes)
            file.seek(start)
            block = file.read()
    except FileNotFoundError:
        return ""
    if start:
        block = block[block.find(b"\n") + 1 :]  # the first line in view is most likely cut
    return "\n".join(block.decode("utf-8", "replace").splitlines()[-lines:])


def _event(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy and torch, without importing either
        return _plain(value.tolist())
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
