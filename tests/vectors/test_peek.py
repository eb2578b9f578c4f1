"""Files are looked at before anything is started, and called by the names people gave them."""

import io
from pathlib import Path

import numpy as np
import pytest

from compat_core.vectors.peek import InputFile, peek_errors


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


GOOD = npy(np.zeros((5, 3), dtype=np.float32))


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


def test_rows_have_to_agree_unless_they_are_matched_by_id():
    files = {name: InputFile(f"my-{name}.npy", GOOD) for name in ("old", "side")}
    files["new"] = InputFile("my-new.npy", npy(np.zeros((4, 3))))
    files["labels"] = InputFile("my-labels.npy", npy(np.zeros(6, dtype=int)))
    found = peek_errors(files)
    assert set(found) == {"new", "labels"} and "holds 4 rows, my-old.npy 5" in found["new"]
    assert not any("--" in sentence for sentence in found.values())
    files |= {"ids": InputFile("i.npy", npy(np.arange(5))), "new-ids": InputFile("j.npy", npy(np.arange(4)))}
    assert set(peek_errors(files)) == {"labels"}


def test_paths_with_a_column_and_with_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "vectors.npz").write_bytes(npz(one=np.zeros((5, 3)), two=np.zeros(2)))
    file = InputFile.at("~/vectors.npz:one")
    assert file.spec == f"{tmp_path}/vectors.npz:one" and peek_errors({"old": file}) == {}
    assert "did you mean 'one'" in peek_errors({"old": InputFile.at("~/vectors.npz:ome")})["old"]
    assert "no such file" in peek_errors({"old": InputFile.at("~/gone.npy")})["old"]
    assert InputFile.at("odd:name.npy").content == Path("odd:name.npy").absolute()
