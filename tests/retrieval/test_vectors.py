import numpy as np
import pytest

from compat_core.errors import CompatError
from compat_core.retrieval import load_ids, load_labels, load_vectors


def test_round_trip(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(5, 3))
    np.save(tmp_path / "v.npy", vectors)
    np.save(tmp_path / "l.npy", np.array([3, 1, 4, 1, 5], dtype=np.uint8))
    np.save(tmp_path / "i.npy", np.array(["a", "b", "c", "d", "e"]))
    found = load_vectors(tmp_path / "v.npy")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, vectors, atol=1e-6)
    assert load_labels(tmp_path / "l.npy").tolist() == [3, 1, 4, 1, 5]
    assert load_ids(tmp_path / "i.npy").tolist() == ["a", "b", "c", "d", "e"]


def write(path, kind):
    if kind == "directory":
        path.mkdir()
    elif kind == "object":
        np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    elif kind == "text":
        path.write_text("1,2,3")
    elif kind == "empty file":
        path.write_bytes(b"")
    elif kind == "truncated":
        np.save(path, np.ones((100, 10)))
        path.write_bytes(path.read_bytes()[:500])
    elif kind == "truncated header":
        np.save(path, np.ones((100, 10)))
        path.write_bytes(path.read_bytes()[:20])
    elif kind == "archive":
        with path.open("wb") as file:
            np.savez(file, a=np.ones(3))
    elif kind == "broken archive":
        path.write_bytes(b"PK\x03\x04 nothing")
    elif kind == "cube":
        np.save(path, np.ones((2, 2, 2)))
    elif kind == "nan":
        np.save(path, np.array([[1.0, 2.0], [np.nan, 1.0]]))
    elif kind == "texts":
        np.save(path, np.array([["a"]]))


BAD = {
    "missing": "no such file",
    "directory": "no such file",
    "object": "Python objects",
    "text": "not an .npy file",
    "empty file": "truncated",
    "truncated": "truncated",
    "truncated header": "truncated",
    "archive": "archive",
    "broken archive": "not an .npy",
    "cube": "dimension",
    "nan": "in 1 of 2 rows, first in row 1",
    "texts": "real numbers",
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_vectors(tmp_path, kind):
    path = tmp_path / "bad.npy"
    write(path, kind)
    with pytest.raises(CompatError, match=BAD[kind]) as caught:
        load_vectors(path)
    assert "bad.npy" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", BAD)
def test_bad_labels(tmp_path, kind):
    path = tmp_path / "bad.npy"
    write(path, kind)
    with pytest.raises(CompatError):
        load_labels(path)


@pytest.mark.parametrize("values", [np.array([0.5]), np.array([]), np.array([np.nan]), np.array([1j])])
def test_labels_that_are_no_labels(tmp_path, values):
    np.save(tmp_path / "l.npy", values)
    with pytest.raises(CompatError):
        load_labels(tmp_path / "l.npy")
