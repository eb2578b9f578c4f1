"""Queries that were right before an upgrade and are wrong after it, and small pictures of what they find."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from compat_core.vectors.checks import WARN, Finding, counted
from compat_core.vectors.options import STATUS_QUO
from compat_core.vectors.pictures import LARGEST_PX, ItemPictures

FOLDER = "thumbnails"
PICTURED = 8  # lost queries of each option
COLUMNS = {"query": "query", "first_before": "first before", "first_now": "first now"}


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small PNG of an item, and what to call it."""

    png: bytes
    caption: str


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
