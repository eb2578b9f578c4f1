"""The sections of the Space page: parameters, the map, selected items and their true neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from compat_core.experiments import projection
from compat_core.experiments.artefacts import Artefacts
from compat_core.experiments.projection import ProjectionConfig
from compat_core.experiments.run import Run
from compat_core.reports.alt import alt_text
from compat_core.reports.figures import umap_figure
from compat_core.reports.tables import frame_to_format
from compat_core.retrieval.search import top_k
from compat_core.ui.compare_parts import CHART
from compat_core.ui.downloads import download_table
from compat_core.ui.forms import config_fields
from compat_core.ui.frame import shown_errors

CAVEAT = (
    "UMAP keeps neighbourhoods, not distances: gaps, sizes and densities of clusters mean little, and another seed "
    "gives another picture. All versions are placed in one fit: lying together means being near in the shared space. "
    "Neighbours listed below are computed in the original space."
)
MOST_SHOWN = 24
COLOURS = {"version": "version", "label": "class", "correct": "right or wrong first hit"}


def parameters(method: str, seed: int) -> ProjectionConfig:
    """UMAP's parameters, with their help."""
    with st.expander("Parameters of the projection"):
        values = config_fields(ProjectionConfig(), "space", skip=("method", "seed"), columns=4)
    return ProjectionConfig(method=method, seed=seed, **values)


def show(run: Run, config: ProjectionConfig) -> None:
    """The stored projection; or the button that computes it, and progress while it is computed."""
    points = projection.stored(run, config)
    if points is None:
        _compute(run, config)
        return
    _map(run, config, points)


def _compute(run: Run, config: ProjectionConfig) -> None:
    processes: dict[str, Any] = st.session_state.setdefault("projections", {})
    name = f"{run.id}/{config.digest}"
    running = name in processes and processes[name].poll() is None
    if not running:
        if name in processes and processes[name].poll():
            log = projection.log_file(run, config)
            st.error("The projection failed.", icon=":material/error:")
            st.code(log.read_text()[-2000:] if log.is_file() else "no log", language=None)
        st.info("This projection has not been computed yet. It takes ten to sixty seconds, in a process of its own.")
        if st.button("Compute the projection", type="primary", icon=":material/scatter_plot:", key="space-compute"):
            processes[name] = projection.start(run, config)
            st.rerun()
        return
    _waiting(run, config, name)


@st.fragment(run_every="2s")
def _waiting(run: Run, config: ProjectionConfig, name: str) -> None:
    with shown_errors():
        process = st.session_state["projections"].get(name)
        if projection.stored(run, config) is not None or process is None or process.poll() is not None:
            st.rerun()
        st.info("Computing the projection …", icon=":material/hourglass_top:")


def _map(run: Run, config: ProjectionConfig, points: dict[str, np.ndarray]) -> None:
    files = Artefacts(run.path)
    gallery = files.gallery()
    frame = _frame(files, config, points, gallery.class_names)
    with st.container(horizontal=True):
        colour = st.segmented_control(
            "Colour by",
            list(COLOURS),
            default="version",
            required=True,
            format_func=COLOURS.__getitem__,
            key="space-colour",
        )
        versions = st.multiselect(
            "Versions", list(dict.fromkeys(points["version"].tolist())), key="space-versions", placeholder="all"
        )
        classes = st.multiselect("Classes", sorted(set(frame["label"])), key="space-classes", placeholder="all")
        lines = st.toggle("Lines old → new", key="space-lines", help="Where each item moves when it is re-embedded.")
    shown = frame
    if versions:
        shown = shown[shown["version"].isin(versions)]
    if classes:
        shown = shown[shown["label"].isin(classes)]
    if shown.empty:
        st.info("No point has these versions and classes.")
        return
    figure = umap_figure(
        shown, colour or "version", ("old", "new") if lines and {"old", "new"} <= set(shown["version"]) else None
    )
    event = st.plotly_chart(
        figure, width="stretch", key="space-map", on_select="rerun", selection_mode=("points", "box", "lasso"),
        config=CHART, alt=alt_text("umap", shown, colour_by=colour),
    )  # fmt: skip
    st.caption(CAVEAT)
    st.caption(
        f"{len(points['rows']):,} points · seed of the layout {config.umap_seed} · n_neighbors {config.n_neighbors} · "
        f"min_dist {config.min_dist:g} · cosine"
    )
    download_table("projection", "space-get", lambda kind: frame_to_format(shown, kind))
    _selection(run, config, files, event, frame)


