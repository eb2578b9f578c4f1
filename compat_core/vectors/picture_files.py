"""A folder or a zip archive of picture files, one per item: by the item's id, or in the order of their names."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from compat_core.errors import CompatError

ARCHIVE = ".zip"


@dataclass(frozen=True, slots=True)
class PictureFiles:
    """Picture files by their name, with folders, in natural order: ``9.jpg`` comes before ``10.jpg``."""

    source: Path
    names: tuple[str, ...]
    open: Callable[[str], Any]

    def __len__(self) -> int:
        return len(self.names)

    def of_items(self, ids: np.ndarray | None) -> list[str | None]:
        """The file of every item; None for an item without one.

        Args:
            ids: ``(N,)`` texts: the picture of ``a7`` is ``a7.jpg`` or ``shelf/a7.jpg``, whatever the format, or a
                file whose whole name is the id. None: the files belong to the items in their order.

        Raises:
            CompatError: where no id has a file, or one has several.
        """
        if ids is None:
            return list(self.names)
        files: dict[str, str] = {}
        twice: set[str] = set()
        for name in self.names:
            path = PurePosixPath(name)
            for key in {name, path.name, path.stem}:
                if files.setdefault(key, name) != name:
                    twice.add(key)
        found = [files.get(str(item)) for item in ids]
        for item in map(str, ids):
            if item in twice:
                raise CompatError("--images", value=item, rule=f"{self.source} holds several files of that name")
        if not any(found):
            rule = f"{self.source} holds no picture named after an id, such as {ids[0]}; its first is {self.names[0]}"
            raise CompatError("--images", rule=rule, fix="name the files by id, or leave ids out to go by their order")
        return found


def picture_files(source: Path) -> PictureFiles | None:
    """The pictures of a folder, those in its folders too, or of a zip archive; None where ``source`` is neither.

    Raises:
        CompatError: for a broken archive, or no picture in it.
    """
    opened: Callable[[str], Any]
    if source.is_dir():
        paths = (path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file())
        names, opened = _pictures_among(list(paths)), lambda name: (source / name).open("rb")
    elif source.suffix.lower() == ARCHIVE and source.is_file():
        try:
            archive = zipfile.ZipFile(source)
        except (zipfile.BadZipFile, OSError) as error:
            raise CompatError("--images", value=str(source), rule="is not a zip archive") from error
        names, opened = _pictures_among(archive.namelist()), archive.open
    else:
        return None
    if not names:
        raise CompatError("--images", value=str(source), rule="holds no picture")
    return PictureFiles(source, names, opened)


def _pictures_among(names: list[str]) -> tuple[str, ...]:
    """Those that end like a picture and that no system put there (``.DS_Store``, ``__MACOSX``), naturally ordered."""
    endings = Image.registered_extensions()
    shown = [
        name
        for name in names
        if PurePosixPath(name).suffix.lower() in endings
        and not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts)
    ]
    return tuple(sorted(shown, key=_natural))


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in re.split(r"(\d+)", name)]
