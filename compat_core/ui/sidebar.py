"""The sidebar of every page: the way to the others, the device and why it was chosen, and what is running."""

from __future__ import annotations

import contextlib

import streamlit as st

from compat_core.device import SMALL_WORK_PX, for_small_images, pick_device
from compat_core.errors import CompatError
from compat_core.experiments import queue
from compat_core.ui.frame import PAGES, page_link, store
from compat_core.ui.pickers import available_runs, duration
from compat_core.ui.words import literal
from compat_core.vectors.jobs import DecisionStore


@st.cache_resource
def served_queue() -> bool:
    """Once per server: wake the queue, so that runs left waiting by a reboot are served, archived ones too."""
    with contextlib.suppress(OSError, CompatError):  # is said below, every few seconds, for as long as a run waits
        queue.wake(store())
    return True


@st.cache_resource
def device_line() -> str:
    """The device new runs use, with the reason."""
    choice = pick_device("auto")
    small = for_small_images(choice, SMALL_WORK_PX, "auto")
    but = f" (float32 for images of up to {SMALL_WORK_PX} px)" if small.autocast != choice.autocast else ""
    return f"**{choice.device}** · {choice.reason}{but}"


def sidebar() -> None:
    """Draw it."""
    with st.sidebar:
        with st.container(gap="xxsmall"):
            for name in PAGES:
                page_link(name)
        st.divider()
        st.caption("Device")
        st.markdown(device_line())
        _activity()
        served_queue()
        _closed_folders()


@st.fragment(run_every="5s")
def _activity() -> None:
    try:
        active = available_runs(store(), ("running", "queued"))
        judging = [job for job in DecisionStore(store().root).list() if job.state == "running"]
        if not active and not judging:
            st.caption("Nothing is running.")
            return
        if any(run.status.state == "queued" for run in active):
            _wake()
        st.caption("Running and waiting")
        for run in active:
            status = run.status
            if status.state == "running":
                left = f", {duration(status.eta_s)} left" if status.eta_s else ""
                st.progress(min(max(status.progress, 0.0), 1.0), text=f"{status.stage}{left}")
            else:
                position = queue.queue_position(store(), run)
                st.caption(f"waiting, place {position}" if position else "waiting")
        if active:
            page_link("runs", "Show runs")
        for job in judging:
            st.caption(f"Judging {literal(job.title)}: {literal(job.steps) or 'reading the vectors'}")
        if judging:
            page_link("vectors", "Show decision")
    except CompatError as error:  # a run folder was deleted meanwhile
        st.caption(str(error))


def _closed_folders() -> None:
    """Name what no list can show because permissions keep it closed."""
    runs = store()
    closed = dict.fromkeys([*runs.unreadable(), *DecisionStore(runs.root).unreadable()])
    if closed:
        st.caption(f"Not readable here, so not listed: {', '.join(f'`{path.name}`' for path in closed)}")


def _wake() -> None:
    """See to it that the queue is served: a dispatcher that was killed, or ended with the machine, leaves it alone."""
    try:
        queue.wake(store())
    except (OSError, CompatError) as error:  # a full disk, or a folder that may not be written
        st.caption(f"The queue cannot be served: {error}")
