"""Choosing a run, a seed, a method; the choice lives in the address, so that every view has a link."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from types import MappingProxyType

import streamlit as st

from compat_core.errors import CompatError
from compat_core.experiments.run import Run
from compat_core.experiments.store import RunStore
from compat_core.ui.frame import page_link
from compat_core.ui.words import literal

FINISHED = ("done",)


def run_name(run: Run) -> str:
    """What people call a run: its own name, else ``half-classes · photos · seed 1``."""
    if run.meta.name:
        return run.meta.name
    config = run.config_dict()
    data, _, path = str(config.get("data", {}).get("dataset", "")).partition(":")
    seeds = config.get("seeds", [])
    about = config.get("title") or config.get("preset") or "run"
    data = "" if data in about else data
    which = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}" if seeds else ""
    return " · ".join(filter(None, (about, PurePath(path).name or data, which)))


def run_title(run: Run) -> str:
    """``name · id`` of a run; its id alone when it was just deleted."""
    try:
        return f"{run_name(run)} · {run.id}"
    except CompatError:
        return run.id


def available_runs(store: RunStore, states: Sequence[str] = FINISHED) -> list[Run]:
    """Runs in one of ``states``, newest first, archived ones left out."""
    found = []
    for run in store.list():
        try:
            if run.status.state in states and not run.meta.archived:
                found.append(run)
        except CompatError:  # deleted while the list was read
            continue
    return found


def is_chain(run: Run) -> bool:
    """Whether a run is a chain of versions, by its configuration as stored: a run whose configuration breaks its rules
    is refused when it is chosen, and hides no other."""
    try:
        scenario = run.config_dict().get("scenario")
    except CompatError:
        return False
    return isinstance(scenario, dict) and bool(scenario.get("chain"))


def in_address(
    key: str,
    options: Sequence[str],
    multiple: bool = False,
    shared: str = "",
    elsewhere: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Let the address decide a widget's first value, and follow it when a link changes it.

    Streamlit's own binding writes what is displayed, not the id, and drops a value that equals the default; a link to
    the newest run would then show another run tomorrow. What the address leaves open is what another page last showed.

    Args:
        key: name in the address.
        options: what may be chosen.
        multiple: whether the widget takes several.
        shared: the name under which pages remember the choice for each other, where it is not ``key``; a link may use
            it too.
        elsewhere: what a link may name though it cannot be chosen here -> the sentence that says why.

    Returns:
        the key to give to the widget.
    """
    widget, seen = f"{key}-choice", f"{key}-address"
    wanted = _named(key, shared)
    if wanted and wanted != st.session_state.get(seen):
        known = [value for value in wanted if value in options]
        for value in wanted:
            if value in elsewhere:
                st.info(elsewhere[value], icon=":material/link:")
        gone = sorted(set(wanted) - set(known) - set(elsewhere))
        if gone:
            st.warning(f"{literal(', '.join(gone))}: not here (deleted, or not finished yet).")
        if known:
            st.session_state[widget] = known if multiple else known[0]
    elif widget not in st.session_state:  # a page just entered goes on with what another page showed
        before = [value for value in st.session_state.get(_kept(shared or key, multiple), ()) if value in options]
        if before:
            st.session_state[widget] = before if multiple else before[0]
    kept = st.session_state.get(widget)
    if multiple and kept is not None:
        st.session_state[widget] = [value for value in kept if value in options]
    elif kept is not None and kept not in options:
        del st.session_state[widget]
    elif kept is not None:  # said anew: the browser goes on showing the words it has, though a name or state changed
        st.session_state[widget] = kept
    return widget


def _named(key: str, shared: str) -> list[str]:
    """What the address names for a widget: under its own name, else under the shared one."""
    return st.query_params.get_all(key) or (st.query_params.get_all(shared) if shared else [])


def touched(key: str) -> None:
    """What a widget of :func:`in_address` calls when its reader changes it (its ``on_change``)."""
    st.session_state[f"{key}-touched"] = True


def to_address(key: str, chosen: str | Sequence[str]) -> None:
    """Write the choice into the address."""
    values = [chosen] if isinstance(chosen, str) else list(chosen)
    if st.query_params.get_all(key) != values:
        st.query_params[key] = values
    st.session_state[f"{key}-address"] = values


