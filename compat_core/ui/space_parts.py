"""The sections of the Space page: parameters, the computation, the map."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from compat_core.experiments import projection
from compat_core.experiments.artefacts import Artefacts
from compat_core.experiments.projection import ProjectionConfig
from compat_core.experiments.run import Run
from compat_core.reports.alt import alt_text
from compat_core.reports.space_figure import umap_figure
from compat_core.reports.tables import frame_to_format
from compat_core.ui.compare_parts import CHART
from compat_core.ui.downloads import download_table
from compat_core.ui.forms import config_fields
from compat_core.ui.frame import shown_errors
from compat_core.ui.space_selection import map_key, selected_ids, show_selection

CAVEAT = (
    "UMAP keeps neighbourhoods, not distances: gaps, sizes and densities of clusters mean little, and another seed "
    "gives another picture. All versions are placed in one fit: lying together means being near in the shared space. "
    "Neighbours listed below are computed in the original space."
)
# Streamlit lets a click select only while neither lasso nor box is the drag mode: the reader chooses, and sees which
TOOLS = {"pan": "click", "lasso": "lasso", "select": "box"}
COLOURS = {"version": "version", "label": "class", "correct": "right or wrong first hit"}


def parameters(method: str, seed: int) -> ProjectionConfig:
    """UMAP's parameters, with their help."""
    with st.expander("Parameters of the projection"):
        values = config_fields(
            ProjectionConfig(), "space", skip=("method", "seed"), columns=4, bounded=False, linked=True
        )
    return ProjectionConfig(method=method, seed=seed, **values)


def show(run: Run, config: ProjectionConfig) -> None:
    """The stored projection; or the button that computes it, and progress while it is computed."""
    points = projection.stored(run, config)
    if points is None:
        _compute(run, config)
        return
    _map(run, config, points)


def _compute(run: Run, config: ProjectionConfig) -> None:
    if projection.is_running(run, config):
        _waiting(run, config)
        return
    failure = projection.failure(run, config)
    if failure is not None:
        st.error("The projection was not finished. Its last words:", icon=":material/error:")
        st.code(failure, language=None)
    st.info("This projection has not been computed yet. It takes ten to sixty seconds, in a process of its own.")
    if st.button("Compute the projection", type="primary", icon=":material/scatter_plot:", key="space-compute"):
        projection.start(run, config)
        st.rerun()


@st.fragment(run_every="2s")
def _waiting(run: Run, config: ProjectionConfig) -> None:
    with shown_errors():
        if not projection.is_running(run, config):
            st.rerun()
        st.info(
            "Computing the projection … It goes on when you leave this page or reload it.",
            icon=":material/hourglass_top:",
        )


def _map(run: Run, config: ProjectionConfig, points: dict[str, np.ndarray]) -> None:
    files = Artefacts(run.path)
    gallery = files.gallery()
    frame = _frame(files, config, points, gallery.class_names)
    with st.container(horizontal=True):
        colour = st.segmented_control(
            "Colour by", list(COLOURS), default="version", required=True, format_func=COLOURS.__getitem__,
            key="space-colour", bind="query-params",
        )  # fmt: skip
        tool = st.segmented_control(
            "Select by", list(TOOLS), default="pan", required=True, format_func=TOOLS.__getitem__, key="space-tool",
            bind="query-params",
            help="A click shows the neighbours of one point; lasso and box show all items inside.",
        )  # fmt: skip
        versions = st.multiselect(
            "Versions", list(dict.fromkeys(points["version"].tolist())), key="space-versions", bind="query-params",
            placeholder="all",
        )  # fmt: skip
        classes = st.multiselect(
            "Classes", sorted(set(frame["label"])), key="space-classes", bind="query-params", placeholder="all"
        )
        lines = st.toggle(
            "Lines old → new",
            key="space-lines",
            bind="query-params",
            help="Where each item moves when it is re-embedded.",
        )
    shown = frame
    if versions:
        shown = shown[shown["version"].isin(versions)]
    if classes:
        shown = shown[shown["label"].isin(classes)]
    if shown.empty:
        st.info("No point has these versions and classes.")
        return
    drawable = {"old", "new"} <= set(shown["version"])
    if lines and not drawable:
        st.info("Lines need both old and new points; one of the two is filtered out or cannot be shown in this space.")
    figure = umap_figure(shown, colour or "version", ("old", "new") if lines and drawable else None)
    figure.update_layout(dragmode=tool)
    event = st.plotly_chart(
        figure, width="stretch", key=map_key(), on_select="rerun", selection_mode=("points", "box", "lasso"),
        config=CHART, alt=alt_text("umap", shown, colour_by=colour),
    )  # fmt: skip
    st.caption(CAVEAT)
    _provenance(run, config, points)
    download_table("projection", "space-get", lambda kind: frame_to_format(shown, kind))
    drawn = (config.digest, colour, tool, tuple(versions), tuple(classes), lines)
    show_selection(run, config, selected_ids(event, run.id, drawn), frame)


def _provenance(run: Run, config: ProjectionConfig, points: dict[str, np.ndarray]) -> None:
    """How many points, which parameters, and what was done to place all versions in one space."""
    items, versions = len(np.unique(points["rows"])), dict.fromkeys(points["version"].tolist())
    st.caption(
        f"{items:,} items × {len(versions)} versions = {len(points['rows']):,} points · seed of the layout "
        f"{config.umap_seed} · n_neighbors {config.n_neighbors} · min_dist {config.min_dist:g} · cosine · PCA start"
    )
    for sentence in projection.what_is_shown(run, config, list(versions)):
        st.caption(sentence)


def _frame(files: Artefacts, config: ProjectionConfig, points: dict[str, np.ndarray], names: list[str]) -> pd.DataFrame:
    """x, y, version, label, id and whether the version's first hit is right (None: the query was skipped)."""
    cells = {"old": "old/old", "migrated": "new/migrated", "new": "new/new"}
    gallery = files.gallery()
    labels = np.asarray(gallery.labels)
    right = {
        version: projection.first_hits_right(
            labels, files.ranking(config.seed, config.method, cells[version])["indices"]
        )
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
            "correct": [right[version][row] for version, row in zip(points["version"], rows, strict=True)],
            "row": rows,
        }
    )
