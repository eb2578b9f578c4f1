"""The form of the Vectors page: where vectors come from, how options are judged, and what things cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import streamlit as st

from compat_core.adapters import ADAPTERS
from compat_core.errors import CompatError
from compat_core.ui.forms import config_fields
from compat_core.ui.frame import store
from compat_core.ui.pickers import available_runs, follow_choice, in_address, is_chain, run_title, to_address, touched
from compat_core.ui.words import error_box, literal
from compat_core.vectors.bill import CostConfig
from compat_core.vectors.decision_config import DecisionConfig
from compat_core.vectors.jobs import DecisionJob, DecisionStore
from compat_core.vectors.peek import InputFile, column_choices, peek_errors

UPLOADS = {
    "old": "Old vectors, one row per item",
    "new": "New vectors, in the same order",
    "labels": "A label per item (optional)",
}
SUFFIXES = ["npy", "npz", "parquet", "csv"]
# option -> (label, what it is good for, kinds of file that may be uploaded)
MORE = {
    "ids": ("Ids of the old rows", "with those of the new rows, rows are matched by id instead of by order", SUFFIXES),
    "new-ids": ("Ids of the new rows", "with those of the old rows, rows are matched by id", SUFFIXES),
    "qrels": ("Relevance judgements", "'query 0 item relevance' per line, by id; instead of labels", ["txt", "qrels"]),
    "side": ("Side-information", "vectors stored beside the old ones; FCT and FastFill use them", SUFFIXES),
    "weights": ("How often each item is asked for", "orders the backfill plan", SUFFIXES),
    "ages": ("Age of each item", "a number or date, larger is newer: who gets worse?", SUFFIXES),
    "group": ("A group per item", "shop, language, camera: who gets worse?", SUFFIXES),
    "images": (
        "Pictures",
        "a .zip or folder of files named by id, or in the items' order; or uint8 (N, H, W[, C])",
        ["npy", "zip"],
    ),
}
MORE_COLUMNS = 4
SOURCES = {"upload": "Upload files", "paths": "Files on this machine", "run": "A finished run"}
UPLOAD_MB = 1000
OPEN, STARTED = "vectors-bring", "vectors-started"  # keys of the session: is the form open, and was it just sent off


def decisions() -> DecisionStore:
    """The decisions this app shows, beside its runs."""
    return DecisionStore(store().root)


def new_decision() -> None:
    """The form in an expander, open while there is nothing to show and closed once a decision has been started."""
    if st.session_state.pop(STARTED, False):
        st.session_state[OPEN] = False
    st.session_state.setdefault(OPEN, not decisions().list())
    with st.expander("Bring vectors", icon=":material/upload_file:", key=OPEN, on_change="rerun"):
        _form()


def _form() -> None:
    how = st.segmented_control(
        "Where they are", list(SOURCES), default="upload", required=True, format_func=SOURCES.__getitem__,
        key="vectors-source",
    )  # fmt: skip
    uploads: dict[str, InputFile] = {}
    if how == "run":
        arguments, title = _of_run()
        ready = bool(arguments)
    else:
        files = _fields(_upload if how == "upload" else _path)
        ready = _shown_faults(files) and {"old", "new"} <= set(files)
        title = " → ".join(files[name].file.name for name in ("old", "new") if name in files)
        arguments = []
        for option, field in files.items():
            if isinstance(field.file.content, bytes):
                uploads[field.argument] = field.file
            else:
                _, named, group = field.argument.partition("=")
                arguments += [f"--{option}", f"{group}={field.file.spec}" if named else str(field.file.spec)]
    config = _settings()
    st.caption(
        "Adapters are fitted on one part of the items and every option is judged on another. Without labels the new "
        "model's own neighbours are the truth: that shows how well an option imitates the new model, not whether the "
        "new model is better."
    )
    if st.button(
        "Judge every option", type="primary", icon=":material/balance:", key="vectors-start", disabled=not ready
    ):
        job = decisions().create(title, [*arguments, *config], uploads)
        job.start()
        st.session_state["decision-choice"] = job.id
        st.session_state[STARTED] = True
        to_address("decision", job.id)
        st.rerun()


def pick_decision() -> DecisionJob | None:
    """A select box of all decisions, kept in the address; None while there is none."""
    jobs = {job.id: job for job in decisions().list()}
    if not jobs:
        st.info("No decision yet: bring two files of vectors above, or take the vectors of a finished run.")
        return None
    states = {name: job.state for name, job in jobs.items()}
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    with left:
        chosen = st.selectbox(
            "Decision", list(jobs), key=in_address("decision", list(jobs)),
            format_func=lambda name: f"{jobs[name].title} · {jobs[name].created} · {states[name]}",
            on_change=touched, args=("decision",),
        )  # fmt: skip
    unfinished = [job for name, job in jobs.items() if states[name] in ("failed", "cancelled")]
    if unfinished:
        with right, st.popover(f"{len(unfinished)} not finished", icon=":material/delete:"):
            st.write("Failed and cancelled decisions are removed for good, uploads included.")
            if st.button("Remove them", key="decisions-clean"):
                for job in unfinished:
                    job.delete()
                st.rerun()
    follow_choice("decision", chosen)
    return jobs[chosen]


@dataclass(frozen=True, slots=True)
class _Field:
    """One file that was given: its option with what comes before the file, as in ``group=NAME``, and where its faults
    are shown."""

    argument: str
    file: InputFile
    below: Any


def _fields(ask: Callable[[str, str, str, list[str]], InputFile | None]) -> dict[str, _Field]:
    """Ask for every file, the main ones side by side; those given, by option."""
    found: dict[str, _Field] = {}
    for column, (name, label) in zip(st.columns(len(UPLOADS)), UPLOADS.items(), strict=True):
        with column:
            file = ask(name, label, "", SUFFIXES)
            if file is not None:
                found[name] = _Field(name, _with_column(name, file), st.container())
    with st.expander("More about the items (optional)"):
        for name, (label, use, kinds) in _more():
            file = ask(name, label, use, kinds)
            if file is not None:
                file = _with_column(name, file)
                found[name] = _Field(_group(file) if name == "group" else name, file, st.container())
    return found


def _with_column(option: str, file: InputFile) -> InputFile:
    """The file with the column that is meant, asked for where several could be."""
    names = column_choices(option, file)
    if not names:
        return file
    return replace(file, column=st.selectbox(f"Column of {literal(file.name)}", names, key=f"vectors-column-{option}"))


def _shown_faults(files: Mapping[str, _Field]) -> bool:
    """Say below each field what is wrong with its file; True where nothing is."""
    faults = peek_errors({option: field.file for option, field in files.items()})
    for option, sentence in faults.items():
        files[option].below.error(literal(sentence), icon=":material/error:")
    return not faults


def _upload(name: str, label: str, use: str, kinds: list[str]) -> InputFile | None:
    upload = st.file_uploader(
        label, type=kinds, key=f"vectors-{name}", max_upload_size=UPLOAD_MB, help=use or None
    )  # fmt: skip
    return None if upload is None else InputFile(upload.name, upload.getvalue())


def _path(name: str, label: str, use: str, kinds: list[str]) -> InputFile | None:
    example = "/path/to/items.csv" if use else "/path/to/vectors.npy"
    help_text = use or "on the machine this app runs on; nothing is copied"
    spec = st.text_input(label, key=f"vectors-path-{name}", placeholder=example, help=help_text).strip()
    return InputFile.at(spec) if spec else None


def _more() -> Iterator[tuple[str, tuple[str, str, list[str]]]]:
    """The optional files, each within its column."""
    columns = st.columns(MORE_COLUMNS)
    for place, item in enumerate(MORE.items()):
        with columns[place % MORE_COLUMNS]:
            yield item


def _group(file: InputFile) -> str:
    """``group=NAME``, as the command line takes it; asked for beside its file."""
    called = file.column or "group"
    name = st.text_input("What the groups are", called, key=f"vectors-group-{called}", help="a word for tables").strip()
    return f"group={name.replace('=', ' ') or 'group'}"


def _of_run() -> tuple[list[str], str]:
    runs = {run.id: run for run in available_runs(store()) if not is_chain(run)}
    if not runs:
        st.info("No finished run yet: start the demo on the Start page.")
        return [], ""
    left, right = st.columns([3, 1])
    with left:
        name = st.selectbox("Run", list(runs), format_func=lambda one: run_title(runs[one]), key="vectors-run")
    try:
        seeds = list(runs[name].config.seeds)
    except CompatError as error:
        error_box(error)
        return [], ""
    with right:
        seed = st.selectbox("Seed", seeds, key="vectors-run-seed")
    st.caption(
        "Adapters are fitted on its training images and judged on its evaluation images; its methods stand in the same "
        "table, with the numbers of the Compare page when all evaluation images are judged."
    )
    place = ["--runs-dir", str(store().root)]
    return ["--run", name, "--seed", str(seed), *place], run_title(runs[name])


def _settings() -> list[str]:
    """Changed settings as command line arguments."""
    arguments: list[str] = []
    with st.expander("How options are judged"):
        names = st.multiselect(
            "Adapters", ADAPTERS.names(), key="vectors-adapters", placeholder="all that the data allow",
            format_func=lambda name: ADAPTERS.get(name).title,
        )  # fmt: skip
        if names:
            arguments += ["--adapters", ",".join(names)]
        default = DecisionConfig()
        values = config_fields(default, "vectors-config", skip=("resamples", "seed"), columns=3)
        arguments += _changed(default, values)
    items = st.number_input(
        "Items in production", 1, value=None, key="vectors-items", placeholder="as many as vectors are given",
        help="what the bill is for; it can be changed afterwards",
    )  # fmt: skip
    if items:
        arguments += ["--items", str(items)]
    with st.expander("What things cost"):
        costs = CostConfig()
        arguments += _changed(
            costs, config_fields(costs, "vectors-costs", skip=("items", "mapped_per_s", "cpu_price"), columns=4)
        )
        st.caption("Everything can be changed afterwards too: the bill is worked out anew, nothing is judged again.")
    return arguments


def _changed(default: Any, values: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for field in fields(default):
        if field.name in values and values[field.name] != getattr(default, field.name):
            found += [f"--{field.name.replace('_', '-')}", f"{values[field.name]}"]
    return found
