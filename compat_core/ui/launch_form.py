"""The Launch form: a preset's values, changed by hand, into one configuration."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from compat_core.data import DATASETS
from compat_core.device import pick_device
from compat_core.errors import CompatError
from compat_core.experiments import queue
from compat_core.experiments.config import MAX_SEED, ExperimentConfig
from compat_core.experiments.estimate import (
    Size,
    dataset_size,
    estimate,
    past_throughput,
    throughput_of_a_child,
)
from compat_core.experiments.presets import PRESETS, command_line
from compat_core.experiments.runner import check_names
from compat_core.losses import LOSSES
from compat_core.methods import METHODS
from compat_core.models import BACKBONES
from compat_core.spec import Spec
from compat_core.training.config import VersionConfig
from compat_core.ui.forms import config_fields
from compat_core.ui.frame import page_link, shown_errors, store
from compat_core.ui.pickers import duration, follow_choice, in_address, touched
from compat_core.ui.words import error_box

FIRST_PRESET = "half-classes"
_RESETS = "launch-resets"  # how often the form was set back, by where it starts
_fields = partial(config_fields, bounded=False, kept=True)  # takes every number, and is as it was after another page


def starting_point() -> tuple[ExperimentConfig, str]:
    """The preset (or uploaded configuration) the form starts from, and a prefix for its widgets' keys."""
    left, right = st.columns([2, 1])
    with left:
        names = list(PRESETS.names())
        widget = in_address("preset", names)
        st.session_state.setdefault(widget, FIRST_PRESET)  # no index=: a widget with two first values is a warning
        name = st.selectbox(
            "Preset", names, key=widget, format_func=lambda name: PRESETS.get(name).title,
            on_change=touched, args=("preset",),
        )  # fmt: skip
        follow_choice("preset", name)
    with right:
        upload = st.file_uploader("or a configuration file", type="json", key="config-file", max_upload_size=1)
    if upload is not None:
        try:
            config = ExperimentConfig.from_dict(json.loads(upload.getvalue()))
            _known(config)  # the form below can only show names that exist
            return config, _since_reset(f"file-{upload.file_id}")
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            error_box(f"configuration file: not valid JSON ({error})")
        except CompatError as error:
            error_box(f"configuration file: {error}")
    entry = PRESETS.get(name)
    st.markdown(entry.summary)
    st.caption(entry.paper)
    return entry.config, _since_reset(name)


def _since_reset(key: str) -> str:
    """The prefix of the form's keys: another one after a reset, since the browser keeps the values of old keys."""
    resets = st.session_state.get(_RESETS, {}).get(key, 0)
    return f"{key}#{resets}" if resets else key


def _reset(key: str) -> None:
    resets = st.session_state.setdefault(_RESETS, {})
    start = key.partition("#")[0]
    resets[start] = resets.get(start, 0) + 1


def filled_in(start: ExperimentConfig, key: str) -> dict[str, Any]:
    """Draw the whole form; returns the configuration as JSON types, not yet checked (the seeds as typed)."""
    values = start.to_dict()
    title, beside = st.columns([3, 1])
    title.subheader("Images")
    known, _, path = start.data.dataset.partition(":")
    left, right = st.columns([1, 2])
    with left:
        names = DATASETS.names()
        name = st.selectbox("Data set", names, index=names.index(known), key=f"{key}-dataset", persist_state="session")
        entry = DATASETS.get(name)
        st.caption(entry.summary)
    with right:
        if entry.takes:
            label, path = "Folder" if name == "folder" else entry.takes, path if name == known else ""
            path = st.text_input(
                label, path, key=f"{key}-folder", placeholder="/path/to/photos", persist_state="session",
                help="on the machine this app runs on: one folder of images per class, or train/val folders of those",
            )  # fmt: skip
            name = f"{name}:{path.strip()}"
    values["data"] |= {"dataset": name}
    with st.expander("Sizes, limits and splits"):
        values["data"] |= _fields(start.data, f"{key}-data", skip=("dataset",))
    with st.expander("What the old model saw"):
        values["scenario"] |= _fields(start.scenario, f"{key}-scenario")
    st.subheader("Methods")
    values["methods"] = _methods(start, key)
    st.subheader("Models")
    left, right = st.columns(2)
    for side, role in ((left, "old"), (right, "new")):
        with side:
            values[role] = _version(getattr(start, role), role, f"{key}-{role}")
    st.subheader("Repetitions and device")
    left, right = st.columns([1, 2])
    with left:
        values["seeds"] = st.text_input(
            "Seeds", _typed(start.seeds), key=f"{key}-seeds", help="whole numbers, one repetition each",
            persist_state="session",
        )  # fmt: skip
    with right:
        values |= _fields(start, key, skip=("schema_version", "preset"), columns=4)
    st.subheader("Protocols beside retrieval")
    values["protocols"] |= _fields(start.protocols, f"{key}-protocols", columns=4)
    if values != start.to_dict() | {"seeds": _typed(start.seeds)}:
        whose = "file" if key.startswith("file-") else "preset"
        beside.button(
            f"Reset to the {whose}", icon=":material/restart_alt:", key="launch-reset", on_click=_reset, args=(key,)
        )
    return values


