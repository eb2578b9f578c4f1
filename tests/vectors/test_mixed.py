"""A gallery of several files is one gallery, and every hit says what it is."""

import os

import numpy as np
import pytest

from compat_core.adapters import ADAPTERS, Pairs
from compat_core.errors import CompatError
from compat_core.retrieval.search import top_k
from compat_core.vectors import mixed as module
from compat_core.vectors.migrate import SpaceManifest, manifest_path, sha256, write_manifest
from compat_core.vectors.mixed import check_ends, mixed_search, newest_only, open_part
from tests.vectors.worlds import clustered, rotation


@pytest.fixture
def world(tmp_path):
    rng = np.random.default_rng(0)
    _, new = clustered(rng, count=300)
    old = new @ rotation(rng)
    fitted = ADAPTERS.get("procrustes").fit(Pairs(old, new))
    np.save(tmp_path / "old.npy", old[:100])
    np.save(tmp_path / "migrated.npy", new[100:200])
    np.save(tmp_path / "new.npy", new[200:])
    return tmp_path, new, fitted


@pytest.mark.parametrize("block", [7, 65_536])
def test_hits_are_those_of_one_gallery(world, monkeypatch, block):
    folder, new, fitted = world
    monkeypatch.setattr(module, "BLOCK_ROWS", block)
    parts = [open_part(name, str(folder / f"{name}.npy"), "", fitted) for name in ("old", "migrated", "new")]
    found = mixed_search(new[:5], parts, 12, on_the_fly=fitted)
    whole = top_k(new[:5], new, 12)
    for hits, indices, scores in zip(found, whole.indices, whole.scores, strict=True):
        versions = [("old", "migrated", "new")[row // 100] for row in indices]
        assert [hit.version for hit in hits] == versions
        assert [hit.id for hit in hits] == [f"{v}.npy:{row % 100}" for v, row in zip(versions, indices, strict=True)]
        np.testing.assert_allclose([hit.score for hit in hits], scores, atol=1e-5)


def test_the_memory_of_every_block_is_given_back(world, monkeypatch):
    folder, new, _ = world
    monkeypatch.setattr(module, "BLOCK_ROWS", 30)
    given_back = []
    monkeypatch.setattr(module, "let_go", given_back.append)
    part = open_part("new", str(folder / "new.npy"), "", None)
    mixed_search(new[:5], [part], 12)
    assert len(given_back) == 4 and all(emb is part.emb for emb in given_back)


def test_old_rows_need_a_map_or_a_manifest_that_says_they_fit(world):
    folder, *_ = world
    path = folder / "old.npy"
    with pytest.raises(CompatError, match="another space"):
        open_part("old", str(path), "v2", None)
    write_manifest(path, SpaceManifest("v2", "v1", 100, 8, ""))
    assert open_part("old", str(path), "v2", None).version == "old"
    with pytest.raises(CompatError, match="another space"):
        open_part("old", str(path), "v3", None)


def test_a_part_in_another_space_or_of_another_kind_is_refused(world):
    folder, *_ = world
    write_manifest(folder / "migrated.npy", SpaceManifest("v2", "v1", 100, 8, ""))
    with pytest.raises(CompatError, match="space of v2; queries are in that of v3"):
        open_part("migrated", str(folder / "migrated.npy"), "v3", None)
    with pytest.raises(CompatError, match="must begin with"):
        open_part("newer", str(folder / "new.npy"), "", None)


def test_another_dimension_is_refused(world):
    folder, new, _ = world
    part = open_part("new", str(folder / "new.npy"), "", None)
    with pytest.raises(CompatError, match="8 dimensions; queries have 5"):
        mixed_search(new[:2, :5], [part], 3)


def test_a_replaced_file_and_a_map_that_leads_elsewhere_are_refused(tmp_path):
    rows = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    path = tmp_path / "part.npy"
    np.save(path, rows)
    write_manifest(path, SpaceManifest("new", "new", 6, 4, ""))
    assert open_part("new", str(path), "new", None).stamped
    np.save(path, rows[:3])
    with pytest.raises(CompatError, match="the file was replaced"):
        open_part("new", str(path), "new", None)
    np.save(path, rows)
    write_manifest(path, SpaceManifest("new", "new", 6, 4, sha256(path)))
    described = manifest_path(path).stat().st_mtime
    os.utime(path, (described + 9, described + 9))  # as a copy
    assert open_part("new", str(path), "new", None).stamped
    np.save(path, rows[::-1])
    os.utime(path, (described + 9, described + 9))
    with pytest.raises(CompatError, match="has changed since its manifest was written"):
        open_part("new", str(path), "new", None)
    of_old, of_new = SpaceManifest("v0", "v0", 6, 4, ""), SpaceManifest("new", "new", 6, 4, "")
    check_ends(("old", "new"), of_new, None, "new")
    for ends, queries, old, says in (
        (("new", "old"), None, None, "must lead into"),
        (("old", "new"), of_old, None, "must be in the space searched"),
        (("old", "new"), of_new, of_old, "the old part is in the space of v0"),
    ):
        with pytest.raises(CompatError, match=says):
            check_ends(ends, queries, old, "new")


def with_ids(folder, name, emb, ids):
    np.savez(folder / f"{name}.npz", vectors=emb, ids=np.array(ids))
    return f"{folder / name}.npz:vectors"


def test_an_item_is_found_once_in_its_newest_version(world, monkeypatch):
    folder, new, fitted = world
    monkeypatch.setattr(module, "BLOCK_ROWS", 7)
    names = [f"item {row}" for row in range(300)]
    given = {"old": (0, 200), "migrated": (100, 250), "new": (150, 300)}
    parts = newest_only([
        open_part(name, with_ids(folder, name, new[slice(*rows)], names[slice(*rows)]), "", fitted)
        for name, rows in given.items()
    ])  # fmt: skip
    assert [part.live if part.live is None else int(part.live.sum()) for part in parts] == [100, 50, None]
    found = mixed_search(new[:5], parts, 300)
    whole = top_k(new[:5], new, 300)
    for hits, indices in zip(found, whole.indices, strict=True):
        assert [hit.id for hit in hits] == [names[row] for row in indices]
        assert [hit.version for hit in hits] == [
            "old" if row < 100 else "migrated" if row < 150 else "new" for row in indices
        ]


def test_of_two_parts_of_one_version_the_earlier_is_searched_and_rows_without_ids_are_nobody_else(world):
    folder, new, _ = world
    first = open_part("new", with_ids(folder, "first", new[:4], list("abcd")), "", None)
    second = open_part("new", with_ids(folder, "second", new[4:8], list("dcxy")), "", None)
    (folder / "other").mkdir()
    np.save(folder / "other" / "new.npy", new[:3])
    nameless = [
        open_part("new", str(folder / "new.npy"), "", None),
        open_part("new", str(folder / "other" / "new.npy"), "", None),
    ]
    parts = newest_only([first, second, *nameless])
    assert [None if part.live is None else part.live.tolist() for part in parts] == [
        None,
        [False, False, True, True],
        None,
        None,
    ]
    assert len(mixed_search(new[:1], parts, 1000)[0]) == 4 + 2 + 100 + 3


def test_ids_from_a_file_of_their_own(world):
    folder, *_ = world
    np.save(folder / "ids.npy", np.array([f"a{row}" for row in range(100)]))
    part = open_part("new", str(folder / "new.npy"), "", None, ids=str(folder / "ids.npy"))
    assert part.name_of(3) == "a3"
    np.save(folder / "ids.npy", np.arange(99))
    with pytest.raises(CompatError, match="99 ids"):
        open_part("new", str(folder / "new.npy"), "", None, ids=str(folder / "ids.npy"))
