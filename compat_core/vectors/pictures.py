"""Queries that got worse, and what they look like: small pictures of the items, where somebody has pictures of them."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from compat_core.errors import CompatError
from compat_core.vectors.arrays import open_array
from compat_core.vectors.checks import WARN, Finding, counted
from compat_core.vectors.file_spec import FileSpec, SpecLike
from compat_core.vectors.options import STATUS_QUO
from compat_core.vectors.picture_files import picture_files
from compat_core.vectors.sources import read_column

FOLDER = "thumbnails"
PICTURED = 8  # lost queries of each option
LARGEST_PX = 96
COLUMNS = {"query": "query", "first_before": "first before", "first_now": "first now"}


@dataclass(frozen=True, slots=True)
class ItemPictures:
    """What items look like and what to call them, by row; no picture where it cannot be read."""

    picture: Callable[[int], Image.Image | None]
    caption: Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small PNG of an item, and what to call it."""

    png: bytes
    caption: str


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


def lost_queries(found: Mapping[str, np.ndarray], option: str) -> pd.DataFrame:
    """Queries whose first item was right under the status quo and is wrong under ``option``, largest loss first.

    Args:
        found: the arrays of :func:`compat_core.vectors.studies.per_query`.
        option: the name of one.

    Returns:
        columns query (row of the given items), first_before, first_now (rows), ap_before, ap_now (fractions); and
        query_id, first_before_id, query_label, …, where the items have ids and labels.
    """
    names = found["options"].tolist()
    before, now = names.index(STATUS_QUO), names.index(option)
    rows = np.flatnonzero((found["top_1"][before] == 1) & (found["top_1"][now] == 0))
    frame = pd.DataFrame(
        {
            "query": found["queries"][rows],
            "first_before": found["first_item"][before][rows],
            "first_now": found["first_item"][now][rows],
            "ap_before": found["average_precision"][before][rows],
            "ap_now": found["average_precision"][now][rows],
        }
    )
    for name in (name for name in ("ids", "labels") if name in found):
        for column in COLUMNS:
            places = np.searchsorted(found["judged"], frame[column])  # judged rows are sorted, and hold all of these
            frame[f"{column}_{name.removesuffix('s')}"] = found[name][places]
    order = (frame["ap_now"] - frame["ap_before"]).sort_values(kind="stable").index
    return frame.loc[order].reset_index(drop=True)


def write_thumbnails(folder: Path, pictures: ItemPictures, found: Mapping[str, np.ndarray]) -> list[Finding]:
    """Keep small pictures of each option's worst lost queries and of what they found first.

    Args:
        folder: where ``ROW.png`` and ``captions.json`` go.
        pictures: of the given items, by row.
        found: as :func:`lost_queries`.

    Returns:
        a warning where some of them are missing or cannot be read.
    """
    lost = [lost_queries(found, name).head(PICTURED) for name in found["options"].tolist() if name != STATUS_QUO]
    wanted = np.unique(np.concatenate([one[list(COLUMNS)].to_numpy().ravel() for one in lost] or [np.empty(0)]))
    folder.mkdir(parents=True, exist_ok=True)
    kept: dict[str, str] = {}
    for row in wanted.astype(int).tolist():
        picture = pictures.picture(row)
        if picture is None:
            continue
        picture.thumbnail((LARGEST_PX, LARGEST_PX))
        picture.save(folder / f"{row}.png")
        kept[str(row)] = pictures.caption(row)
    (folder / "captions.json").write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")
    missing = [row for row in wanted.astype(int).tolist() if str(row) not in kept]
    if not missing:
        return []
    sentence = f"{len(missing):,} of {counted(len(wanted), 'pictures')} could not be shown: missing or unreadable"
    return [Finding(WARN, "pictures", sentence, tuple(missing))]


def read_thumbnails(folder: Path, rows: Iterable[int]) -> dict[int, Thumbnail]:
    """The kept pictures of some items; those without one are left out."""
    try:
        captions = json.loads((folder / "captions.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    wanted = {int(row) for row in rows if str(int(row)) in captions}
    return {row: Thumbnail((folder / f"{row}.png").read_bytes(), captions[str(row)]) for row in sorted(wanted)}


def enlarged(png: bytes, least_px: int = 64) -> bytes:
    """A picture of 8 px as one of 64: whole pixels, no blur. Larger ones stay as they are."""
    with Image.open(io.BytesIO(png)) as image:
        times = least_px // max(image.size)
        if times < 2:
            return png
        buffer = io.BytesIO()
        image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST).save(buffer, "PNG")
        return buffer.getvalue()
