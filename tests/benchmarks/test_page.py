"""The performance page is what the kept results say; the stopwatch and the fitted growth do what they claim."""

import json
import os
import time

import numpy as np
import pytest

from benchmarks import page
from benchmarks.race import RESULTS, grow, race


def test_the_page_in_docs_is_rendered_from_the_kept_results():
    assert page.PAGE.read_text(encoding="utf-8") == page.page(), "run python -m benchmarks.page"


def test_every_kept_result_has_a_section():
    assert {path.stem.partition("-")[0] for path in RESULTS.glob("*.json")} <= set(page.TITLES)
    headings = [line for line in page.page().splitlines() if line.startswith("## ")]
    assert len(headings) == len(set(headings)) == len(list(RESULTS.glob("*.json")))


def test_power_law_and_paper():
    sizes = [10, 100, 1000, 10_000]
    law = page.power_law(sizes, [3e-4 * size**1.5 for size in sizes])
    assert law == pytest.approx((3e-4, 1.5))
    assert page.at(law, 1e6) == pytest.approx(3e5)
    assert [page.duration(seconds) for seconds in (3, 110, 150, 3e4, 3e6, 1e9)] == [
        "3 seconds", "110 seconds", "2 minutes", "8 hours", "35 days", "32 years",
    ]  # fmt: skip


def curve(mib):
    return {"what": "it", "unit": "items", "points": [
        {"n": 1000 * 2**step, "seconds": 2.0**step, "mib": here} for step, here in enumerate(mib)
    ]}  # fmt: skip


def test_memory_is_put_on_paper_only_where_it_grows():
    assert "Memory grows as items^1.00: 98 GiB for 10,000,000, 977 GiB" in page.growth(curve([10, 20, 40, 80]))[-1]
    for noise in ([1, 0, 215, 342, 300], [0, 0, 0, 0.2], [60, 50, 4, 400]):
        found = page.growth(curve(noise))[-1]
        assert "follows no law" in found and "GiB" not in found
        assert f"{max(*noise, 1):,.0f} MiB" in found


def test_every_size_is_measured_in_a_process_of_its_own(capsys):
    home, held = os.getpid(), []

    def make(size):
        assert os.getpid() != home

        def run():
            held.append(np.ones(size * 2**17))  # kept, as a pool of memory would be
            time.sleep(0.03)

        return run

    points = grow("it", "MiB", [1, 32, 64], make)["points"]
    assert [point["n"] for point in points] == [1, 32, 64]
    assert [point["mib"] for point in points] == pytest.approx([1, 32, 64], abs=4)
    assert not held and "  64 MiB: 0." in capsys.readouterr().out
    with pytest.raises(SystemExit, match="5 items: ended with 3"):
        grow("it", "items", [5], lambda size: os._exit(3))


def test_contestants_take_turns_and_slow_ones_run_once(capsys):
    runs = []
    found = race(
        "a race", {"one": lambda: runs.append("one"), "two": lambda: (runs.append("two"), time.sleep(0.01))}, "one",
        rounds=2, once=["two"], target="fast",
    )  # fmt: skip
    assert runs == ["one", "one", "two", "one"]
    assert [lap.turns for lap in found.laps] == [2, 1] and found.laps[0].ratio == 1.0 and found.laps[1].ratio > 1
    assert "a race" in capsys.readouterr().out


def test_results_are_small_and_name_the_machine():
    for path in RESULTS.glob("*.json"):
        assert path.stat().st_size < 100_000
        machine = json.loads(path.read_text(encoding="utf-8"))["machine"]
        assert machine["packages"]["torch"] and machine["cpu"]
