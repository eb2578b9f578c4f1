import errno
import os
import tempfile

import numpy as np
import pandas as pd
import pytest

from compat_core.errors import CompatError
from compat_core.vectors import matching
from compat_core.vectors.matching import matched

EMB = np.arange(20, dtype=np.float32).reshape(5, 4)


def table(path, ids, emb, **more):
    frame = pd.DataFrame(emb).rename(columns=str)
    frame.insert(0, "id", ids)
    frame.assign(**more).to_csv(path, index=False)
    return str(path)


def test_rows_are_matched_by_id_and_what_is_missing_is_counted(tmp_path):
    old = table(tmp_path / "old.csv", list("abcde"), EMB, label=[0, 0, 1, 1, 2])
    new = table(tmp_path / "new.csv", list("ecaxb"), EMB + 100)
    pair = matched(old, new)
    assert pair.ids.tolist() == list("abce") and pair.labels.tolist() == [0, 0, 1, 2]
    np.testing.assert_array_equal(pair.old, EMB[[0, 1, 2, 4]])
    np.testing.assert_array_equal(pair.new, EMB[[2, 4, 1, 0]] + 100)
    assert "matched 4 items" in pair.findings[0].sentence and "1 of old and 1 of new" in pair.findings[0].sentence
    assert pair.column("ages", np.array([5, 6, 7, 8, 9])).tolist() == [5, 6, 7, 9]
    with pytest.raises(CompatError, match="--ages"):
        pair.column("ages", np.arange(3))


def test_labels_of_the_new_file_follow_its_rows(tmp_path):
    old = table(tmp_path / "old.csv", list("abcde"), EMB)
    new = table(tmp_path / "new.csv", list("edcba"), EMB, label=[5, 4, 3, 2, 1])
    assert matched(old, new).labels.tolist() == [1, 2, 3, 4, 5]


def test_without_ids_row_i_is_one_item_and_files_stay_mapped(tmp_path):
    np.save(tmp_path / "o.npy", EMB)
    np.save(tmp_path / "ids.npy", np.array(list("abcde")))
    pair = matched(str(tmp_path / "o.npy"), str(tmp_path / "o.npy"), ids=str(tmp_path / "ids.npy"))
    assert isinstance(pair.old, np.memmap) and pair.ids.tolist() == list("abcde")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_many_rows_of_a_file_are_brought_into_order_in_a_file(tmp_path, monkeypatch, dtype):
    rng = np.random.default_rng(0)
    old, new, side = (rng.standard_normal((50, 4)).astype(dtype) for _ in range(3))
    order = rng.permutation(50)[:40]  # ten of old are not in new
    files = {"old": old, "new": new[order], "side": side}
    files |= {"ids": np.array([f"{row:02}" for row in range(50)]), "new_ids": np.array([f"{row:02}" for row in order])}
    for name, values in files.items():
        np.save(tmp_path / f"{name}.npy", values)
    where = {name: str(tmp_path / f"{name}.npy") for name in files}
    monkeypatch.setattr(matching, "IN_MEMORY", 0)
    monkeypatch.setattr(matching, "AT_ONCE", 7)
    kept = np.sort(order)
    pair = matched(where["old"], where["new"], ids=where["ids"], new_ids=where["new_ids"])
    for taken, wanted in (
        (pair.old, old[kept]), (pair.new, new[kept]), (pair.vectors("side", where["side"]), side[kept])
    ):  # fmt: skip
        assert isinstance(taken, np.memmap)
        np.testing.assert_array_equal(taken, wanted, strict=True)
    assert pair.rows.tolist() == kept.tolist() and pair.ids.tolist() == [f"{row:02}" for row in kept]
    before = {path.name for path in tmp_path.iterdir()}
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    again = matched(where["new"], where["old"], ids=where["new_ids"], new_ids=where["ids"])
    assert again.old.filename is not None and again.ids.tolist() == files["new_ids"].tolist()  # all of old: as it lies
    np.testing.assert_array_equal(again.new, old[order])
    assert {path.name for path in tmp_path.iterdir()} == before  # the file has no name

    def full(file, offset, size):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(CompatError, match=r"no room.*TMPDIR"):
        matched(where["old"], where["new"], ids=where["ids"], new_ids=where["new_ids"])


