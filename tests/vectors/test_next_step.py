"""The command that carries a decision out is one that the command line takes, and does what the option says."""

from pathlib import Path

import numpy as np
import pytest

from compat_core.cli import main
from compat_core.vectors.next_step import next_command
from tests.vectors.worlds import better_new

FILES = {"old": "o.npy", "new": "n.npy", "ids": "i.npy", "side": "s.npy", "images": "p"}


def test_gallery_options_migrate_and_backfills_beside_them_migrate_the_rest():
    plain = next_command("ridge old→new", FILES, Path("out"))
    assert plain[:5] == ["migrate", "--map", str(Path("out/map")), "--adapter", "ridge"]
    assert "--side" not in plain and "--images" not in plain and plain[plain.index("--ids") + 1] == "i.npy"
    assert next_command("ridge old→new + 20 % backfilled (random order)", FILES, Path("out")) == plain


def test_side_information_goes_along_where_the_option_uses_it():
    words = next_command("fct old→new, with side-information", FILES, Path("out"))
    assert words[words.index("--side") + 1] == words[words.index("--vectors-side") + 1] == "s.npy"


@pytest.mark.parametrize("option", ["", "status quo", "full backfill", "rank merge by rank, 20 % backfilled", "slerp"])
def test_nothing_where_no_command_does_it(option):
    assert next_command(option, FILES, Path("out")) == []
    assert next_command("ridge old→new", {}, Path("out")) == [], "a run's vectors have no file"


@pytest.mark.parametrize(("option", "written"), [("ridge old→new", "migrated.npy"), ("ridge new→old", "map")])
def test_the_command_line_takes_it(option, written, tmp_path, capsys):
    given = better_new()
    files = {name: str(tmp_path / f"{name}.npy") for name in ("old", "new", "labels")}
    for name, path in files.items():
        np.save(path, getattr(given, name))
    assert main(next_command(option, files, tmp_path)) == 0
    assert (tmp_path / written).exists()
