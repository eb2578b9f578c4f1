"""The sections of the Search page: choosing a query, the ranked lists, what moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from compat_core.errors import CompatError
from compat_core.experiments.query import LISTS, QuerySession, RankedList
from compat_core.ui.frame import store

TITLES = {
    "old/old": ("Status quo", "old query, old gallery"),
    "naive swap": ("Naive swap", "independent new query, old gallery"),
    "method": ("Method", "new query, mixed gallery"),
    "new/new": ("Full backfill", "new query, new gallery"),
}
BADGES = {"old": "○ old", "migrated": "◆ migrated", "new": "■ new"}
UPLOAD_TYPES = ["png", "jpg", "jpeg", "bmp", "webp", "gif", "tif", "tiff", "ppm"]


@dataclass(frozen=True, slots=True)
class Query:
    """The chosen query: pixels as the models see them, its gallery row if it is an item, its class if known."""

    image: np.ndarray
    row: int | None
    label: int | None


@st.cache_resource(max_entries=4, show_spinner="Loading the models …")
def opened(run_id: str, seed: int, method: str) -> QuerySession:
    """The session of a run, seed and method; kept between reruns."""
    return QuerySession(store().get(run_id), seed, method)


def choose_query(session: QuerySession) -> Query | None:
    """Upload (or paste) a picture, or pick a gallery item."""
    names = session.gallery.class_names
    upload_tab, pick_tab = st.tabs(["Upload a picture", "Pick a gallery item"])
    with upload_tab:
        upload = st.file_uploader(
            "Query image", type=UPLOAD_TYPES, key="query-file", max_upload_size=20,
            help="Drop, choose or paste a picture. It is resized as the gallery was.",
        )  # fmt: skip
        guess = st.selectbox(
            "Its class, if you know it (marks right and wrong hits)", [None, *range(len(names))],
            format_func=lambda label: "unknown" if label is None else names[label], key="query-class",
        )  # fmt: skip
    with pick_tab:
        left, right = st.columns(2)
        present = np.unique(session.gallery.labels).tolist()
        with left:
            label = st.selectbox("Class", present, format_func=lambda one: names[one], key="pick-class")
        rows = np.flatnonzero(np.asarray(session.gallery.labels) == label)
        with right:
            place = st.number_input("Item of this class", 1, len(rows), 1, key="pick-item") if len(rows) > 1 else 1
    if upload is not None:
        try:
            query = Query(session.decode(upload.getvalue(), upload.name), None, guess)
        except CompatError as error:
            st.error(str(error), icon=":material/error:")
            return None
        with upload_tab:
            shown, seen = st.columns([1, 5])
            with shown:
                st.image(_for_screen(query.image), width=112, caption="as the models see it")
            with seen:
                _polarity_hint(query.image, session)
        return query
    row = int(rows[place - 1])
    query = Query(session.stored_image(row), row, int(session.gallery.labels[row]))
    with pick_tab:
        st.image(_for_screen(query.image), width=112, caption=f"{names[query.label or 0]} · {session.gallery.ids[row]}")
    return query


def settings() -> tuple[float, int]:
    """Share backfilled, in [0, 1], and hits per list."""
    left, right = st.columns(2)
    with left:
        percent = st.slider(
            "Gallery backfilled so far", 0, 100, 0, 5, format="%d%%", key="share", bind="query-params",
            help="Method list only: this share of the gallery, in a fixed random order, already holds new vectors.",
        )  # fmt: skip
    with right:
        count = st.slider("Hits per list", 3, 30, 8, key="hits", bind="query-params")
    return percent / 100, count


def results(session: QuerySession, query: Query, share: float, count: int) -> None:
    """The four lists side by side, and what changed against the status quo."""
    lists = session.search(query.image, count, share, query.row)
    wide = session.search(query.image, max(100, count), share, query.row)["old/old"]
    before = {int(row): rank for rank, row in enumerate(wide.rows, start=1)}
    columns = st.columns(len(LISTS))
    for column, name in zip(columns, LISTS, strict=True):
        with column:
            _list(session, lists[name], query, {} if name == "old/old" else before)
    _changes(session, lists, query)


def _list(session: QuerySession, found: RankedList, query: Query, before: dict[int, int]) -> None:
    title, subtitle = TITLES[found.name]
    st.markdown(f"**{title}**")
    right = ""
    if query.label is not None:
        hits = sum(int(session.gallery.labels[row]) == query.label for row in found.rows)
        right = f" · {hits} of {len(found.rows)} right"
    st.caption(f"{subtitle} · {1000 * found.seconds:.0f} ms{right}")
    for rank, (row, score, version) in enumerate(zip(found.rows, found.scores, found.versions, strict=True), start=1):
        label = int(session.gallery.labels[row])
        mark = "" if query.label is None else ("✓ " if label == query.label else "✗ ")
        with st.container(border=True):
            picture, words = st.columns([1, 2], vertical_alignment="center")
            with picture:
                name = session.gallery.class_names[label]
                st.image(_for_screen(np.asarray(session.gallery.images[row]).transpose(2, 0, 1)), width=56)
            with words:
                st.markdown(f"{mark}**{rank}. {name}**")
                st.caption(f"{score:.3f} · {BADGES[version]}{_movement(int(row), rank, before)}")


def _movement(row: int, rank: int, before: dict[int, int]) -> str:
    if not before:
        return ""
    if row not in before:
        return " · ▲ from below 100"
    moved = before[row] - rank
    return f" · {'▲' if moved > 0 else '▼'}{abs(moved)}" if moved else " · ="


def _changes(session: QuerySession, lists: dict[str, RankedList], query: Query) -> None:
    base = {int(row) for row in lists["old/old"].rows}
    names = session.gallery.class_names
    rows = []
    for name in LISTS[1:]:
        found = {int(row) for row in lists[name].rows}
        line = {
            "list": TITLES[name][0],
            "kept": len(base & found),
            "gained": len(found - base),
            "lost": len(base - found),
        }
        if query.label is not None:
            labels = session.gallery.labels
            line["right gained"] = sum(int(labels[row]) == query.label for row in found - base)
            line["right lost"] = sum(int(labels[row]) == query.label for row in base - found)
        rows.append(line)
    st.caption(
        "Hits against the status quo" + (f", query class {names[query.label]}" if query.label is not None else "")
    )
    st.dataframe(rows, hide_index=True, width="stretch", key="changes", alt="Hits kept, gained and lost per list")


def _for_screen(image: np.ndarray) -> np.ndarray:
    """``(C, S, S)`` uint8 as something st.image draws; small pictures are enlarged without blurring."""
    pixels = image.transpose(1, 2, 0)
    factor = max(1, 112 // pixels.shape[0])
    pixels = pixels.repeat(factor, axis=0).repeat(factor, axis=1)
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _polarity_hint(image: np.ndarray, session: QuerySession) -> None:
    """A dark drawing on white paper finds nothing in a gallery of white strokes on black: say so."""
    if session.gallery.channels != 1:
        return
    sample = np.asarray(session.gallery.images[:200])
    if (image.mean() > 127) != (sample.mean() > 127):
        st.warning(
            f"This picture is {'brighter' if image.mean() > sample.mean() else 'darker'} than the gallery on the whole "
            f"({image.mean():.0f} against {sample.mean():.0f} of 255): its polarity may be inverted. The models were "
            "trained on the gallery's."
        )
