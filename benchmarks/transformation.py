"""Closed-form adapters on a million pairs, streaming from disk, against doing it in one go."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from benchmarks.race import PeakAbove, Race, race, write
from compat_core.adapters import ADAPTERS, Pairs

PAIRS, DIM = 1_000_000, 128


def adapters() -> Race:
    """Ridge by numpy in memory is the yardstick: the same normal equations, every vector loaded."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng(0)
        turn = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0].astype(np.float32)
        for side in ("old", "new"):
            np.lib.format.open_memmap(folder / f"{side}.npy", "w+", np.float32, (PAIRS, DIM)).flush()
        old, new = (np.load(folder / f"{side}.npy", mmap_mode="r+") for side in ("old", "new"))
        for begin in range(0, PAIRS, 100_000):
            part = rng.standard_normal((100_000, DIM), dtype=np.float32)
            old[begin : begin + 100_000] = part
            new[begin : begin + 100_000] = part @ turn + 0.1 * rng.standard_normal(part.shape, dtype=np.float32)
        old.flush()
        new.flush()

        def in_memory() -> None:
            source, target = (np.array(np.load(folder / f"{side}.npy")) for side in ("old", "new"))
            source, target = source - source.mean(axis=0), target - target.mean(axis=0)
            np.linalg.solve(source.T @ source + np.eye(DIM, dtype=np.float32), source.T @ target)

        def fit(name: str) -> None:
            pairs = Pairs(*(np.load(folder / f"{side}.npy", mmap_mode="r") for side in ("old", "new")))
            ADAPTERS.get(name).fit(pairs)

        names = [adapter.name for adapter in ADAPTERS if adapter.closed_form]
        contestants = {"ridge by numpy, everything in memory": in_memory}
        contestants |= {f"{name}, streaming": lambda name=name: fit(name) for name in names}  # type: ignore[misc]
        found = race(
            f"Closed-form adapters on {PAIRS:,} pairs × {DIM}, float64 sums", contestants,
            "ridge by numpy, everything in memory", 2, target="seconds, streaming",
        )  # fmt: skip
        with PeakAbove() as peak:
            fit("ridge")
        what = "memory above the start while ridge streams, MiB, the 977 MiB of mapped files among it"
        found.facts[what] = round(peak.mib)
    return found


def main() -> None:
    """All races of this file."""
    write("transformation", [adapters()])


if __name__ == "__main__":
    main()