def _frame(files: Artefacts, config: ProjectionConfig, points: dict[str, np.ndarray], names: list[str]) -> pd.DataFrame:
    """x, y, version, label, id and whether the version's first hit is right."""
    cells = {"old": "old/old", "migrated": "new/migrated", "new": "new/new"}
    gallery = files.gallery()
    right = {
        version: files.ranking(config.seed, config.method, cells[version])["CMC@1"]
        for version in dict.fromkeys(points["version"].tolist())
    }
    rows = points["rows"]
    return pd.DataFrame(
        {
            "x": points["xy"][:, 0],
            "y": points["xy"][:, 1],
            "version": points["version"],
            "label": [names[label] for label in points["labels"]],
            "id": np.asarray(gallery.ids)[rows],
            "correct": [bool(right[version][row] == 1) for version, row in zip(points["version"], rows, strict=True)],
            "row": rows,
        }
    )


def _selection(run: Run, config: ProjectionConfig, files: Artefacts, event: Any, frame: pd.DataFrame) -> None:
    picked = [_first(point.get("customdata")) for point in event["selection"].get("points", [])] if event else []
    ids = list(dict.fromkeys(str(item) for item in picked if item is not None))
    if not ids:
        st.caption("Select with the lasso or the box, or click a point, to see its items here.")
        return
    chosen = frame[frame["id"].isin(ids)]
    gallery = files.gallery()
    st.subheader(f"{len(ids)} selected")
    rows = chosen.drop_duplicates("id")["row"].tolist()
    _strip(gallery, rows[:MOST_SHOWN])
    if len(rows) > MOST_SHOWN:
        st.caption(f"The first {MOST_SHOWN} are shown; the table has all.")
    st.dataframe(
        chosen.drop(columns="row"), hide_index=True, width="stretch", key="space-selected", alt="Selected items"
    )
    if len(rows) == 1:
        _neighbours(config, files, int(rows[0]))


def _neighbours(config: ProjectionConfig, files: Artefacts, row: int) -> None:
    """The clicked item's nearest items in the original spaces."""
    gallery = files.gallery()
    ids = np.asarray(gallery.ids)
    distance = "cosine"
    st.markdown("**Its nearest neighbours in the original space**")
    query = np.asarray(files.embedding(config.seed, config.method, "query")[row : row + 1])
    old = np.asarray(files.embedding(config.seed, "old", "old"))
    for title, one, rows in (
        ("old query, old gallery", old[row : row + 1], old),
        (
            "new query, old rows as the method leaves them",
            query,
            files.embedding(config.seed, config.method, "gallery_old"),
        ),
        ("new query, new rows", query, files.embedding(config.seed, config.method, "gallery_new")),
    ):
        found = top_k(one, np.asarray(rows), 10, distance, ids[row : row + 1], ids, device="cpu")
        st.caption(title)
        _strip(gallery, [int(hit) for hit in found.indices[0] if hit >= 0])


def _strip(gallery: Any, rows: list[int]) -> None:
    pictures = []
    for row in rows:
        pixels = np.asarray(gallery.images[row])
        factor = max(1, 64 // pixels.shape[0])
        pixels = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
        pictures.append(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    st.image(pictures, width=64, caption=[gallery.class_names[int(gallery.labels[row])] for row in rows])


def _first(value: Any) -> Any:
    while isinstance(value, (list, tuple)):
        value = value[0] if value else None
    return value