def _typed(seeds: Sequence[int]) -> str:
    return " ".join(map(str, seeds))


def _seeds(text: str) -> list[int]:
    words = text.replace(",", " ").split()
    digits = len(str(MAX_SEED))  # Python itself refuses to read numbers of thousands
    if not all(word.isascii() and word.isdecimal() and len(word) <= digits for word in words):
        raise CompatError("seeds", value=text, rule=f"must be whole numbers from 0 to {MAX_SEED}", fix="e.g. 0 1 2")
    return [int(word) for word in words]


def _known(config: ExperimentConfig) -> None:
    """Refuse names the registries do not have, and methods that cannot bridge these two models."""
    check_names(config)
    DATASETS.get(config.data.dataset.partition(":")[0])


def _methods(start: ExperimentConfig, key: str) -> list[dict[str, Any]]:
    by_label = {spec.label: spec for spec in start.methods}
    options = list(by_label) + [name for name in METHODS.names() if name not in by_label]
    chosen = st.multiselect(
        "Methods", options, default=list(by_label), key=f"{key}-methods", persist_state="session",
        accept_new_options=True,
        help="Choose, or type a variant as on the command line: fct:side=none, or bct-sys:weight=2,as=heavy",
    )  # fmt: skip
    read = {label: by_label.get(label) or _spec(label) for label in chosen}
    specs = [spec for spec in read.values() if spec is not None]
    adjustable = [spec for spec in specs if METHODS.get(spec.name).configure(spec).__dataclass_fields__]
    changed = {spec.label: spec for spec in specs}
    if adjustable:
        with st.expander("Parameters of the methods"):
            tabs = st.tabs([spec.label for spec in adjustable])
            for tab, spec in zip(tabs, adjustable, strict=True):
                with tab:
                    entry = METHODS.get(spec.name)
                    st.caption(entry.summary)
                    params = _differing(entry, spec, f"{key}-{spec.label}")
                    if params != spec.params:
                        alias = spec.label if params and spec.label != Spec(spec.name, params).label else ""
                        changed[spec.label] = Spec(spec.name, params, alias)
    wrong = [Spec(label) for label, spec in read.items() if spec is None]  # for the check to refuse: nothing starts
    return [{"name": spec.name, "params": spec.params, "alias": spec.alias} for spec in (*changed.values(), *wrong)]


def _spec(text: str) -> Spec | None:
    """The method that was chosen by name or typed with parameters; None, and why on the page, for none."""
    try:
        spec = Spec.parse(text)
        METHODS.get(spec.name).configure(spec)
    except CompatError as error:
        error_box(f"methods: {error}")
        return None
    return spec


def _differing(entry: Any, spec: Spec, key: str, columns: int = 3) -> dict[str, Any]:
    """Widgets for the parameters of a registry entry; the spec's own while untouched, else what is no default."""
    start, defaults = entry.configure(spec), entry.configure(Spec(spec.name))
    values = _fields(start, key, columns=columns)
    if all(value == getattr(start, name) for name, value in values.items()):
        return dict(spec.params)
    return {name: value for name, value in values.items() if value != getattr(defaults, name)}


