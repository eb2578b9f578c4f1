"""Migrate, on the Vectors page: fit the adapter that was judged and rewrite the old vectors through it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from compat_core.experiments.background import BackgroundProcess
from compat_core.reports.frames import percent_text, points_text
from compat_core.ui.frame import shown_errors
from compat_core.vectors import next_step
from compat_core.vectors.jobs import DecisionJob
from compat_core.vectors.migrate import manifest_path
from compat_core.vectors.options import GALLERY

DOWNLOAD_BYTES = 500 * 2**20


@dataclass(frozen=True, slots=True)
class _Migration:
    """One adapter's migration of the old vectors, under way, done, or not begun; ``row`` is its option's line."""

    job: DecisionJob
    row: Mapping[str, Any]

    @property
    def adapter(self) -> str:
        return str(self.row["name"]).partition(next_step.FORWARD)[0]

    @property
    def side(self) -> bool:
        return not str(self.row["name"]).endswith(next_step.FORWARD)

    @property
    def slug(self) -> str:
        return f"{self.adapter}-side" if self.side else self.adapter

    @property
    def out(self) -> Path:
        return self.job.path / f"migrated-{self.slug}.npy"

    @property
    def process(self) -> BackgroundProcess:
        return self.job.process_named(f"migrate-{self.slug}")

    def start(self, given: Mapping[str, str], config: Mapping[str, Any]) -> None:
        """Fit the judged map and migrate in a process of its own; ``given`` are the decision's files by option."""
        self.process.start(
            next_step.migration(str(self.row["name"]), given, config, self.job.path / f"map-{self.slug}", self.out)
        )


def migrate(job: DecisionJob, decided: Mapping[str, Any], studies: Mapping[str, Any]) -> None:
    """What was migrated, what is being migrated, and the choice of an adapter to migrate with."""
    st.subheader("Migrate")
    given = job.files
    if not {"old", "new"} <= set(given):
        st.caption("A decision about a run's vectors has no file to migrate.")
        return
    rows = [row for row in decided["rows"] if row["kind"] == GALLERY and next_step.FORWARD in row["name"]]
    migrations = {row["name"]: _Migration(job, row) for row in rows}
    for migration in migrations.values():
        if migration.out.is_file():
            _offered(migration)
    for migration in migrations.values():
        if migration.process.is_running:
            _migrating(migration)
            return
    for migration in migrations.values():
        if not migration.out.is_file() and migration.process.last_words() is not None:
            name = migration.row["name"]
            st.error(f"The migration with {name} was not finished; started again, it goes on where it stopped.")
            st.code(migration.process.last_words(), language=None, wrap_lines=True)
    waiting = {name: one for name, one in migrations.items() if not one.out.is_file()}
    if waiting:
        _choose(waiting, decided, studies, given, again=len(waiting) < len(migrations))


def _choose(
    waiting: Mapping[str, _Migration],
    decided: Mapping[str, Any],
    studies: Mapping[str, Any],
    given: Mapping[str, str],
    again: bool,
) -> None:
    metric = decided["config"]["metric"]
    names = sorted(waiting, key=lambda name: -(waiting[name].row["values"][metric]["value"] or 0.0))
    # What migrates the rest beside a recommended part backfill, else the map chosen on the validation items.
    wanted = ((decided["recommended"] or decided["closest"]).partition(next_step.JOINED)[0], studies.get("plan_map"))
    best = next((name for name in wanted if name in names), names[0])

    def described(name: str) -> str:
        row = waiting[name].row
        value = percent_text(row["values"][metric]["value"])
        return f"{name} · {metric} {value} % · {points_text(row['gain'][metric]['value'])} points over the status quo"

    option = st.selectbox(
        "Another adapter, old → new" if again else "Adapter, old → new", names, index=names.index(best),
        format_func=described, help="fitted on the pairs it was judged with, then every old vector goes through it",
    )  # fmt: skip
    if (waiting[option].row["gain"][metric]["value"] or 0.0) < 0:
        st.warning(
            f"{option} lies below the status quo: with it the new model finds less in the migrated vectors than the "
            "old model finds in the old ones.",
            icon=":material/warning:",
        )
    if st.button(
        f"Fit {waiting[option].adapter} and migrate the old vectors", icon=":material/move_up:", key="migrate-start"
    ):
        waiting[option].start(given, decided["config"])
        st.rerun()


def _offered(migration: _Migration) -> None:
    """A migrated file and its manifest to take along."""
    st.success(f"Migrated with {migration.row['name']}: {migration.out}", icon=":material/check_circle:")
    with st.container(horizontal=True):
        for path, mime in (
            (migration.out, "application/octet-stream"), (manifest_path(migration.out), "application/json"),
        ):  # fmt: skip
            if path.stat().st_size <= DOWNLOAD_BYTES:
                st.download_button(
                    path.name, data=path.read_bytes, file_name=path.name, mime=mime, key=f"get-{path.name}",
                    icon=":material/download:", on_click="ignore",
                )  # fmt: skip


@st.fragment(run_every="2s")
def _migrating(migration: _Migration) -> None:
    with shown_errors():
        if not migration.process.is_running:
            st.rerun()
        heard = (migration.process.last_words() or "").splitlines()
        now = heard[-1] if heard else ""
        st.info(f"Migrating with {migration.row['name']} … {now} It goes on when you leave this page.")
