"""The stopwatch: contestants take turns in one process, and what was measured goes to a table and a JSON file."""

from __future__ import annotations

import ctypes
import gc
import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from compat_core.experiments.environment import snapshot

RESULTS = Path(__file__).parent / "results"
MIB = 2**20
ON_GPU = "on-one-GPU"  # ends the name of what a GPU raced: its file lies beside the processor's


@dataclass(frozen=True, slots=True)
class Lap:
    """One contestant in one race.

    Attributes:
        name: of the contestant.
        seconds: median over its turns.
        ratio: to the race's yardstick, taken within each round and then the median; 1.0 for the yardstick itself.
        turns: how often it ran.
        note: what to know beside the number.
    """

    name: str
    seconds: float
    ratio: float
    turns: int
    note: str = ""


@dataclass(slots=True)
class Race:
    """What one race showed.

    Attributes:
        title: of the race.
        yardstick: the contestant that all others are divided by.
        target: what was aimed at, in words.
        laps: by contestant.
        facts: further numbers, such as peak memory.
        notes: where a bound was not met: what the time is spent on, and what was tried.
    """

    title: str
    yardstick: str
    target: str = ""
    laps: list[Lap] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def race(
    title: str,
    contestants: Mapping[str, Callable[[], Any]],
    yardstick: str,
    rounds: int = 3,
    once: Sequence[str] = (),
    target: str = "",
    notes: Mapping[str, str] | None = None,
) -> Race:
    """Let contestants take turns.

    Args:
        title: of the race.
        contestants: name -> what to run. Each runs once before the clock starts, but for those in ``once``.
        yardstick: one of them; ratios are taken within a round, so that a slow minute of the machine hits both.
        rounds: turns of each.
        once: contestants that are too slow for more than one turn.
        target: what was aimed at, in words.
        notes: per contestant.
    """
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for name, run in contestants.items():
        if name not in once:
            run()
    for turn in range(rounds):
        for name, run in contestants.items():
            if turn and name in once:
                continue
            started = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - started)
    found = Race(title, yardstick, target)
    for name, seconds in taken.items():
        ratios = [one / base for one, base in zip(seconds, taken[yardstick], strict=False)]
        note = (notes or {}).get(name, "")
        found.laps.append(Lap(name, statistics.median(seconds), statistics.median(ratios), len(seconds), note))
    show(found)
    return found


def show(found: Race) -> None:
    """Print one race."""
    print(f"\n{found.title}" + (f"  (target: {found.target})" if found.target else ""))
    for lap in found.laps:
        print(f"  {lap.name:44} {lap.seconds:10.4f} s   ×{lap.ratio:<9.3g} {lap.note}")
    for name, value in found.facts.items():
        print(f"  {name}: {value}")
    for note in found.notes:
        print(f"  {note}")


def write(name: str, races: Sequence[Race], growth: Sequence[Mapping[str, Any]] = ()) -> Path:
    """Keep what was measured as ``results/NAME.json``, with the machine and the packages.

    Args:
        name: of the benchmark.
        races: in order.
        growth: entries ``{"what", "unit", "points": [{"n", "seconds", "mib"}], "law"}`` of time against size.
    """
    RESULTS.mkdir(exist_ok=True)
    machine = {key: value for key, value in snapshot().items() if key not in ("command", "git", "device_reason")}
    machine["device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    document = {"races": [asdict(one) for one in races], "growth": list(growth), "machine": machine}
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"\n{path}")
    return path


def grow(what: str, unit: str, sizes: Sequence[int], make: Callable[[int], Callable[[], Any]]) -> dict[str, Any]:
    """Time and memory against size, as :func:`write` takes them.

    Args:
        what: is measured.
        unit: of the sizes, in the plural.
        sizes: ascending.
        make: prepares, and returns what is timed. Each size forks this process, so call this before any torch work:
            threads do not survive a fork.
    """
    points = []
    for size in sizes:  # in a process of its own: memory that a smaller size left behind would be taken for nothing
        context = multiprocessing.get_context("fork")
        answer, its_end = context.Pipe(duplex=False)
        process = context.Process(target=_measured, args=(make, size, its_end))
        process.start()
        its_end.close()
        try:
            points.append({"n": size} | answer.recv())
        except EOFError:
            process.join()
            raise SystemExit(f"{size:,} {unit}: ended with {process.exitcode}") from None
        process.join()
        print(f"  {size:,} {unit}: {points[-1]['seconds']:.2f} s, {points[-1]['mib']:.0f} MiB")
    return {"what": what, "unit": unit, "points": points}


def _measured(make: Callable[[int], Callable[[], Any]], size: int, answer: Connection) -> None:
    """The second of two runs: the first loads and compiles what there is to load and compile."""
    make(size)()
    give_back()
    run = make(size)
    with PeakAbove() as peak:
        started = time.perf_counter()
        run()
        seconds = time.perf_counter() - started
    answer.send({"seconds": seconds, "mib": peak.mib})


def give_back() -> None:
    """Memory that was freed goes back to the system: kept, it would hide what the next run takes."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)


def peak_mib() -> float:
    """The largest memory this process has held so far, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (MIB if sys.platform == "darwin" else 1024)


class PeakAbove:
    """Memory this process reached above what it held before, sampled: ``with PeakAbove() as peak: …; peak.mib``."""

    def __enter__(self) -> PeakAbove:
        import threading

        import psutil

        process = psutil.Process()
        self.before, self.most, self.done = process.memory_info().rss, 0, threading.Event()

        def watch() -> None:
            while not self.done.wait(0.01):
                self.most = max(self.most, process.memory_info().rss)

        self.thread = threading.Thread(target=watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.done.set()
        self.thread.join()

    @property
    def mib(self) -> float:
        """MiB above the start."""
        return max(0, self.most - self.before) / MIB
