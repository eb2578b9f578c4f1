"""A run while it is working: progress, time left, losses, results as they arrive, and what can be done to it."""

from __future__ import annotations

import statistics

import streamlit as st

from compat_core.experiments import queue
from compat_core.experiments.advice import BAD_INPUT, BUG
from compat_core.experiments.run import Run
from compat_core.reports.frames import percent_text
from compat_core.reports.training_figures import loss_figure, watch_figure
from compat_core.ui.frame import shown_errors, store
from compat_core.ui.pickers import ago, duration
from compat_core.ui.words import error_box, literal

ACTIVE = ("queued", "running")
STATE_MARKS = {
    "queued": "◷ queued",
    "running": "▶ running",
    "done": "✓ done",
    "failed": "✗ failed",
    "cancelled": "■ cancelled",
    "lost": "? lost",
}


def live_view(run: Run, key: str, *, curves: bool = True) -> None:
    """Follow ``run`` every two seconds while it waits or works; when it ends, the whole page is drawn once more."""
    active = run.status.state in ACTIVE
    st.fragment(_view, run_every="2s" if active else None)(run, key, curves)


def _view(run: Run, key: str, curves: bool) -> None:
    with shown_errors():
        status = run.status
        if status.state not in ACTIVE and st.session_state.get(f"{key}-was-active") == run.id:
            st.session_state.pop(f"{key}-was-active")
            st.rerun()
        if status.state in ACTIVE:
            st.session_state[f"{key}-was-active"] = run.id
        events = _events(run, key)
        training = [event for event in events if event.get("kind") == "train"]
        _headline(run, training)
        if curves and training:
            _curves(events, key)
        results = [event for event in events if event.get("kind") == "result"]
        if results and status.state in ACTIVE:
            rows = [
                {"method": event["method"], "seed": event["seed"]}
                | {cell: percent_text(value) for cell, value in event["values"].items()}
                for event in results
            ]
            st.caption("mAP in %, as evaluated so far")
            st.dataframe(rows, hide_index=True, width="stretch", key=f"{key}-results", alt="mAP per cell so far")


def training_curves(run: Run, key: str) -> None:
    """How the trainings of a run went that is no longer working."""
    events = _events(run, key)
    if any(event.get("kind") == "train" for event in events):
        _curves(events, key)
    else:
        st.caption("Nothing was trained.")


def _curves(events: list[dict], key: str) -> None:
    st.plotly_chart(loss_figure(events), key=f"{key}-loss", width="stretch", alt="Training losses over steps")
    if any(event.get("kind") == "watch" for event in events):
        st.plotly_chart(watch_figure(events), key=f"{key}-watch", width="stretch", alt="mAP over steps")
        st.caption(
            "Among a few hundred of the images that are trained on, after every epoch: to see that a training gets "
            "somewhere. Results are measured on evaluation images, which no training sees."
        )


def _headline(run: Run, training: list[dict]) -> None:
    status = run.status
    if status.state == "queued":
        position = queue.queue_position(store(), run)
        st.info(f"Waiting, place {position} in the queue." if position else "Waiting for its worker to start.")
    elif status.state == "running":
        left = f" · about {duration(status.eta_s)} left" if status.eta_s else ""
        st.progress(min(max(status.progress, 0.0), 1.0), text=f"{status.stage or 'starting'}{left}")
        speed = f" · {training[-1]['images_per_s']:,.0f} images/s" if training else ""
        st.caption(f"on {status.device or '…'}, started {ago(status.started_at)}{speed}")
    elif status.state == "done":
        took = status.finished_at - status.started_at if status.finished_at and status.started_at else None
        speeds = [event["images_per_s"] for event in training]
        speed = f" · trained at {statistics.median(speeds):,.0f} images/s (median)" if speeds else ""
        st.caption(f"{STATE_MARKS['done']} {ago(status.finished_at)} on {status.device}, took {duration(took)}{speed}")
    elif status.state in ("failed", "lost"):
        message = status.error.message if status.error else "its process vanished without a word (killed, or a reboot)"
        error_box(f"{STATE_MARKS[status.state]}: {message}")
        if status.error is None:
            st.info("Resume goes on from its last checkpoint.", icon=":material/lightbulb:")
        else:
            fix = status.error.fix or (BUG if status.error.traceback else BAD_INPUT)
            st.info(f"Suggested: {literal(fix)}", icon=":material/lightbulb:")
    elif status.state == "cancelled":
        st.warning("Cancelled. What was finished is kept; Resume goes on from there.")


def _events(run: Run, key: str) -> list[dict]:
    """All events of the run; only what was written since the last call is read."""
    kept = st.session_state.get(f"{key}-events")
    if not kept or kept[0] != run.id:
        kept = (run.id, [], 0)
    fresh, offset = run.events(kept[2])
    st.session_state[f"{key}-events"] = (run.id, kept[1] + fresh, offset)
    return kept[1] + fresh


def controls(run: Run, key: str) -> None:
    """Cancel, resume and retry, whichever the run's state allows."""
    state = run.status.state
    with st.container(horizontal=True), shown_errors():
        if state in ACTIVE and st.button("Cancel", icon=":material/stop:", key=f"{key}-cancel"):
            queue.cancel(run)
            st.toast("Asked to stop; it ends at its next step.")
            st.rerun()
        resumable = state in queue.RESUMABLE or run.has_damaged_results()
        if resumable and st.button("Resume", icon=":material/play_arrow:", key=f"{key}-resume"):
            queue.resume(store(), run)
            st.rerun()
        if state not in ACTIVE and st.button("Run again as a new run", icon=":material/replay:", key=f"{key}-retry"):
            st.query_params["run"] = queue.retry(store(), run).id
            st.rerun()
