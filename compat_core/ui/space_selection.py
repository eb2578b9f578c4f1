"""What is selected on the Space page: kept while the figure changes, shown as pictures, table and true neighbours."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from compat_core.experiments.artefacts import Artefacts, Gallery
from compat_core.experiments.projection import ProjectionConfig
from compat_core.experiments.run import Run
from compat_core.reports.tables import frame_to_format
from compat_core.retrieval.search import top_k
from compat_core.ui.downloads import download_table
from compat_core.ui.words import literal

MOST_SHOWN = 24
NEIGHBOURS = 10
KEPT = "space-kept"
MAP = "space-cleared"


def selected_ids(event: Any, run_id: str, figure: Hashable) -> list[str]:
    """The ids of the selected items.

    The browser forgets a selection when the figure changes (other colours, other filters); the ids are kept then. An
    empty selection of an unchanged figure means that the reader undid it.

    Args:
        event: what ``st.plotly_chart`` returned.
        run_id: a selection belongs to one run.
        figure: a key that changes with the figure.
    """
    points = event["selection"].get("points", []) if event else []
    found = [_first(point.get("customdata")) for point in points]
    ids = list(dict.fromkeys(str(item) for item in found if item is not None))
    kept = st.session_state.get(KEPT)
    if ids:
        st.session_state[KEPT] = {"run": run_id, "figure": figure, "ids": ids}
    elif kept and kept["run"] == run_id and kept["figure"] != figure:
        return list(kept["ids"])
    else:
        st.session_state.pop(KEPT, None)
    return ids


def _clear() -> None:
    st.session_state.pop(KEPT, None)
    st.session_state[MAP] = st.session_state.get(MAP, 0) + 1  # a new widget: only the browser can empty the old one


def map_key() -> str:
    """The key of the figure."""
    return f"space-map-{st.session_state[MAP]}" if st.session_state.get(MAP) else "space-map"


def show_selection(run: Run, config: ProjectionConfig, ids: Sequence[str], frame: pd.DataFrame) -> None:
    """Thumbnails and table of the selected items; of a single one, its neighbours in the original space."""
    chosen = frame[frame["id"].isin(ids)]
    if chosen.empty:
        st.caption("Click a point, or choose lasso or box above, to see the items here.")
        return
    files = Artefacts(run.path)
    gallery = files.gallery()
    rows = chosen.drop_duplicates("id")["row"].tolist()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f"{len(rows)} selected", width="content")
        st.button("Clear", key="space-clear", on_click=_clear, help="Also: a double click in the figure.")
    _strip(gallery, rows[:MOST_SHOWN])
    if len(rows) > MOST_SHOWN:
        st.caption(f"The first {MOST_SHOWN} are shown; the table has all.")
    if len(rows) == 1:
        _neighbours(run, config, files, int(rows[0]))
    table = chosen.drop(columns="row")
    st.dataframe(table, hide_index=True, width="stretch", key="space-selected", alt="Selected items")
    download_table("selected", "space-selected-get", lambda kind: frame_to_format(table, kind, "selected items"))


def _neighbours(run: Run, config: ProjectionConfig, files: Artefacts, row: int) -> None:
    """The item's nearest items in the original spaces, by the run's own distance."""
    gallery, distance = files.gallery(), run.config.distance
    ids = np.asarray(gallery.ids)
    st.markdown(f"**Its nearest neighbours in the original space** ({distance} distance, ✓ same class, ✗ another)")
    query = np.asarray(files.embedding(config.seed, config.method, "query")[row : row + 1])
    old = np.asarray(files.embedding(config.seed, "old", "old"))
    lists = (
        ("old query, old gallery (status quo)", old[row : row + 1], old),
        ("new query, old rows as the method leaves them", query, _embedding(files, config, "gallery_old")),
        ("new query, new rows (full backfill)", query, _embedding(files, config, "gallery_new")),
    )
    for title, one, rows in lists:
        found = top_k(one, rows, NEIGHBOURS, distance, ids[row : row + 1], ids, device="cpu")
        st.caption(title)
        _strip(gallery, [int(hit) for hit in found.indices[0] if hit >= 0], int(gallery.labels[row]))


def _embedding(files: Artefacts, config: ProjectionConfig, kind: str) -> np.ndarray:
    return np.asarray(files.embedding(config.seed, config.method, kind))


def _strip(gallery: Gallery, rows: Sequence[int], label: int | None = None) -> None:
    """Thumbnails with class names, marked where they are to be compared with the class ``label``."""
    with st.container(horizontal=True, gap="small"):
        for row in rows:
            pixels = np.asarray(gallery.images[row])
            factor = max(1, 64 // pixels.shape[0])
            pixels = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
            own = int(gallery.labels[row])
            mark = "" if label is None else ("✓ " if own == label else "✗ ")
            words = f"{mark}{literal(gallery.class_names[own])}"
            picture = pixels[..., 0] if pixels.shape[2] == 1 else pixels
            st.image(picture, width=64, caption=words, alt=f"item of class {words}")


def _first(value: Any) -> Any:
    while isinstance(value, (list, tuple)):
        value = value[0] if value else None
    return value
