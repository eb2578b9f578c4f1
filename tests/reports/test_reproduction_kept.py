"""The reproduction page in docs is what its kept results say, and those are small, complete and free of local paths."""

import re
from pathlib import Path

import pytest

from compat_core.commands.reproduction import FOLDER, PAGE, read
from compat_core.reports.claims import CLAIMS
from compat_core.reports.reproduction_page import page

ROOT = Path(__file__).parents[2]
KEPT = sorted((ROOT / FOLDER).glob("*.json"))


def test_the_page_is_rendered_from_the_kept_results():
    written = (ROOT / PAGE).read_text(encoding="utf-8")
    assert written == page([read(path) for path in KEPT]), "run python -m compat_core reproduction"


def test_every_claim_is_on_the_page():
    written = (ROOT / PAGE).read_text(encoding="utf-8")
    for claim in CLAIMS:
        assert claim.statement in written


def test_every_finding_is_counted_in_its_setting_and_shown_below():
    first, second = read(KEPT[0]), read(KEPT[-1])
    written = page([first, second])
    for claim in CLAIMS:
        found = [entry for one in (first, second) for entry in one["findings"] if entry["claim"] == claim.name]
        (line,) = [line for line in written.splitlines() if line.startswith(f"| {claim.statement}")]
        cells = line.strip("| ").split(" | ")[2:]
        assert sum(int(count) for cell in cells for count in re.findall(r"[✓✗?] (\d+)", cell)) == len(found)
        for entry in found:
            assert f"| {entry['outcome']} | {entry['what']} | " in written


def test_a_kept_run_that_cannot_speak_to_a_claim_is_named_there():
    first = read(KEPT[0])
    silent = first | {"passed_over": [{"claim": "side-information-helps", "why": "no lists"}]}
    line = f"not judged | no lists | – | {first['title']} | {first['budget']}"
    said = [line in page([one]) for one in (first, silent)]
    assert said == [False, True]


def test_a_claim_that_a_kept_run_was_never_asked_is_not_called_untested():
    first, speechless = read(KEPT[0]), {"findings": [], "passed_over": []}
    claim = CLAIMS.get("chain-two-steps")
    asked, unasked = first | speechless | {"asked": [claim.name]}, first | speechless | {"asked": []}

    def outcome(*kept):
        (line,) = [line for line in page(kept).splitlines() if line.startswith(f"| {claim.statement}")]
        return line.split(" | ")[1]

    assert outcome(unasked, unasked) == "**not asked**"
    assert outcome(asked, asked) == "**not tested**"
    assert outcome(asked, unasked, unasked) == "**not tested**, not asked of 2 of 3 runs"
    assert outcome(first) == "**not tested**", "kept before files named their claims"
    silent = unasked | {"passed_over": [{"claim": claim.name, "why": "no lists"}]}
    assert outcome(silent) == "**not tested**", "it was asked, or it could not have been passed over"


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_kept_results_are_small_and_name_no_local_path(path):
    assert path.stat().st_size < 500_000
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"""["':= ]/[a-z]+/""", text), "an absolute path"


def test_a_shift_between_the_two_parts_is_said_of_the_runs_that_have_it():
    kept = [read(path) for path in KEPT]
    said = ["times as sharp as its training images" in page([one]) for one in kept]
    assert said == [one["dataset_card"].get("sharpness") is not None for one in kept]
    assert 1 < sum(said) < len(kept)


def test_three_seeds_of_photographs_and_of_characters():
    seeds = {path.stem: len(read(path)["config"]["seeds"]) for path in KEPT}
    assert max((count for name, count in seeds.items() if "tiny" in name), default=0) >= 3
    assert max((count for name, count in seeds.items() if "omniglot" in name), default=0) >= 3
