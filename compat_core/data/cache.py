"""Decoded images kept on disk, so that the second run of an experiment starts at once.

One folder per set of files: ``images.npy`` (uint8, memory-mapped when read) and ``report.json``. Its name is a digest
of everything the pixels depend on, so a changed, added or removed file is simply another entry. Nothing is ever
removed here: the whole cache may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from compat_core.data.base import Progress
from compat_core.data.decode import DECODER_VERSION, Decoded, decode_chunks, decode_files
from compat_core.data.files import ImageFile


def cache_dir() -> Path | None:
    """``$COMPATBENCH_CACHE``, or ``~/.cache/compatbench``; None when the variable is ``off`` (nothing is kept)."""
    chosen = os.environ.get("COMPATBENCH_CACHE", "")
    if chosen.lower() == "off":
        return None
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "compatbench"


def cache_key(files: Sequence[ImageFile], root: Path, size: int, channels: int) -> str:
    """32 hex digits of the root, and of each file's name, size and times, in order, and of how they are decoded."""
    sha = hashlib.sha256(f"{DECODER_VERSION} {size} {channels}\n".encode())
    # The root is part of it: two trees unpacked with fixed times can agree in every name, size and time.
    sha.update(os.fsencode(root.resolve()) + b"\n")
    for file in files:
        sha.update(f"{file.id}\0{file.stamp}\n".encode())
    return sha.hexdigest()[:32]


def cache_entry(files: Sequence[ImageFile], root: Path, size: int, channels: int) -> Path | None:
    """The folder where these files are kept once they are decoded; None when nothing is kept."""
    home = cache_dir()
    return None if home is None else home / "images" / cache_key(files, root, size, channels)


def room_for(entry: Path, needed: int) -> bool:
    """Whether ``needed`` bytes fit on the disk of ``entry``."""
    there = next((folder for folder in entry.parents if folder.is_dir()), None)
    return there is not None and needed < shutil.disk_usage(there).free


def decode_cached(
    files: Sequence[ImageFile], entry: Path | None, size: int, channels: int, progress: Progress | None = None
) -> tuple[Decoded, list[str]]:
    """What an earlier call with the same, unchanged files wrote to ``entry``; the first one writes it.

    Images go to the file as they are decoded, so that a data set may be larger than main memory.

    Args:
        files: what to decode.
        entry: as of :func:`cache_entry`; None decodes into main memory.
        size, channels, progress: as of :func:`decode_files`.

    Returns:
        (the images, memory-mapped copy-on-write where they come from the cache; notes, when the cache could not be
        read or written).
    """
    if entry is None:
        return decode_files(files, size, channels, progress), []
    notes = []
    if entry.is_dir():
        try:
            decoded = _read(entry, len(files), size, channels)
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            notes.append(f"a damaged cache entry was replaced ({error})")
            shutil.rmtree(entry, ignore_errors=True)
        else:
            if progress is not None:
                progress(len(files), len(files))
            return decoded, notes
    try:
        if _write(entry, files, size, channels, progress):
            return _read(entry, len(files), size, channels), notes
        return decode_files(files, size, channels), notes  # none of them: an empty file cannot be mapped
    except OSError as error:
        home = entry.parent.parent
        notes.append(f"the decoded images could not be cached in {home} ({error.strerror or error})")
        return decode_files(files, size, channels, progress), notes


def _read(entry: Path, count: int, size: int, channels: int) -> Decoded:
    report = json.loads((entry / "report.json").read_text(encoding="utf-8"))
    # Copy-on-write: pages are read when touched, and torch gets the writable memory it insists on.
    images = np.load(entry / "images.npy", mmap_mode="c", allow_pickle=False)
    skipped = tuple((str(name), str(reason)) for name, reason in report["skipped"])
    bad_rows = np.asarray(report["bad_rows"], dtype=np.int64)
    kept = np.setdiff1d(np.arange(count), bad_rows)
    if images.dtype != np.uint8 or images.shape != (len(kept), channels, size, size):
        raise ValueError(f"images.npy holds {images.dtype} {images.shape}")
    return Decoded(images, kept, skipped, int(report["greyed"]))


def _write(entry: Path, files: Sequence[ImageFile], size: int, channels: int, progress: Progress | None) -> bool:
    """Write beside ``entry`` and rename: a reader, or a second process that decodes the same, sees all or nothing.

    Returns:
        whether any file could be read; else nothing is kept.
    """
    entry.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{entry.name}-", dir=entry.parent))
    try:
        kept = greyed = 0
        skipped: list[tuple[str, str]] = []
        bad_rows: list[int] = []
        with (part / "images.npy").open("wb") as out:
            _npy_header(out, (len(files), channels, size, size))
            for decoded in decode_chunks(files, size, channels, progress):
                out.write(decoded.images.data)
                first = kept + len(skipped)
                count = len(decoded.kept) + len(decoded.skipped)
                bad_rows += np.setdiff1d(np.arange(first, first + count), decoded.kept).tolist()
                kept += len(decoded.kept)
                skipped += decoded.skipped
                greyed += decoded.greyed
            out.seek(0)
            _npy_header(out, (kept, channels, size, size))  # of the same length: NumPy leaves room for the first number
        if not kept:
            return False
        report = {"bad_rows": bad_rows, "skipped": skipped, "greyed": greyed}
        (part / "report.json").write_text(json.dumps(report), encoding="utf-8")
        try:
            part.rename(entry)
        except OSError:
            if not entry.is_dir():  # else: another process was faster, with the same content
                raise
        return True
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _npy_header(out: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})
