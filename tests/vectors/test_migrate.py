"""Migration: the right rows, byte for byte after kill -9, verified, and never out of the wrong space."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from compat_core.adapters import ADAPTERS, Pairs, save_map
from compat_core.errors import CompatError
from compat_core.spec import Spec
from compat_core.vectors import migrate as module
from compat_core.vectors.migrate import SpaceManifest, manifest_path, migrate, read_space, sha256, write_manifest

ROOT = Path(__file__).parents[2]
DIM, OUT_DIM = 12, 9


@pytest.fixture
def fitted():
    rng = np.random.default_rng(0)
    return ADAPTERS.get("ridge").fit(Pairs(rng.standard_normal((200, DIM)), rng.standard_normal((200, OUT_DIM))))


@pytest.fixture
def world(tmp_path, fitted):
    """A map folder and a file of old vectors, several batches long."""
    save_map(fitted, tmp_path / "map", {"old_model": "v1", "new_model": "v2"})
    old = np.random.default_rng(1).standard_normal((3 * module.BATCH_ROWS + 17, DIM)).astype(np.float32)
    np.save(tmp_path / "old.npy", old)
    return tmp_path, old


def run(folder, out="new.npy", **more):
    return migrate(folder / "map", folder / "old.npy", folder / out, **more)


def test_rows_are_mapped_and_described(world, fitted):
    folder, old = world
    told = []
    manifest = run(folder, tell=told.append)
    import torch

    np.testing.assert_allclose(np.load(folder / "new.npy"), fitted(torch.from_numpy(old)).numpy(), atol=1e-5)
    assert (manifest.space, manifest.origin, manifest.rows, manifest.dim) == ("v2", "v1", len(old), OUT_DIM)
    assert manifest.sha256 == sha256(folder / "new.npy") and manifest == read_space(folder / "new.npy")
    assert manifest.source["sha256"] == sha256(folder / "old.npy")
    assert told == sorted(told) and told[-1] == 1.0
    left = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    assert left == ["map", "new.npy", "new.npy.manifest.json", "old.npy"]


class Cut(Exception):
    """Stands for a power cut."""


@pytest.mark.parametrize("after", [1, 2, 3])
@pytest.mark.parametrize("synced", [1, 2, 64])
def test_cut_off_and_resumed_is_byte_for_byte_the_same(world, monkeypatch, after, synced):
    folder, _ = world
    run(folder, "whole.npy")
    monkeypatch.setattr(module, "SYNC_BATCHES", synced)
    with pytest.raises(Cut):
        run(folder, tell=cut_after(after))
    assert not (folder / "new.npy").exists() and not manifest_path(folder / "new.npy").exists()
    with (folder / "new.npy.part").open("ab") as file:
        file.write(b"half a row that the journal does not know of")
    seen = []
    run(folder, tell=seen.append)
    assert sha256(folder / "new.npy") == sha256(folder / "whole.npy")
    assert len(seen) == 4 - (after - after % synced if synced <= after else 0)


def test_killed_with_minus_9_and_resumed(world, monkeypatch):
    folder, _ = world
    monkeypatch.setattr(module, "SYNC_BATCHES", 1)
    run(folder, "whole.npy")
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom compat_core.vectors import migrate as m\n"
        "m.SYNC_BATCHES = 1\nfolder = Path(sys.argv[1])\n"
        "m.migrate(folder / 'map', folder / 'old.npy', folder / 'new.npy', lambda share: time.sleep(0.5))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, str(folder)], cwd=ROOT)
    deadline = time.monotonic() + 60
    journal = folder / "new.npy.journal"
    while not (journal.is_file() and json.loads(journal.read_text())["done"]):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    seen = []
    run(folder, tell=seen.append)
    assert sha256(folder / "new.npy") == sha256(folder / "whole.npy")
    assert len(seen) < 4, "it went on where it was cut off"


def cut_after(batches):
    """Something to tell a share to that gives up after so many batches."""
    left = [batches]

    def cut(share):
        left[0] -= 1
        if not left[0]:
            raise Cut

    return cut


def flip_byte(path, offset):
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize(("damaged", "mapped"), [(0, 4), (1, 3), (2, 2), (None, 1)])
def test_a_damaged_piece_is_written_again(world, monkeypatch, damaged, mapped):
    """One bit, in a row that no sample need meet: the pieces before it are kept, it and those behind it are not."""
    folder, _ = world
    run(folder, "whole.npy")
    monkeypatch.setattr(module, "SYNC_BATCHES", 1)
    with pytest.raises(Cut):
        run(folder, tell=cut_after(3))
    if damaged is not None:
        flip_byte(folder / "new.npy.part", 128 + (damaged * module.BATCH_ROWS + 7) * OUT_DIM * 4)
    seen = []
    run(folder, tell=seen.append)
    assert sha256(folder / "new.npy") == sha256(folder / "whole.npy")
    assert len(seen) == mapped


def test_a_header_of_something_else_is_begun_anew(world, monkeypatch):
    folder, _ = world
    run(folder, "whole.npy")
    monkeypatch.setattr(module, "SYNC_BATCHES", 1)
    with pytest.raises(Cut):
        run(folder, tell=cut_after(2))
    flip_byte(folder / "new.npy.part", 20)
    run(folder)
    assert sha256(folder / "new.npy") == sha256(folder / "whole.npy")


def test_what_the_disk_changed_after_it_was_written_is_found(world, monkeypatch):
    folder, _ = world
    monkeypatch.setattr(module, "_verify", lambda fitted, source, part: flip_byte(part, part.stat().st_size - 3))
    with pytest.raises(CompatError, match="are not what was written"):
        run(folder)
    assert not (folder / "new.npy").exists()
    monkeypatch.undo()
    seen = []
    run(folder, tell=seen.append)
    assert len(seen) == 4 and (folder / "new.npy").exists()


def test_another_source_is_not_resumed_into(world):
    folder, old = world
    with pytest.raises(Cut):
        run(folder, tell=cut_after(1))
    np.save(folder / "old.npy", old + 1)
    run(folder)
    run(folder, "again.npy")
    assert sha256(folder / "new.npy") == sha256(folder / "again.npy")


def test_a_wrong_row_is_found_before_the_file_gets_its_name(world, monkeypatch):
    folder, _ = world
    honest = module._finite

    def faulty(*arguments):
        rows = honest(*arguments)
        rows[:] += 1
        return rows

    monkeypatch.setattr(module, "_finite", faulty)
    with pytest.raises(CompatError, match="differs from its recomputation"):
        run(folder)
    assert not (folder / "new.npy").exists()


def test_side_information_is_streamed_along(tmp_path):
    import torch

    rng = np.random.default_rng(2)
    count = module.BATCH_ROWS + 9
    old, side = (rng.standard_normal((count, dim)).astype(np.float32) for dim in (DIM, 5))
    new = (old[:, :OUT_DIM] + side[:, :1]).astype(np.float32)
    pairs = Pairs(old[:300], new[:300], side=side[:300])
    adapter = ADAPTERS.get("fct")
    fitted = adapter.fit(pairs, adapter.configure(Spec("fct", {"width": 16, "steps": 20})))
    save_map(fitted, tmp_path / "map", {"old_model": "v1", "new_model": "v2"})
    for name, rows in (("old", old), ("side", side), ("short", side[:-1])):
        np.save(tmp_path / f"{name}.npy", rows)
    run(tmp_path, side=tmp_path / "side.npy")
    expected = fitted(torch.from_numpy(old), torch.from_numpy(side)).detach().numpy()
    np.testing.assert_allclose(np.load(tmp_path / "new.npy"), expected, atol=1e-4)
    for more, says in (({}, "wants side-information"), ({"side": tmp_path / "short.npy"}, "a row per vector")):
        with pytest.raises(CompatError, match=says):
            run(tmp_path, "other.npy", **more)


def test_side_information_for_a_map_without_use_for_it_is_refused(world):
    folder, _ = world
    with pytest.raises(CompatError, match="no use for side-information"):
        run(folder, side=folder / "old.npy")


def test_spaces_are_not_mixed(world):
    folder, old = world
    run(folder)
    with pytest.raises(CompatError, match="in the space of v2 already"):
        migrate(folder / "map", folder / "new.npy", folder / "twice.npy")
    write_manifest(folder / "old.npy", SpaceManifest("v0", "v0", len(old), DIM, sha256(folder / "old.npy")))
    with pytest.raises(CompatError, match="space of v0; this map starts from v1"):
        run(folder, "other.npy")
    manifest_path(folder / "old.npy").write_text("{")
    with pytest.raises(CompatError, match="cannot be read"):
        run(folder, "other.npy")
    assert not (folder / "twice.npy").exists() and not (folder / "other.npy").exists()


def test_bad_input_writes_nothing(world):
    folder, old = world
    bad = old.copy()
    bad[module.BATCH_ROWS + 5, 2] = np.nan
    np.save(folder / "nan.npy", bad)
    np.save(folder / "wide.npy", np.zeros((4, DIM + 1), dtype=np.float32))
    (folder / "there.npy").write_bytes(b"")
    cases = [
        ("nan.npy", "new.npy", f"row {module.BATCH_ROWS + 5}"),
        ("wide.npy", "new.npy", "13 dimensions"),
        ("old.npy", "there.npy", "exists already"),
        ("old.npy", "new.bin", "must end in .npy"),
        ("old.npy", "gone/new.npy", "folder does not exist"),
    ]
    for source, out, says in cases:
        with pytest.raises(CompatError, match=says):
            migrate(folder / "map", folder / source, folder / out)
        assert not (folder / "new.npy").exists()
