"""What the given items look like, where somebody has pictures of them."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from compat_core.errors import CompatError
from compat_core.vectors.arrays import open_array
from compat_core.vectors.file_spec import FileSpec, SpecLike
from compat_core.vectors.picture_files import picture_files
from compat_core.vectors.sources import read_column

LARGEST_PX = 96  # as they are shown


@dataclass(frozen=True, slots=True)
class ItemPictures:
    """What items look like and what to call them, by row; no picture where it cannot be read."""

    picture: Callable[[int], Image.Image | None]
    caption: Callable[[int], str]


def open_pictures(spec: SpecLike, ids: np.ndarray | None = None) -> tuple[Callable[[int], Image.Image | None], int]:
    """Pictures of items, and how many items they are of.

    Args:
        spec: an ``.npy`` file of uint8 pictures, ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)`` with C 1 or 3,
            which stays on disk; ``FILE:NAME``, a column of paths, relative ones from the file's folder; or a folder or
            zip archive of picture files, see :meth:`PictureFiles.of_items`.
        ids: ``(N,)`` of the items; only files of a folder or archive are told apart by them.

    Raises:
        CompatError: for a file that is none of these.
    """
    file = FileSpec.parse(spec)
    files = picture_files(file.path)
    if files is not None:
        named = files.of_items(ids)
        return (lambda row: _opened(files.open, named[row])), len(named)
    path = file.of_arrays().path
    stored = open_array(path) if file.kind == ".npy" else None
    if stored is None or stored.dtype.kind in "US":
        names = read_column(file).astype(str)
        return (lambda row: _opened(lambda name: (path.parent / name).open("rb"), names[row])), len(names)
    if stored.dtype != np.uint8 or stored.ndim not in (3, 4) or (stored.ndim == 4 and not {1, 3} & set(_ends(stored))):
        rule = f"holds {stored.dtype} of shape {stored.shape}; must be uint8 (N, H, W[, C]), or a column of paths"
        raise CompatError("--images", value=str(path), rule=rule)
    return (lambda row: as_picture(stored[row])), len(stored)


def _ends(stored: np.ndarray) -> tuple[int, int]:
    return stored.shape[1], stored.shape[3]


def as_picture(pixels: np.ndarray) -> Image.Image:
    """A picture from ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)`` uint8, C 1 or 3."""
    pixels = np.asarray(pixels)
    if pixels.ndim == 3 and pixels.shape[2] not in (1, 3):
        pixels = pixels.transpose(1, 2, 0)
    return Image.fromarray(pixels[:, :, 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels)


def _opened(opened: Callable[[str], Any], name: str | None) -> Image.Image | None:
    if name is None:
        return None
    try:
        with opened(name) as file, Image.open(file) as image:
            image.draft("RGB", (LARGEST_PX, LARGEST_PX))
            return image.convert("RGB")
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError, zipfile.BadZipFile):
        return None