@pytest.mark.parametrize("order", ["abcde", "edcba"])
def test_labels_of_both_files_that_contradict_each_other_are_said(tmp_path, order):
    at = ["abcde".index(name) for name in order]
    old = table(tmp_path / "old.csv", list("abcde"), EMB, label=[0, 0, 1, 1, 2])
    same = table(tmp_path / "same.csv", list(order), EMB[at], label=np.array([0, 0, 1, 1, 2])[at])
    assert "labels of old and new" not in {finding.what for finding in matched(old, same).findings}
    other = table(tmp_path / "other.csv", list(order), EMB[at], label=np.array([0, 1, 1, 1, 0])[at])
    (said,) = [finding for finding in matched(old, other).findings if finding.what == "labels of old and new"]
    assert "differ in 2 of 5 rows" in said.sentence and said.rows == (1, 4) and said.severity == "warn"


def test_ids_of_one_file_only_are_said_and_rows_paired_by_position(tmp_path):
    np.save(tmp_path / "plain.npy", EMB)
    np.save(tmp_path / "ids.npy", np.array(list("abcde")))
    plain, ids = str(tmp_path / "plain.npy"), str(tmp_path / "ids.npy")
    with_ids = table(tmp_path / "t.csv", list("edcba"), EMB)

    def warnings(*given, **more):
        return [found.sentence for found in matched(*given, **more).findings if found.severity == "warn"]

    (said,) = warnings(plain, with_ids)
    assert said.startswith("new has ids, old has none: rows were paired by position")
    (said,) = warnings(with_ids, plain)
    assert said.startswith("old has ids, new has none")
    assert warnings(plain, plain, ids=ids) == [], "ids of the items, in the order of both files"
    assert warnings(plain, with_ids, ids=ids) == [] and warnings(with_ids, plain, new_ids=ids) == []
    np.savez(tmp_path / "v.npz", vectors=EMB + 100, ids=np.array(list("edcba")))
    pair = matched(plain, str(tmp_path / "v.npz"), ids=ids)
    np.testing.assert_array_equal(pair.new, EMB[::-1] + 100)


def test_labels_taken_by_position_though_they_have_ids_are_said(tmp_path):
    np.save(tmp_path / "plain.npy", EMB)
    np.save(tmp_path / "ids.npy", np.array(list("edcba")))
    pd.DataFrame({"id": list("abcde"), "label": range(5)}).to_csv(tmp_path / "l.csv", index=False)
    plain, labels = str(tmp_path / "plain.npy"), str(tmp_path / "l.csv")
    pair = matched(plain, plain, labels)
    (said,) = pair.findings
    assert said.sentence.startswith("the labels have ids, old has none: labels were taken by position; give the ids")
    assert pair.labels.tolist() == list(range(5))
    by_id = matched(plain, plain, labels, ids=str(tmp_path / "ids.npy"))
    assert not by_id.findings and by_id.labels.tolist() == list(range(5))[::-1]


def test_the_columns_that_are_the_vectors_are_said(tmp_path):
    old = table(tmp_path / "o.csv", list("abcde"), EMB + 0.5, shop="north", count=[1, 1, 2, 2, 3])
    said = {found.what: found for found in matched(old, old).findings}
    assert (
        said["columns (old)"].sentence
        == "old: the vectors are 5 columns: 0, 1, 2, 3, count; left out: shop (no numbers)"
    )
    assert said["whole numbers (new)"].severity == "warn" and "count" in said["whole numbers (new)"].sentence


