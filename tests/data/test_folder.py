"""folder:PATH on trees of every shape, with files of every kind, good and bad."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from compat_core.data import DataConfig, Dataset, load_dataset
from compat_core.data import decode as decode_module
from compat_core.errors import Cancelled, CompatError

MakeTree = Callable[..., Path]


def load(root: Path, **options: object) -> Dataset:
    return load_dataset(DataConfig(dataset=f"folder:{root}", **options))  # type: ignore[arg-type]


def ids(data: Dataset) -> list[str]:
    return sorted([*data.train.ids.tolist(), *data.test.ids.tolist()])


def test_plain_layout(make_tree: MakeTree) -> None:
    data = load(make_tree({"dog": 8, "cat": 4}))
    assert (data.name, data.split, data.augment) == ("tree", "instances", "crop-flip")
    assert data.train.class_names == ("cat", "dog")
    assert (len(data.train), len(data.test)) == (8, 4)
    assert data.train.images.shape[1:] == (3, 12, 12)
    assert ids(data)[0] == "cat/000.png"
    for part in (data.train, data.test):
        for index, name in enumerate(part.ids):
            stored = np.asarray(Image.open(make_tree({}) / name)).transpose(2, 0, 1)
            assert (part.images[index].numpy() == stored).all()
            assert name.startswith(part.class_names[int(part.labels[index])])


@pytest.mark.parametrize("test_name", ["test", "val", "valid", "validation", "Val"])
def test_split_layout(make_tree: MakeTree, test_name: str) -> None:
    make_tree({"a": 3, "b": 3}, under="train")
    root = make_tree({"b": 2, "c": 2}, under=test_name)
    data = load(root)
    assert data.split == "given"
    assert data.train.class_names == data.test.class_names == ("a", "b", "c")
    assert (data.train.present.tolist(), data.test.present.tolist()) == ([0, 1], [1, 2])
    assert all(name.startswith("train/") for name in data.train.ids)
    assert all(name.startswith(f"{test_name}/") for name in data.test.ids)
    assert any("1 class(es)" in note and "do not occur in training" in note for note in data.notes)


def test_unlabelled_test_folder_gives_way_to_val(make_tree: MakeTree) -> None:
    make_tree({"a": 3, "b": 3}, under="train")
    make_tree({"images": 3}, under="test")
    data = load(make_tree({"a": 2, "b": 2}, under="val"))
    assert all(name.startswith("val/") for name in data.test.ids)
    assert any("not used: test" in note for note in data.notes)


def test_train_folder_alone_is_the_root(make_tree: MakeTree) -> None:
    data = load(make_tree({"a": 4, "b": 4}, under="train"))
    assert (data.train.class_names, data.split) == (("a", "b"), "instances")


def test_train_may_be_a_class(make_tree: MakeTree) -> None:
    assert load(make_tree({"train": 4, "bus": 4, "test": 4})).train.class_names == ("bus", "test", "train")


def test_nested_hidden_odd_and_foreign_files(make_tree: MakeTree) -> None:
    root = make_tree({"a": 4, "b ü % #": 4})
    (root / "a" / "deep" / "deeper").mkdir(parents=True)
    one = Image.open(root / "a" / "000.png")
    one.save(root / "a" / "deep" / "deeper" / "x.PNG")
    one.save(root / "a" / ".hidden.png")
    one.save(root / "loose.png")
    (root / ".git").mkdir()
    one.save(root / ".git" / "x.png")
    (root / "a" / "readme.txt").write_text("no image")
    (root / "empty").mkdir()
    one.save(root / "a" / "con:aux?.png")
    data = load(root)
    assert len(ids(data)) == 10
    assert {"a/deep/deeper/x.PNG", "a/con:aux?.png"} <= set(ids(data))
    assert any("1 folder(s) without images were ignored: empty" in note for note in data.notes)
    assert any("1 image(s) outside class folders were ignored: loose.png" in note for note in data.notes)


@pytest.mark.parametrize("under", ["", "train"])
def test_hidden_class_folders_with_images_are_named(make_tree: MakeTree, under: str) -> None:
    root = make_tree({"a": 4, "b": 4, ".c": 4}, under=under)
    (root / under / ".bare").mkdir()
    data = load(root)
    assert data.train.class_names == ("a", "b")
    assert any("1 hidden folder(s) with images were ignored: .c" in note for note in data.notes)


def test_a_hidden_folder_that_cannot_be_read_is_passed(make_tree: MakeTree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_tree({"a": 4, "b": 4, ".trash": 1})
    original = os.scandir

    def guarded(folder):  # type: ignore[no-untyped-def]
        if Path(folder).name == ".trash":
            raise PermissionError("not yours")
        return original(folder)

    monkeypatch.setattr(os, "scandir", guarded)
    assert not any("hidden" in note for note in load(root).notes)


def test_a_class_folder_that_links_to_another_is_named(make_tree: MakeTree) -> None:
    root = make_tree({"a": 4, "b": 4})
    assert not any("same images" in note for note in load(root).notes)
    (root / "c").symlink_to(root / "a", target_is_directory=True)
    data = load(root)
    assert data.train.class_names == ("a", "b", "c")
    assert any("1 folder(s) count as several classes with the same images: a = c" in note for note in data.notes)


def test_a_name_that_is_not_utf8(make_tree: MakeTree) -> None:
    root = make_tree({"a": 4, "b": 4})
    try:
        os.rename(os.fsencode(root / "a" / "000.png"), os.fsencode(root / "a") + b"/caf\xe9.png")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    data = load(root)
    assert r"a/caf\xe9.png" in ids(data)
    assert data.checksum()


def test_link_loops_end(make_tree: MakeTree) -> None:
    root = make_tree({"a": 4, "b": 4})
    (root / "a" / "up").symlink_to(root, target_is_directory=True)
    (root / "a" / "self").symlink_to(root / "a", target_is_directory=True)
    (root / "c").symlink_to(root.parent, target_is_directory=True)
    (root / "a" / "gone.png").symlink_to(root / "nowhere.png")
    data = load(root)
    assert data.train.class_names == ("a", "b")
    assert len(ids(data)) == 8
    assert any("a/gone.png (no such file or directory)" in note for note in data.notes)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_not_waited_for(make_tree: MakeTree) -> None:
    root = make_tree({"a": 4, "b": 4})
    os.mkfifo(root / "a" / "pipe.png")
    (root / "a" / "link.png").symlink_to(root / "a" / "pipe.png")
    assert len(ids(load(root))) == 8


def test_errors_say_what_to_do(make_tree: MakeTree, tmp_path: Path) -> None:
    with pytest.raises(CompatError, match=r"no such folder.*expected PATH/CLASS"):
        load(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(CompatError, match="is a file, not a folder"):
        load(tmp_path / "file")
    (tmp_path / "bare").mkdir()
    with pytest.raises(CompatError, match="no class folders with images"):
        load(tmp_path / "bare")
    (tmp_path / "bare" / "class").mkdir()
    with pytest.raises(CompatError, match="no class folders with images"):
        load(tmp_path / "bare")
    root = make_tree({"a": 4})
    with pytest.raises(CompatError, match=r"1 class folder with images.*needs at least 2"):
        load(root)
    make_tree({"b": 1})
    with pytest.raises(CompatError, match="the evaluation part needs at least 2"):
        load(root)
    make_tree({"a": 3, "b": 3})
    (root / "a" / "003.png").unlink()
    with pytest.raises(CompatError, match="no query has anything to find"):
        load(root)
    with pytest.raises(CompatError, match="no split of its own"):
        load(root, eval_split="given")


def test_limits_come_before_decoding(make_tree: MakeTree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_tree({"a": 40, "b": 20, "c": 20})
    read: list[str] = []
    original = decode_module.decode_file

    def counted(file, size, channels):  # type: ignore[no-untyped-def]
        read.append(file.id)
        return original(file, size, channels)

    monkeypatch.setattr(decode_module, "decode_file", counted)
    data = load(root, train_limit=12, test_limit=6)
    assert np.bincount(data.train.labels).tolist() == [4, 4, 4]
    assert np.bincount(data.test.labels).tolist() == [2, 2, 2]
    assert sorted(read) == ids(data)
    assert load(root, train_limit=12, test_limit=6).checksum() == data.checksum()
    assert len(read) == 18  # the second time, nothing was decoded


def test_limits_do_not_move_images_between_parts(make_tree: MakeTree) -> None:
    root = make_tree({"a": 40, "b": 20})
    everything, some = load(root), load(root, train_limit=10, test_limit=6)
    assert set(some.train.ids) < set(everything.train.ids)
    assert set(some.test.ids) < set(everything.test.ids)


def test_open_set_split(make_tree: MakeTree) -> None:
    data = load(make_tree(dict.fromkeys("abcdefgh", 4)), eval_split="classes")
    assert data.open_set
    assert data.test.present.tolist() == [6, 7]
    assert any("the last 2 sorted classes, from 'g' on" in note for note in data.notes)


def test_cache_is_used_and_follows_the_files(make_tree: MakeTree, own_cache: Path) -> None:
    root = make_tree({"a": 8, "b": 8})
    first = load(root)
    entries = set((own_cache / "images").iterdir())
    assert len(entries) == 2  # one per part
    again = load(root)
    assert again.checksum() == first.checksum()
    assert set((own_cache / "images").iterdir()) == entries
    again.train.images[0] = 0  # memory of our own: what is on disk stays
    assert load(root).checksum() == first.checksum()

    # the same length, and the time of change set back: still noticed
    path = root / "a" / "000.png"
    info = path.stat()
    changed = bytearray(path.read_bytes())
    other = (root / "a" / "001.png").read_bytes()
    path.write_bytes(other[: len(changed)] if len(other) == len(changed) else other)
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert load(root).checksum() != first.checksum()

    (root / "a" / "007.png").unlink()
    assert len(ids(load(root))) == 15


def test_two_trees_that_agree_in_names_sizes_and_times(tmp_path: Path) -> None:
    sums = set()
    for number in range(2):
        root = tmp_path / str(number) / "tree"
        for name in ("a", "b"):
            (root / name).mkdir(parents=True)
            for index in range(4):
                path = root / name / f"{index}.bmp"
                Image.new("RGB", (8, 8), (number, index, 0)).save(path)
                os.utime(path, (1_577_836_800, 1_577_836_800))
        sums.add(load(root).checksum())
    assert len(sums) == 2


def test_damaged_cache_is_replaced(make_tree: MakeTree, own_cache: Path) -> None:
    root = make_tree({"a": 8, "b": 8})
    checksum = load(root).checksum()  # the images are let go: cutting a file short under a mapping ends the process
    for damage in (lambda path: path.write_bytes(b"junk"), lambda path: path.write_bytes(path.read_bytes()[:200])):
        for stored in (own_cache / "images").glob("*/images.npy"):
            damage(stored)
        again = load(root)
        assert again.checksum() == checksum
        assert any("damaged cache entry was replaced" in note for note in again.notes)
        assert not any("damaged" in note for note in load(root).notes)


def test_cache_can_be_off_or_impossible(make_tree: MakeTree, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_tree({"a": 8, "b": 8})
    monkeypatch.setenv("COMPATBENCH_CACHE", "off")
    first = load(root)
    assert not (own_cache / "images").exists()
    (own_cache / "file").write_text("")
    monkeypatch.setenv("COMPATBENCH_CACHE", str(own_cache / "file"))
    blocked = load(root)
    assert blocked.checksum() == first.checksum()
    assert sum("could not be cached" in note for note in blocked.notes) == 1


def test_what_fits_neither_disk_nor_memory_is_refused(make_tree: MakeTree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_tree({"a": 8, "b": 8})
    monkeypatch.setattr("compat_core.data.assemble.main_memory", lambda: 1000)
    load(root)  # the disk holds it
    full = shutil._ntuple_diskusage(1, 1, 0)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    load(root)  # it is there already
    (root / "a" / "000.png").unlink()
    with pytest.raises(CompatError, match=r"fit neither into 70 % of .* nor on the disk of \$COMPATBENCH_CACHE"):
        load(root)
    monkeypatch.setenv("COMPATBENCH_CACHE", "off")
    with pytest.raises(CompatError, match="COMPATBENCH_CACHE is off"):
        load(root)


def test_progress_counts_up_and_can_stop(make_tree: MakeTree) -> None:
    root = make_tree({"a": 200, "b": 200})
    calls: list[tuple[int, int]] = []
    config = DataConfig(dataset=f"folder:{root}")
    load_dataset(config, progress=lambda done, total: calls.append((done, total)))
    assert calls == sorted(calls)
    assert calls[-1] == (400, 400)

    def stop(done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        load_dataset(config, progress=stop)


@pytest.mark.shared
def test_real_characters(omniglot_small: Path) -> None:
    data = load(omniglot_small, image_size=28, eval_split="classes")
    assert data.name == "omniglot-small"
    assert (len(data.train), len(data.test)) == (3620, 1220)
    assert data.train.images.shape[1:] == (1, 28, 28)
    assert data.open_set
    # paper is white, strokes are dark and thin
    assert 200 < float(data.train.images.float().mean()) < 255
    native = load(omniglot_small, train_limit=484, test_limit=484)
    assert (native.train.size, len(native.train), len(native.test)) == (105, 484, 484)
    assert set(torch.unique(native.train.images).tolist()) == {0, 255}
