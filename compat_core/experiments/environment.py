"""What a run ran on: enough to explain a number that does not come out the same elsewhere."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PACKAGES = (
    "torch", "torchvision", "numpy", "scikit-learn", "scipy", "pandas", "safetensors", "pillow", "pyarrow",
    "faiss-cpu", "faiss-gpu", "numba", "umap-learn", "plotly", "streamlit",
)  # fmt: skip
SOURCE_ROOT = Path(__file__).resolve().parents[2]


def snapshot(device: str = "", reason: str = "") -> dict[str, Any]:
    """Interpreter, machine, packages, commit, device and command line, as plain JSON types.

    Args:
        device: what is computed on, e.g. ``cuda:0``.
        reason: why that device was chosen.
    """
    return {
        "compatbench": _version("compatbench") or _own_version(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": cpu_model(),
        "cpu_cores": os.cpu_count(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "git": git_state(),
        "device": device,
        "device_reason": reason,
        "command": command(),
        "started_at": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def command(argv: list[str] | None = None) -> str:
    """The command line of this process, as ``python -m compat_core …`` where it is one of ours."""
    arguments = sys.argv if argv is None else argv
    if Path(arguments[0]).parent.name == "compat_core":
        return shlex.join(["python", "-m", "compat_core", *arguments[1:]])
    return shlex.join(["python", *arguments])


def cpu_model() -> str:
    """The processor's name, as far as this system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.lower().startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def git_state(folder: Path = SOURCE_ROOT) -> dict[str, Any] | None:
    """``{"commit": …, "dirty": …}`` of the source tree; None when it is not a git checkout of its own.

    A package installed somewhere inside another project's checkout must not report that project's commit, so the
    checkout's top folder has to be ``folder`` itself. ``commit`` is None before the first commit.
    """
    top = _git(folder, "rev-parse", "--show-toplevel")
    if top is None or Path(top).resolve() != folder.resolve():
        return None
    changes = _git(folder, "status", "--porcelain")
    return {
        "commit": _git(folder, "rev-parse", "--verify", "HEAD"),
        "dirty": bool(changes) if changes is not None else None,
    }


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False, timeout=10
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None  # no git here: recorded as None, which is what it means
    return answer.stdout.strip() if answer.returncode == 0 else None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _own_version() -> str:
    from compat_core import __version__

    return __version__
