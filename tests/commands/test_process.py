"""The command line as a process of its own: exit status, closed pipes, and how little it loads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def process(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "compat_core", *arguments],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60, **options,
    )  # fmt: skip


def test_the_process_ends_with_2_and_one_line():
    ended = process("run", "--preset", "demo", "--epohcs", "3")
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert "did you mean --epochs" in ended.stderr


def test_a_closed_pipe_is_no_error(finished):
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-m", "compat_core", "show", finished.id],
        cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
    )  # fmt: skip
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_command_line_and_the_run_list_are_light():
    code = (
        "import sys, compat_core.cli, compat_core.experiments, compat_core.experiments.queue, "
        "compat_core.experiments.worker\n"
        "from compat_core.experiments import RunStore\n"
        "heavy = {'torch', 'numpy', 'pandas', 'streamlit', 'plotly'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
