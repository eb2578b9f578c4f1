"""The sections of the Search page: choosing a query, the ranked lists, what moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from compat_core.data.decode import preview_upload
from compat_core.errors import CompatError
from compat_core.experiments.query import LISTS, QuerySession, RankedList
from compat_core.retrieval.index import KINDS, SUMMARIES
from compat_core.ui.frame import store
from compat_core.ui.pickers import follow_choice, in_address, touched
from compat_core.ui.words import error_box, literal

TITLES = {
    "old/old": ("Status quo", "old query, old gallery"),
    "naive swap": ("Naive swap", "independent new query, old gallery"),
    "method": ("Method", "new query, mixed gallery"),
    "new/new": ("Full backfill", "new query, new gallery"),
}
BADGES = {"old": "○ old", "migrated": "◆ migrated", "new": "■ new"}
RANKS_KNOWN = 100
SHOWN_PX = 128
HIT_TEXT_PX = 110  # picture and words side by side even in a quarter of the page, or on a telephone
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
    """Upload (or paste) a picture, or pick a gallery item; None, with the reason, for an upload that is no picture.

    An upload wins until it is removed: both ways stay in sight, so that the query is never hidden.
    """
    names = session.gallery.class_names
    upload_side, pick_side = st.columns(2)
    preview = st.container()  # always there: else an upload would move all below it, and the page would draw it twice
    with upload_side:
        upload = st.file_uploader(
            "Upload a picture", type=UPLOAD_TYPES, key="query-file", max_upload_size=20,
            help="Drop, choose or paste a picture. It is resized as the gallery was.",
        )  # fmt: skip
    if upload is None:
        with pick_side:
            return _picked(session)
    with pick_side:
        guess = st.selectbox(
            "Its class, if you know it (marks right and wrong hits)", [None, *range(len(names))],
            format_func=lambda label: "unknown" if label is None else names[label], key="query-class",
        )  # fmt: skip
        st.caption("Remove the upload (×) to search with a gallery item.")
    data = upload.getvalue()
    with preview:
        try:
            query = Query(session.decode(data, upload.name), None, guess)
        except CompatError as error:
            error_box(error)
            return None
        with st.container(horizontal=True, vertical_alignment="top"):
            whole = preview_upload(data, SHOWN_PX)  # never the file itself: not every mode and shape can be drawn
            st.image(whole, width="content", caption="your upload", alt="the uploaded picture")
            seen = _for_screen(query.image)
            st.image(seen, width=SHOWN_PX, caption="as the models see it", alt="the query, resized")
        if int(query.image.max()) == int(query.image.min()):
            st.warning(
                "As the models see it this picture is one colour all over: there is nothing to search by. A drawing "
                "that lies in the transparency of a white picture is lost, as transparency is shown on white."
            )
            return None
        _polarity_hint(query.image, session)
    return query


def _picked(session: QuerySession) -> Query:
    """A gallery item by class and number."""
    labels, names = np.asarray(session.gallery.labels), session.gallery.class_names
    left, right, shown = st.columns([2, 2, 1], vertical_alignment="bottom")
    with left:
        label = st.selectbox(
            "Or pick a gallery item: class", np.unique(labels).tolist(), format_func=lambda one: names[one],
            key="pick-class", bind="query-params",
        )  # fmt: skip
    rows = np.flatnonzero(labels == label)
    with right:
        count = len(rows)
        place = 1
        if count > 1:
            key = f"pick-item-{label}"
            place = st.number_input(f"Item (1 to {count})", 1, count, 1, key=key, bind="query-params")
    row = int(rows[place - 1])
    query = Query(session.stored_image(row), row, int(labels[row]))
    name = f"{names[label]} · {session.gallery.ids[row]}"
    with shown:
        st.image(_for_screen(query.image), width=64, alt=f"the query: {name}")
    st.caption(f"Query: {literal(name)}. It is left out of every list.")
    return query


def settings() -> tuple[float, int, str]:
    """Share backfilled, in [0, 1], hits per list, and how the method's list is searched."""
    left, right, last = st.columns(3)
    with left:
        percent = st.slider(
            "Gallery backfilled so far", 0, 100, 0, 5, format="%d%%", key="share", bind="query-params",
            help="Method list only: this share of the gallery, in a fixed random order, already holds new vectors.",
        )  # fmt: skip
    with right:
        count = st.slider("Hits per list", 3, 30, 8, key="hits", bind="query-params")
    with last:
        index = st.selectbox(
            "Search of the mixed gallery", KINDS, key=in_address("index", KINDS), on_change=touched, args=("index",),
            format_func=lambda kind: f"{kind}: {SUMMARIES[kind]}", help="Method list only; the others are exact.",
        )  # fmt: skip
        follow_choice("index", index)
    return percent / 100, count, index


