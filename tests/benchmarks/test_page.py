"""The performance page is what the kept results say; the stopwatch and the fitted growth do what they claim."""

import json
import time

import pytest

from benchmarks import page
from benchmarks.race import RESULTS, race


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