def _version(start: VersionConfig, role: str, key: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    with st.container(border=True):
        st.markdown(f"**The {role} model**")
        names = BACKBONES.names()
        values["arch"] = st.selectbox(
            "Backbone", names, index=names.index(start.arch), key=f"{key}-arch", persist_state="session"
        )
        values |= _fields(start, key, skip=("arch",), columns=3)
        losses = LOSSES.names()
        loss = st.selectbox(
            "Loss", losses, index=losses.index(start.loss.name), key=f"{key}-loss", persist_state="session"
        )
        spec = start.loss if loss == start.loss.name else Spec(loss)
        with st.expander("Loss and schedule"):
            params = _differing(LOSSES.get(loss), spec, f"{key}-loss-{loss}", columns=2)
            values["train"] = _fields(start.train, f"{key}-train", columns=2)
        values["loss"] = {"name": loss, "params": params, "alias": ""}
    return values


def checked(values: dict[str, Any]) -> ExperimentConfig | None:
    """The configuration, or None with an error box that says what to change; nothing typed is lost."""
    try:
        config = ExperimentConfig.from_dict(values | {"seeds": _seeds(values["seeds"])})
        _known(config)
        pick_device(config.device, config.precision)
        return config
    except CompatError as error:
        error_box(error)
        st.button("Start", icon=":material/play_arrow:", disabled=True, key="launch-start-blocked")
        return None


def forecast(config: ExperimentConfig) -> bool:
    """Show the estimate of time and memory; False when the images cannot be used."""
    if config.data.dataset.endswith(":"):
        st.info("Type where your images are above.", icon=":material/folder:")
        return False
    try:
        size = _size(config)
        if size is None:
            st.caption("Estimate: after the download. The first run of this data set fetches it.")
            return True
        past = past_throughput(store(), config)
        basis = f"speed of run {past[1]}" if past else "a few training steps measured just now"
        rate = past[0] if past else _speed(config.new.arch, config.new.dim, size, config.device)
        if rate is None:
            st.warning(
                "No estimate: five training steps took over a minute on this device.", icon=":material/schedule:"
            )
            return True
        guess = estimate(config, size, rate, basis)
    except CompatError as error:
        error_box(error)
        return False
    st.info(
        f"About **{duration(guess.low_s)} to {duration(guess.high_s)}** and **{guess.memory}** of "
        f"memory for {size.train:,} training and {size.test:,} evaluation images. Rough: from {guess.basis}, "
        f"{rate:,.0f} images/s.",
        icon=":material/schedule:",
    )
    if guess.memory.lack:
        st.warning(
            f"That is more memory than the {guess.memory.lack} there are: make the batch or the "
            "images smaller, or choose a smaller backbone.",
            icon=":material/memory:",
        )
    return True


@st.cache_data(max_entries=32, ttl=600, show_spinner="Counting images …")
def _counted(values: dict[str, Any]) -> Size | None:
    return dataset_size(ExperimentConfig.from_dict(values))


def _size(config: ExperimentConfig) -> Size | None:
    return _counted({"data": config.to_dict()["data"]})


@st.cache_data(max_entries=32, show_spinner="Measuring this machine …")
def _speed(arch: str, dim: int, size: Size, device: str) -> float | None:
    return throughput_of_a_child(arch, dim, size, device)


def start_buttons(config: ExperimentConfig, ready: bool) -> None:
    """Queue the experiment, whole or seed by seed; its command line and its file."""
    with st.container(horizontal=True), shown_errors():
        if st.button("Start", type="primary", icon=":material/play_arrow:", disabled=not ready, key="launch-start"):
            run = queue.enqueue(store(), config)
            st.session_state["launched"] = [run.id]
        if len(config.seeds) > 1 and st.button("Start one run per seed", disabled=not ready, key="launch-split"):
            runs = [queue.enqueue(store(), config.replace(seeds=(seed,))) for seed in config.seeds]
            st.session_state["launched"] = [run.id for run in runs]
        st.download_button(
            "Configuration (JSON)", data=json.dumps(config.to_dict(), indent=1), file_name="config.json",
            mime="application/json", key="launch-json", icon=":material/download:", on_click="ignore",
        )  # fmt: skip
    for run_id in st.session_state.get("launched", []):
        st.success(f"Queued as {run_id}.", icon=":material/check:")
        page_link("runs", "Watch it", run=run_id)
    st.caption("The same on the command line")
    st.code(command_line(config), language="bash")
    with st.expander("The configuration, complete"):
        st.json(config.to_dict(), expanded=1)
