"""Migration of vectors on disk: out of core, killed with kill -9 half-way, resumed, compared byte for byte."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.race import Lap, Race, show, write
from compat_core.adapters import ADAPTERS, Pairs, save_map
from compat_core.vectors.migrate import sha256

SCRIPT = """
import re, sys
from pathlib import Path
from compat_core.vectors.migrate import migrate
migrate(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
# not ru_maxrss, which counts what the process that started this one held
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024, flush=True)
"""


def start(folder: Path, out: Path) -> subprocess.Popen[str]:
    """A migration in a process of its own."""
    command = [sys.executable, "-c", SCRIPT, str(folder / "map"), str(folder / "old.npy"), str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> int:
    """Wait; peak memory in MiB."""
    printed, _ = process.communicate()
    if process.returncode:
        raise RuntimeError("the migration failed")
    return int(printed.split()[-1])


def main() -> None:
    """Make the file, migrate it, kill one migration, resume it, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--dim", type=int, default=256)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng(0)
        stored = np.lib.format.open_memmap(folder / "old.npy", "w+", np.float32, (arguments.rows, arguments.dim))
        for begin in range(0, arguments.rows, 100_000):
            rows = min(100_000, arguments.rows - begin)
            stored[begin : begin + rows] = rng.standard_normal((rows, arguments.dim), dtype=np.float32)
        stored.flush()
        pairs = np.array(stored[:5_000])
        del stored
        fitted = ADAPTERS.get("ridge").fit(Pairs(pairs, pairs[:, ::-1]))
        save_map(fitted, folder / "map", {"old_model": "v1", "new_model": "v2"})
        started = time.perf_counter()
        peak = finish(start(folder, folder / "whole.npy"))
        seconds = time.perf_counter() - started
        expected = sha256(folder / "whole.npy")
        (folder / "whole.npy").unlink()
        process = start(folder, folder / "cut.npy")
        journal, done = folder / "cut.npy.journal", 0
        while done < 0.4 * arguments.rows:
            if process.poll() is not None:
                raise RuntimeError("ended before it could be killed")
            time.sleep(0.05)
            if journal.is_file():
                done = json.loads(journal.read_text())["done"]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        started = time.perf_counter()
        resumed_peak = finish(start(folder, folder / "cut.npy"))
        resumed = time.perf_counter() - started
        same = sha256(folder / "cut.npy") == expected
        found = Race(
            f"Migration of {arguments.rows:,} × {arguments.dim} float32 vectors on disk, ridge map", "uninterrupted",
            "under 1,000 MiB, byte-identical after kill -9",
            [
                Lap("uninterrupted", seconds, 1.0, 1, f"{arguments.rows / seconds:,.0f} rows/s, all checks included"),
                Lap("resumed after kill -9", resumed, resumed / seconds, 1, f"{done:,} rows were already written"),
            ],
            {
                "peak memory, MiB": max(peak, resumed_peak),
                "byte-identical to the uninterrupted file": "yes" if same else "NO",
            },
        )  # fmt: skip
        show(found)
        if not same:
            raise RuntimeError("the resumed file differs")
    write("migration", [found])


if __name__ == "__main__":
    main()
