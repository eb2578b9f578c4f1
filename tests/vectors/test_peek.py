"""Files are looked at before anything is started, and called by the names people gave them."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from compat_core.errors import CompatError
from compat_core.vectors.matching import matched
from compat_core.vectors.peek import InputFile, column_choices, peek_errors
from compat_core.vectors.sources import read_ids, read_numbers


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


GOOD_ROWS = np.zeros((5, 3), dtype=np.float32)
GOOD = npy(GOOD_ROWS)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.npy", GOOD, None),
        ("a.npy", b"", "is empty"),
        ("a.npy", b"plain text", "is not an .npy file"),
        ("a.npy", GOOD[:-8], "truncated"),
        ("a.npy", GOOD[:20], "header cannot be read"),
        ("a.npy", npy(np.zeros((0, 3))), "at least one row"),
        ("a.npy", npy(np.zeros(5)), "two dimensions"),
        ("a.npy", npy(np.zeros((5, 3), dtype=complex)), "real numbers"),
        ("a.npy", npy(np.array([[None]])), "unpickling"),
        ("a.npz", npz(one=np.zeros((5, 3))), None),
        ("a.npz", npz(one=np.zeros((5, 3)), two=np.zeros(2)), "holds 2 arrays"),
        ("a.npz", b"plain text", "is not an .npz file"),
        ("a.csv", b"x,y\n1,2\n", None),
        ("a.csv", b"x,y\n", "no row"),
        ("a.parquet", b"plain text", "is not a Parquet file"),
        ("a.txt", b"1 2", "must end in one of"),
    ],
)
def test_a_file_is_known_by_its_beginning(name, content, says):
    found = peek_errors({"old": InputFile(name, content)})
    assert (found == {}) if says is None else (says in found["old"] and found["old"].startswith(name)), found


def test_what_every_decision_would_refuse_is_refused_at_once():
    bad = GOOD_ROWS.copy()
    bad[3, 1] = np.nan
    files = {"old": InputFile("o.npy", npy(GOOD_ROWS)), "new": InputFile("n.npz", npz(v=bad, ids=np.arange(5)))}
    for labels, says in (
        (np.ones(5, dtype=int), "every item has the label 1"),
        (np.arange(5), "every label occurs once"),
        (np.array([1.0, np.nan, 1.0, 2.0, 2.0]), None),
        (np.array([[1], [1], [2], [2], [2]]), None),
    ):
        found = peek_errors(files | {"labels": InputFile("l.npy", npy(labels))})
        assert found.pop("new") == "n.npz: row 3 is not finite (NaN or infinite); drop or repair those items"
        assert (found == {}) if says is None else (says in found["labels"]), found


def test_arrays_of_ids_beside_vectors_bring_rows_together():
    beside = npz(vectors=GOOD_ROWS[:4], ids=np.arange(4))
    files = {"old": InputFile("o.npy", GOOD), "new": InputFile("n.npz", beside)}
    assert "holds 4 rows" in peek_errors(files)["new"]
    assert peek_errors(files | {"ids": InputFile("i.npy", npy(np.arange(5)))}) == {}
    assert column_choices("new", files["new"])[0] == "vectors" and column_choices("ids", files["new"])[0] == "ids"


def test_rows_have_to_agree_unless_they_are_matched_by_id():
    files = {name: InputFile(f"my-{name}.npy", GOOD) for name in ("old", "side")}
    files["new"] = InputFile("my-new.npy", npy(np.zeros((4, 3))))
    files["labels"] = InputFile("my-labels.npy", npy(np.zeros(6, dtype=int)))
    found = peek_errors(files)
    assert set(found) == {"new", "labels"} and "holds 4 rows, my-old.npy 5" in found["new"]
    assert not any("--" in sentence for sentence in found.values())
    files |= {"ids": InputFile("i.npy", npy(np.arange(5))), "new-ids": InputFile("j.npy", npy(np.arange(4)))}
    assert set(peek_errors(files)) == {"labels"}


def parquet(**columns):
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


def test_a_table_with_ids_may_hold_more_rows_where_the_old_rows_have_ids(tmp_path, monkeypatch):
    """The form and the process have to agree: ``matched`` takes such a table by id."""
    monkeypatch.chdir(tmp_path)
    files = {
        "old": InputFile("old.npy", npy(GOOD_ROWS + 1)),
        "new": InputFile("new.npy", npy(GOOD_ROWS + 2)),
        "labels": InputFile("labels.parquet", parquet(id=list("xedcba"), label=[9, 5, 4, 3, 2, 1])),
        "ages": InputFile("ages.parquet", parquet(id=list("xedcba"), seen=range(6))),
    }

    def read():
        for file in files.values():
            (tmp_path / file.name).write_bytes(file.content)
        ids = str(files["ids"].spec) if "ids" in files else None
        pair = matched("old.npy", "new.npy", "labels.parquet", ids)
        return pair.labels, pair.column("ages", read_numbers("ages.parquet"), read_ids("ages.parquet"))

    assert set(peek_errors(files)) == {"labels", "ages"}
    with pytest.raises(CompatError, match="holds 6 labels, old 5 rows"):
        read()
    files["ids"] = InputFile("ids.npy", npy(np.array(list("abcde"))))
    assert peek_errors(files) == {}
    labels, ages = read()
    assert labels.tolist() == [1, 2, 3, 4, 5] and ages.tolist() == [5, 4, 3, 2, 1]
    del files["ids"]
    files["old"] = InputFile("old.parquet", parquet(id=list("abcde"), x=[1.0, 2.0, 3.0, 4.0, 5.0]))
    assert peek_errors(files) == {}, "ids of its own"
    files["new"] = InputFile("new.parquet", parquet(id=list("abcd"), x=[1.0, 2.0, 3.0, 4.0]))
    assert peek_errors(files) == {}
    files["new"] = InputFile("new.parquet", parquet(x=[1.0, 2.0, 3.0, 4.0]))
    assert set(peek_errors(files)) == {"new"}


def test_paths_with_a_column_and_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "vectors.npz").write_bytes(npz(one=np.zeros((5, 3)), two=np.zeros(2)))
    file = InputFile.at("~/vectors.npz:one")
    assert str(file.spec) == f"{tmp_path}/vectors.npz:one" and peek_errors({"old": file}) == {}
    assert "did you mean 'one'" in peek_errors({"old": InputFile.at("~/vectors.npz:ome")})["old"]
    assert "no such file" in peek_errors({"old": InputFile.at("~/gone.npy")})["old"]
    assert InputFile.at("odd:name.npy").content == Path("odd:name.npy").absolute()


def test_columns_to_choose_among_the_likeliest_first(tmp_path):
    table = b"id,label,shop,price\na,1,s,2\n"
    assert column_choices("group", InputFile("t.csv", table)) == ["label", "shop", "price", "id"]
    assert column_choices("ids", InputFile("t.csv", table))[0] == "id"
    assert column_choices("labels", InputFile("t.csv", table))[0] == "label"
    assert column_choices("ages", InputFile("t.csv", b"id,label,when\n"))[0] == "when", "the only one of its own"
    assert column_choices("old", InputFile("t.csv", table)) == [], "vectors take all columns"
    assert column_choices("group", InputFile("t.csv", table, "shop")) == [], "named already"
    assert column_choices("group", InputFile("t.csv", b"shop\ns\n")) == []
    assert column_choices("old", InputFile("a.npz", npz(one=GOOD_ROWS, two=GOOD_ROWS))) == ["one", "two"]
    for name, content in (("t.csv", b""), ("a.npz", b"PK no"), ("t.parquet", b"no"), ("a.npy", GOOD), ("q.qrels", b"")):
        assert column_choices("qrels" if name == "q.qrels" else "group", InputFile(name, content)) == []
    (tmp_path / "t.csv").write_bytes(table)
    assert column_choices("group", InputFile.at(str(tmp_path / "t.csv")))[0] == "label"
    assert column_choices("group", InputFile.at(str(tmp_path / "gone.csv"))) == []


def test_pictures_may_be_a_folder_or_an_archive(tmp_path):
    def errors(file):
        return peek_errors({"images": file}).get("images", "")

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.png", b"")
    assert errors(InputFile("p.zip", buffer.getvalue())) == ""
    assert "must end in" in errors(InputFile("p.zip", b"PK no"))
    (tmp_path / "p").mkdir()
    assert "holds no picture" in errors(InputFile.at(str(tmp_path / "p")))
    (tmp_path / "p" / "a.jpg").touch()
    assert errors(InputFile.at(str(tmp_path / "p"))) == ""