def results(session: QuerySession, query: Query, share: float, count: int, index: str = "exact") -> None:
    """The four lists side by side, and what changed against the status quo."""
    # one search, deeper than what is shown: a rank says where a hit stood before, even out of sight
    deep = session.search(query.image, max(RANKS_KNOWN, count), share, query.row, index)
    before = {int(row): rank for rank, row in enumerate(deep["old/old"].rows, start=1)}
    lists = {name: found.first(count) for name, found in deep.items()}
    columns = st.columns(len(LISTS))
    for column, name in zip(columns, LISTS, strict=True):
        with column:
            _list(session, lists[name], query, {} if name == "old/old" else before)
    st.caption(
        "Time: embedding the query and searching, on this machine's CPU, the median of a few repeats; a slow search is "
        f"timed once. ▲ ▼ places moved against the status quo, ◇ gained: not among its first {count}."
    )
    if index != "exact":
        measured = session.recall(share, index, count)
        st.caption(f"{index} over this gallery: measured recall@{count} {100 * measured:.1f} % of the exact search.")
    _changes(session, lists, query)


def _list(session: QuerySession, found: RankedList, query: Query, before: dict[int, int]) -> None:
    title, subtitle = TITLES[found.name]
    st.markdown(f"**{title}**")
    right = ""
    if query.label is not None:
        hits = sum(int(session.gallery.labels[row]) == query.label for row in found.rows)
        right = f" · {hits} of {len(found.rows)} right"
    st.caption(f"{subtitle} · {1000 * found.seconds:.1f} ms{right}")
    for rank, (row, score, version) in enumerate(zip(found.rows, found.scores, found.versions, strict=True), start=1):
        label = int(session.gallery.labels[row])
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            name = literal(session.gallery.class_names[label])
            pixels = np.asarray(session.gallery.images[row]).transpose(2, 0, 1)
            st.image(_for_screen(pixels), width=56, alt=f"hit {rank}, class {name}")
            with st.container(width=HIT_TEXT_PX):
                st.markdown(f"{_mark(label, query)}**#{rank} · {name}**")
                st.caption(f"{score:.3f} · {BADGES[version]}{_movement(int(row), rank, before, len(found.rows))}")


def _movement(row: int, rank: int, before: dict[int, int], count: int) -> str:
    """How far a hit moved from its rank under the status quo, and whether it was out of sight there."""
    if not before:
        return ""
    if row not in before:
        return f" · ▲ from below {len(before)} · ◇ gained"
    moved = before[row] - rank
    gained = " · ◇ gained" if before[row] > count else ""
    return (f" · {'▲' if moved > 0 else '▼'}{abs(moved)}" if moved else " · =") + gained


def _changes(session: QuerySession, lists: dict[str, RankedList], query: Query) -> None:
    """Hits kept, gained and lost, counted; and the lost ones as pictures, since no list shows them."""
    names, labels = session.gallery.class_names, np.asarray(session.gallery.labels)
    base = lists["old/old"].rows
    rows, lost_of = [], {}
    for name in LISTS[1:]:
        found = lists[name].rows
        gained, lost = np.setdiff1d(found, base), base[~np.isin(base, found)]
        lost_of[TITLES[name][0]] = lost
        line = {"list": TITLES[name][0], "kept": len(base) - len(lost), "gained": len(gained), "lost": len(lost)}
        if query.label is not None:
            line["right gained"] = int((labels[gained] == query.label).sum())
            line["right lost"] = int((labels[lost] == query.label).sum())
        rows.append(line)
    st.subheader("Gained and lost")
    known = f", query class {literal(names[query.label])}" if query.label is not None else ""
    st.caption(f"Among the first {len(base)} hits, against the status quo{known}.")
    st.dataframe(rows, hide_index=True, width="stretch", key="changes", alt="Hits kept, gained and lost per list")
    if any(len(lost) for lost in lost_of.values()):
        with st.expander("The lost hits"):
            for title, lost in lost_of.items():
                if len(lost):
                    st.caption(f"{title}: no longer among the first {len(base)}")
                    _strip(session, lost.tolist(), query)


def _strip(session: QuerySession, rows: list[int], query: Query) -> None:
    with st.container(horizontal=True, gap="small"):
        for row in rows:
            label = int(session.gallery.labels[row])
            words = f"{_mark(label, query)}{literal(session.gallery.class_names[label])}"
            pixels = np.asarray(session.gallery.images[row]).transpose(2, 0, 1)
            st.image(_for_screen(pixels), width=56, caption=words, alt=f"lost hit of class {words}")


def _mark(label: int, query: Query) -> str:
    """Right or wrong as a symbol; nothing where the query's class is not known."""
    return "" if query.label is None else ("✓ " if label == query.label else "✗ ")


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
