"""One run's results in short, its notes and flags, and what it takes to run it again."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from compat_core.data.config import ScenarioConfig
from compat_core.data.splits import biased_classes, rounded
from compat_core.errors import CompatError
from compat_core.experiments.presets import command_line
from compat_core.experiments.run import Run
from compat_core.reports.html import html_report
from compat_core.reports.tables import results_to_format
from compat_core.ui.downloads import download_table
from compat_core.ui.frame import page_link, shown_errors
from compat_core.ui.pickers import is_chain
from compat_core.ui.run_list import DIALOG_OPEN
from compat_core.ui.verdicts import sentences


def results_summary(run: Run) -> None:
    """The verdict sentences, where there are results, with the way to more."""
    results = run.results()
    if not results:
        return
    sentences(results)
    with st.container(horizontal=True):
        page_link("compare", "Compare", run=run.id)
        if not is_chain(run):
            page_link("space", "Space", run=run.id)
            page_link("search", "Search", run=run.id)
    st.caption("All result rows")
    download_table(f"{run.id}-results", "runs-rows", lambda kind: results_to_format(results, kind))
    st.download_button(
        "HTML report", data=lambda: html_report([run]).encode(), file_name=f"{run.id}.html", mime="text/html",
        key="runs-html", icon=":material/description:", on_click="ignore",
    )  # fmt: skip


def notebook(run: Run) -> None:
    """Name, tags and notes, pin, archive, and delete after asking."""
    meta = run.meta
    with st.expander("Name, tags, notes"), st.form(f"notes-{run.id}", border=False):
        name = st.text_input("Name", meta.name)
        tags = st.text_input("Tags", ", ".join(meta.tags), help="short words, separated by commas")
        notes = st.text_area("Notes", meta.notes)
        pinned = st.checkbox("Pin to the top of the list", meta.pinned)
        archived = st.checkbox("Archive (hide from lists)", meta.archived)
        if st.form_submit_button("Save"):
            with shown_errors():
                run.update_meta(name=name, tags=tags.split(","), notes=notes, pinned=pinned, archived=archived)
                st.toast("Saved.")
                st.rerun()  # the list above was drawn before
    if st.button("Delete this run …", icon=":material/delete:", key=f"delete-{run.id}"):
        st.session_state[DIALOG_OPEN] = True
        _confirm_delete(run)


@st.dialog("Delete this run?", on_dismiss="rerun")
def _confirm_delete(run: Run) -> None:
    st.write(f"The folder {run.path} with its models, vectors and results is removed. This cannot be undone.")
    left, right = st.columns(2)
    if left.button("Keep it", key="delete-no", width="stretch"):
        st.rerun()
    if right.button("Delete", key="delete-yes", type="primary", width="stretch", on_click=_delete, args=(run,)):
        st.rerun()


def _delete(run: Run) -> None:
    try:
        run.delete()
        st.toast("Deleted.")
    except CompatError as error:  # still running, or deleted by somebody else
        st.toast(str(error), icon=":material/error:")
    st.query_params.pop("run", None)


def data_card(run: Run) -> None:
    """What was learnt from and what was asked: counts, split, overlap of the classes, checksum."""
    card = (run.results() or {}).get("dataset_card")
    if card:
        with st.expander("Data set"):
            _card(run, card)


def _card(run: Run, card: dict[str, Any]) -> None:
    trained, asked, shared = card["train_classes"], card["test_classes"], card["shared_classes"]
    old = old_model_saw(run.config.scenario, trained)
    lines = {
        "data set": card["title"],
        "images": f"{card['train_images']:,} to train on, {card['test_images']:,} to evaluate on",
        "classes": f"{trained:,} trained, {asked:,} evaluated, {shared:,} in both"
        + (" (open set: evaluated on classes that no model was trained on)" if card["open_set"] else ""),
        "the old model saw": old,
        "image": " × ".join(map(str, card["image_shape"])) + " (channels × height × width), "
        f"augmentation in training: {card['augment']}",
        "split": f"by {card['split']}",
        "checksum": card["checksum"],
    }
    alone = card["test_classes_with_one_image"]
    if alone:
        lines["skipped"] = f"{alone:,} evaluated classes have one image: nothing relevant to find"
    for place, note in enumerate(card["notes"], start=1):
        lines[f"note {place}"] = note
    rows = [{"what": what, "value": value} for what, value in lines.items()]
    st.dataframe(rows, hide_index=True, width="stretch", key="runs-data", alt="The data set of this run")


def old_model_saw(scenario: ScenarioConfig, trained: int) -> str:
    """Which part of the ``trained`` classes and of their images the old model was trained on, in words."""
    if scenario.chain:
        return "of every class " + " → ".join(f"{100 * share:g} %" for share in scenario.chain) + " of the images"
    classes = f"{100 * scenario.old_classes:g} % of the {trained:,} trained classes"
    saw = f"{classes}, {100 * scenario.old_images:g} % of their images"
    kept = np.arange(rounded(scenario.old_classes * trained))  # how many are biased depends on their number alone
    biased = len(biased_classes(kept, scenario))
    share = 100 * scenario.old_images * scenario.biased_images
    return f"{saw}, but of the last {biased:,} of these classes only {share:g} %" if biased else saw


def reproducibility(run: Run) -> None:
    """Seeds, commit, packages, device, command: what somebody else needs."""
    with shown_errors():
        st.caption("The same experiment on the command line")
        st.code(command_line(run.config), language="bash")
        environment = run.environment()
        if environment:
            st.json(environment, expanded=1)
        st.caption("Configuration, complete")
        st.json(run.config_dict(), expanded=1)
