"""The folder of all runs: make one, list them, find one by (the beginning of) its id."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import secrets
import shutil
import time
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

from compat_core.errors import CompatError
from compat_core.experiments import files
from compat_core.experiments.run import CONFIG_FILE, META_FILE, STATUS_FILE, Run, RunMeta
from compat_core.experiments.status import RunStatus, this_process

if TYPE_CHECKING:
    from compat_core.experiments.config import ExperimentConfig

__all__ = ["ROOT_VARIABLE", "Run", "RunMeta", "RunStore", "runs_root"]

ROOT_VARIABLE = "COMPATBENCH_RUNS"


def runs_root(root: str | Path | None = None) -> Path:
    """The folder of runs: ``root``, else the environment variable COMPATBENCH_RUNS, else ``./runs``; absolute."""
    return Path(root or os.environ.get(ROOT_VARIABLE) or "runs").expanduser().absolute()


class RunStore:
    """All runs under one folder.

    Args:
        root: the folder; None: the environment variable COMPATBENCH_RUNS, else ``./runs``. Made when the first run is.

    Raises:
        CompatError: when ``root`` is a file.
    """

    def __init__(self, root: str | Path | None = None) -> None:
        self.root = runs_root(root)
        # os.path: Path's own methods raise where a folder above may not be entered.
        if os.path.exists(self.root) and not os.path.isdir(self.root):
            raise CompatError("runs folder", value=str(self.root), rule="is a file", fix="name a folder")

    def create(self, config: ExperimentConfig, title: str | None = None, *, queued: bool = False) -> Run:
        """Make the folder of a new run, complete in one step.

        Args:
            config: what to run.
            title: the run's name for people; None takes the configuration's own.
            queued: put it in the queue (see :mod:`compat_core.experiments.queue`). Otherwise the calling process is
                expected to work on it; when it ends without doing so, the run is ``lost``.

        Raises:
            CompatError: when the folder cannot be written.
        """
        name = config.title if title is None else title
        now = time.time()
        status = RunStatus(state="queued", queued_at=now if queued else None)
        if not queued:
            status = status.replace(**this_process())
        slug = _slug(name) or _slug(config.preset) or _slug(config.data.dataset) or "run"
        draft = self.root / f".new-{secrets.token_hex(6)}"
        try:
            draft.mkdir(parents=True)
        except OSError as error:
            raise CompatError(
                "runs folder", value=str(self.root), rule=f"cannot be written ({error.strerror})", fix="use --runs-dir"
            ) from error
        try:
            files.write_json(draft / CONFIG_FILE, config.to_dict())
            files.write_json(draft / META_FILE, dataclasses.asdict(RunMeta(name=name, created_at=now)))
            files.write_json(draft / STATUS_FILE, status.to_dict())
            stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(now))
            while True:
                path = self.root / f"{stamp}-{slug}-{secrets.token_hex(2)}"
                if not path.exists():  # rename() would replace an empty folder without a word
                    draft.rename(path)
                    return Run(path)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise

    def unreadable(self) -> list[Path]:
        """Folders that may hold a run and that permissions keep closed; the runs folder itself where that is."""
        return files.folders_with(self.root, CONFIG_FILE)[1]

    def list(self) -> list[Run]:
        """All runs, newest first. Folders that are no runs, are closed (see :meth:`unreadable`) or vanish meanwhile are
        passed over."""
        found: list[tuple[float, str, Run]] = []
        for path in files.folders_with(self.root, CONFIG_FILE)[0]:
            run = Run(path)
            try:
                created_at = run.meta.created_at or path.stat().st_mtime
            except (CompatError, FileNotFoundError):
                if not run.exists():
                    continue
                created_at = 0.0  # an unreadable meta.json must not hide the run's results
            found.append((created_at, path.name, run))
        return [run for _, _, run in sorted(found, key=lambda item: item[:2], reverse=True)]

    def get(self, run_id: str) -> Run:
        """The run whose id is ``run_id``, or starts with it when only one does.

        Raises:
            CompatError: when there is none (naming the nearest id) or more than one, and for anything that is not the
                plain name of a folder.
        """
        text = str(run_id)
        if not text or text.startswith(".") or set(text) & set("/\\\0") or Path(text).name != text:
            home, name = os.path.split(os.path.abspath(text))  # only words: whether it is there is nobody's business
            here = home == os.path.abspath(self.root) and not name.startswith(".")
            raise CompatError(
                "run",
                value=text,
                rule="must be an id from the run list, not a path",
                fix=f"write {name}" if here else f"--runs-dir names the folder of runs; {_SEE}",
            )
        if (run := Run(self.root / text)).exists():
            return run
        ids = [run.id for run in self.list()]
        matches = [known for known in ids if known.startswith(text)]
        if len(matches) == 1:
            return Run(self.root / matches[0])
        if matches:
            some = ", ".join(matches[:4]) + (", …" if len(matches) > 4 else "")
            raise CompatError("run", value=text, rule=f"{len(matches)} runs start so ({some})", fix="give more of it")
        close = difflib.get_close_matches(text, ids, n=1, cutoff=0.4)
        fix = f"did you mean {close[0]!r}?" if close else _SEE
        raise CompatError("unknown run", value=text, rule=f"{len(ids)} run(s) in {self.root}", fix=fix)


_SEE = "see: python -m compat_core runs"


def _slug(text: str) -> str:
    """Lower-case letters and digits joined by single dashes, at most 32 of them; safe in file names and URLs."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:32].strip("-")