@pytest.mark.parametrize(
    ("old_ids", "new_ids", "says"),
    [("abcda", "abcde", "more than once"), ("abcde", "vwxyz", "no id in common")],
)
def test_ids_that_do_not_match_are_refused(tmp_path, old_ids, new_ids, says):
    old, new = table(tmp_path / "o.csv", list(old_ids), EMB), table(tmp_path / "n.csv", list(new_ids), EMB)
    with pytest.raises(CompatError, match=says):
        matched(old, new)


def test_ids_of_another_number(tmp_path):
    np.save(tmp_path / "o.npy", EMB)
    np.save(tmp_path / "ids.npy", np.arange(4))
    new = table(tmp_path / "n.csv", list("abcde"), EMB)
    with pytest.raises(CompatError, match="4 ids"):
        matched(str(tmp_path / "o.npy"), new, ids=str(tmp_path / "ids.npy"))
    with pytest.raises(CompatError, match="add --ids"):
        matched(str(tmp_path / "o.npy"), str(tmp_path / "o.npy"), new_ids=str(tmp_path / "ids.npy"))


def test_ids_of_a_csv_meet_those_of_other_files(tmp_path):
    """Plain numbers meet whole numbers of any file; with zeros before them they are other ids."""
    np.save(tmp_path / "new.npy", EMB + 100)
    plain, padded = table(tmp_path / "plain.csv", range(5), EMB), table(tmp_path / "padded.csv", ["00", *"1234"], EMB)
    np.save(tmp_path / "numbers.npy", np.arange(5)[::-1])
    new, numbers = str(tmp_path / "new.npy"), str(tmp_path / "numbers.npy")
    assert matched(plain, new, new_ids=numbers).ids.tolist() == list("01234")
    assert matched(padded, new, new_ids=numbers).ids.tolist() == list("1234")
    pd.DataFrame({"id": range(5), "emb": (EMB + 100).tolist()}).to_parquet(tmp_path / "new.parquet")
    np.testing.assert_array_equal(matched(plain, str(tmp_path / "new.parquet")).new, EMB + 100)
    (tmp_path / "labels.csv").write_text("id,label\n4,NA\n3,NA\n2,a\n1,a\n0,a\n")
    labels = str(tmp_path / "labels.csv")
    assert matched(new, new, labels, numbers).labels.tolist() == ["NA", "NA", "a", "a", "a"]


def test_columns_of_a_table_with_ids_follow_the_ids(tmp_path):
    """A table of one's own is in its own order: taking it row by row would mislabel every item without a word."""
    np.save(tmp_path / "o.npy", EMB)
    np.save(tmp_path / "ids.npy", np.array(list("abcde")))
    pd.DataFrame({"id": list("xedcba"), "label": [9, 5, 4, 3, 2, 1]}).to_csv(tmp_path / "items.csv", index=False)
    files, ids = str(tmp_path / "o.npy"), str(tmp_path / "ids.npy")
    pair = matched(files, files, str(tmp_path / "items.csv"), ids)
    assert pair.labels.tolist() == [1, 2, 3, 4, 5]
    assert pair.column("ages", np.arange(6), np.array(list("xedcba"))).tolist() == [5, 4, 3, 2, 1]
    assert matched(files, files, ids=ids).column("ages", np.arange(5), None).tolist() == [0, 1, 2, 3, 4]
    for beside, says in ((list("abcdf"), "no value for 1 of 5 items, such as e"), (list("abcdd"), "more than once")):
        with pytest.raises(CompatError, match=rf"--ages.*{says}"):
            pair.column("ages", np.arange(5), np.array(beside))
    pd.DataFrame({"id": list("abcd"), "label": [1, 2, 3, 4]}).to_csv(tmp_path / "items.csv", index=False)
    with pytest.raises(CompatError, match=r"--labels.*such as e"):
        matched(files, files, str(tmp_path / "items.csv"), ids)
    with pytest.raises(CompatError, match="4 labels"):
        matched(files, files, str(tmp_path / "items.csv"))