def follow_choice(key: str, chosen: str | Sequence[str], shared: str = "") -> None:
    """Write a choice that the reader made into the address, and keep any choice for other pages.

    Streamlit puts every address it is given onto the browser's history: writing down what a page shows at first would
    make Back need two presses to leave it.

    Args:
        key: as in :func:`in_address`.
        chosen: the widget's value.
        shared: as in :func:`in_address`.
    """
    if st.session_state.pop(f"{key}-touched", False):
        to_address(key, chosen)
    else:
        st.session_state[f"{key}-address"] = _named(key, shared)
    keep(shared or key, [chosen] if isinstance(chosen, str) else list(chosen), not isinstance(chosen, str))


def keep(key: str, values: Sequence[str], multiple: bool) -> None:
    """Remember a choice for the next page; a page of one run and a page of several tell each other what they show."""
    if not values:
        return
    st.session_state[_kept(key, multiple)] = list(values)
    other = st.session_state.get(_kept(key, not multiple), [])
    if values[0] not in other:
        st.session_state[_kept(key, not multiple)] = list(values[:1])


def _kept(key: str, multiple: bool) -> str:
    return f"{key}-kept-{'several' if multiple else 'one'}"


def pick_upgrade(store: RunStore, key: str, label: str = "Run") -> Run | None:
    """A select box of finished runs that upgrade one old model to one new one, kept in the address.

    Chains of versions are left out; a link that names one is told so. None, with what to do next, while there is none.
    """
    finished = available_runs(store)
    runs = {run.id: run for run in finished if not is_chain(run)}
    chains = [run.id for run in finished if run.id not in runs]
    why = "is a chain of versions, and this page shows one old and one new model: its matrices are on Compare."
    widget = in_address(key, list(runs), elsewhere={name: f"{name} {why}" for name in chains})
    if not runs:
        nothing_yet("finished run of one old and one new model" if chains else "finished run")
        return None
    chosen = st.selectbox(
        label, list(runs), format_func=lambda id: run_title(runs[id]) if id in runs else id, key=widget,
        on_change=touched, args=(key,),
    )  # fmt: skip
    follow_choice(key, chosen)
    return runs[chosen]


def pick_runs(store: RunStore, key: str, label: str = "Runs") -> list[Run]:
    """A multi-select of finished runs, kept in the address; the newest one to begin with."""
    runs = {run.id: run for run in available_runs(store)}
    if not runs:
        nothing_yet()
        return []
    widget = in_address(key, list(runs), multiple=True)
    if widget not in st.session_state:
        st.session_state[widget] = [next(iter(runs))]
    chosen = st.multiselect(
        label, list(runs), format_func=lambda id: run_title(runs[id]) if id in runs else id, key=widget,
        on_change=touched, args=(key,),
    )  # fmt: skip
    follow_choice(key, chosen)
    if not chosen:
        st.info("Choose at least one run.")
    return [runs[id] for id in chosen]


def pick_seed(run: Run, key: str) -> int:
    """One of the run's seeds; a run with one seed asks nothing."""
    seeds = list(run.config.seeds)
    return st.selectbox("Seed", seeds, key=key, bind="query-params") if len(seeds) > 1 else seeds[0]


def pick_method(run: Run, key: str, skip: Sequence[str] = ()) -> str:
    """The label of one of the run's methods, the last one (usually the most interesting) to begin with."""
    labels = [spec.label for spec in run.config.methods if spec.name not in skip]
    labels = labels or [spec.label for spec in run.config.methods]
    return st.selectbox("Method", labels, index=len(labels) - 1, key=key, bind="query-params")


def nothing_yet(what: str = "finished run") -> None:
    """The empty state: there is no ``what``, and the two ways to one."""
    st.info(f"No {what} yet. The demo takes about a minute and needs nothing but this machine.")
    left, right = st.columns(2)
    with left:
        page_link("start", "Run the demo")
    with right:
        page_link("launch", "Launch a run on your own images")


def ago(seconds_since_epoch: float | None) -> str:
    """How long ago, in words: ``3 min ago``."""
    if not seconds_since_epoch:
        return "–"
    seconds = max(0.0, time.time() - seconds_since_epoch)
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def duration(seconds: float | None) -> str:
    """A length of time: ``12 d 15 h``, ``1 h 05 min``, ``2 min 10 s``, ``8 s``."""
    if seconds is None:
        return "–"
    whole = round(seconds)
    if whole >= 2 * 86_400:
        return f"{whole // 86_400} d {whole % 86_400 // 3_600:02d} h"
    if whole >= 3_600:
        return f"{whole // 3_600} h {whole % 3_600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"
