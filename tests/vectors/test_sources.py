"""Vectors from every format; every bad file is one clear line."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from compat_core.errors import CompatError
from compat_core.retrieval.streamed import let_go
from compat_core.vectors import parquet
from compat_core.vectors.sources import (
    read_ages,
    read_column,
    read_ids,
    read_labels,
    read_numbers,
    read_vectors,
)

EMB = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_npy_is_mapped_and_not_read(save):
    found = read_vectors(save("v.npy", EMB))
    assert isinstance(found.emb, np.memmap)
    np.testing.assert_array_equal(found.emb, EMB)


def test_letting_go_of_a_mapped_file_loses_nothing(save):
    found = read_vectors(save("v.npy", EMB)).emb
    assert found.sum() == EMB.sum()
    let_go(found)
    np.testing.assert_array_equal(found, EMB)
    let_go(EMB)  # not mapped: nothing to give back


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int8])
def test_other_numbers_are_taken_as_they_are(save, dtype):
    assert read_vectors(save("v.npy", EMB.astype(dtype))).emb.dtype == dtype


def test_npz_by_name_or_the_only_array(save):
    path = save("v.npz", {"a": EMB, "b": EMB + 1})
    np.testing.assert_array_equal(read_vectors(f"{path}:b").emb, EMB + 1)
    np.testing.assert_array_equal(read_vectors(save("w.npz", {"a": EMB})).emb, EMB)
    with pytest.raises(CompatError, match=r"2 arrays.*say which"):
        read_vectors(path)
    with pytest.raises(CompatError, match=r"did you mean 'b'|known: a, b"):
        read_vectors(f"{path}:bb")


@pytest.mark.parametrize("fixed", [True, False])
def test_parquet_lists_with_ids_and_labels(save, fixed):
    kind = pa.list_(pa.float32(), 3) if fixed else pa.list_(pa.float32())
    table = {"id": ["a", "b", "c", "d"], "label": [1, 1, 2, 2], "emb": pa.array(EMB.tolist(), kind)}
    path = save("v.parquet", table)
    for spec in (path, f"{path}:emb"):
        found = read_vectors(spec)
        np.testing.assert_array_equal(found.emb, EMB)
    assert found.ids.tolist() == ["a", "b", "c", "d"] and found.labels.tolist() == [1, 1, 2, 2]
    assert read_column(path, "label").tolist() == [1, 1, 2, 2] and read_column(f"{path}:id").tolist() == list("abcd")
    with pytest.raises(CompatError, match="column emb holds lists"):
        read_column(path)


@pytest.mark.parametrize("limit", [0, 10**9])
def test_parquet_is_streamed_into_a_file_that_vanishes(save, monkeypatch, limit):
    monkeypatch.setattr(parquet, "BATCH_ROWS", 3)
    monkeypatch.setattr(parquet, "FILE_FROM_BYTES", limit)
    emb = np.arange(20, dtype=np.float32).reshape(10, 2)
    found = read_vectors(save("v.parquet", {"emb": emb.tolist(), "note": list("abcdefghij")}))
    np.testing.assert_array_equal(found.emb, emb)
    assert isinstance(found.emb, np.memmap) is (limit == 0)
    columns = read_vectors(save("c.parquet", {"id": range(10), "x": emb[:, 0], "y": emb[:, 1]}))
    np.testing.assert_array_equal(columns.emb, emb)
    uneven = [*emb.tolist()[:8], [1.0], [2.0]]
    with pytest.raises(CompatError, match="row 8 holds 1 numbers"):
        read_vectors(save("u.parquet", {"emb": uneven}))


def test_arrays_of_ids_and_labels_belong_to_the_vectors_beside_them(save):
    beside = {"ids": np.array(list("abcd")), "labels": np.array([1, 1, 2, 2])}
    path = save("v.npz", {"vectors": EMB, **beside})
    for spec in (path, f"{path}:vectors"):
        found = read_vectors(spec)
        np.testing.assert_array_equal(found.emb, EMB)
        assert found.ids.tolist() == list("abcd") and found.labels.tolist() == [1, 1, 2, 2]
    assert read_column(path, "id").tolist() == list("abcd") and read_labels(path).tolist() == [1, 1, 2, 2]
    assert read_ids(f"{path}:labels").tolist() == list("abcd")
    two = save("w.npz", {"big": np.zeros((9, 3)), "small": EMB, **beside})
    assert read_vectors(f"{two}:big").ids is None, "as many as the other has"
    assert read_vectors(f"{two}:small").ids.tolist() == list("abcd")
    with pytest.raises(CompatError, match="4 arrays"):
        read_vectors(two)


FRACTIONS = np.random.default_rng(0).normal(size=(300, 4)).round(6)
FRAME = pd.DataFrame(FRACTIONS, columns=[f"v{place}" for place in range(4)])


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_index_of_a_frame_is_no_dimension(ending, tmp_path):
    """A frame that was shuffled or filtered is written with its index, by pandas' own defaults."""
    shuffled = FRAME.sample(frac=1, random_state=0)
    for number, frame in enumerate((shuffled, shuffled.set_index(shuffled.index.astype(str) + "x"))):
        path = tmp_path / f"{number}.{ending}"
        (frame.to_csv if ending == "csv" else frame.to_parquet)(path)
        found = read_vectors(path)
        np.testing.assert_array_equal(found.emb, shuffled.to_numpy())
        assert found.dimensions.taken == ("v0", "v1", "v2", "v3")
        assert re.search(r"v3; left out: (__index_level_0__|Unnamed: 0) \(an index\)", found.dimensions.sentence())
    named = shuffled.rename_axis("sku").reset_index().set_index("sku")
    named.to_parquet(tmp_path / "named.parquet")
    assert read_vectors(tmp_path / "named.parquet").dimensions.left_out == {"sku": "an index"}
    named.rename_axis("id").to_parquet(tmp_path / "id.parquet")
    assert read_vectors(tmp_path / "id.parquet").ids.tolist() == [str(row) for row in shuffled.index]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize(
    "values", [np.arange(300), 10**9 + np.arange(300) * 7.0, np.random.default_rng(1).permutation(300)]
)
def test_ids_that_are_called_something_else_are_refused(ending, values, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "BATCH_ROWS", 70)
    path = tmp_path / f"t.{ending}"

    def write(frame):
        (frame.to_csv if ending == "csv" else frame.to_parquet)(path, index=False)

    write(FRAME.assign(sku=values))
    with pytest.raises(CompatError, match=r"column sku .*whole number in every row.*call it id"):
        read_vectors(path)
    write(FRAME.assign(id=values))
    assert read_vectors(path).emb.shape == (300, 4)
    write(FRAME.assign(count=np.arange(300) % 7))
    found = read_vectors(path)
    assert found.emb.shape == (300, 5) and found.dimensions.doubtful == ("count",)
    whole = pd.DataFrame(np.random.default_rng(2).integers(-127, 128, (300, 4)), columns=list("abcd"))
    write(whole)
    assert read_vectors(path).dimensions.doubt() == "", "vectors of whole numbers"
    write(whole.assign(sku=100_000 + np.arange(300)))
    with pytest.raises(CompatError, match="column sku"):
        read_vectors(path)


def test_columns_without_numbers_are_named_or_refused(tmp_path):
    path = tmp_path / "v.csv"
    FRAME.assign(shop="north", open=True).to_csv(path, index=False)
    assert read_vectors(path).dimensions.left_out == {"shop": "no numbers", "open": "no numbers"}
    FRAME.assign(v4=FRAME.v3.map(lambda value: str(value).replace(".", ","))).to_csv(path, index=False)
    with pytest.raises(CompatError, match=r"got '-?\d+,\d+'; column v4 holds no numbers.*write numbers as 1\.5"):
        read_vectors(path)
    FRAME.assign(v4="x").to_parquet(tmp_path / "v.parquet")
    with pytest.raises(CompatError, match="column v4 holds no numbers"):
        read_vectors(tmp_path / "v.parquet")
    path.write_text("v0;v1\n1,5;2\n")
    with pytest.raises(CompatError, match="separate columns by commas"):
        read_vectors(path)


def test_a_folder_is_called_a_folder_and_objects_can_be_saved_otherwise(save, tmp_path):
    with pytest.raises(CompatError, match="is a folder"):
        read_vectors(tmp_path)
    with pytest.raises(CompatError, match=r"np\.stack\(list\(a\)\)\.astype\('float32'\)"):
        read_vectors(save("v.npy", np.array([[1.0], None], dtype=object)))


def test_csv_of_numbers(save):
    path = save("v.csv", {"id": [7, 8, 9, 10], "x": EMB[:, 0], "y": EMB[:, 1], "z": EMB[:, 2], "note": list("abcd")})
    found = read_vectors(path)
    np.testing.assert_array_equal(found.emb, EMB)
    assert found.ids.tolist() == ["7", "8", "9", "10"] and found.labels is None
    np.testing.assert_array_equal(read_vectors(f"{path}:y").emb, EMB[:, 1:2])


def test_numbers_of_a_csv_stay_numbers(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("id,weight,price\n007,010,1.50\n08,2,NA\n")
    assert read_numbers(f"{path}:weight").tolist() == read_ages(f"{path}:weight").tolist() == [10.0, 2.0]
    with pytest.raises(CompatError, match=r"column price.*1 empty"):
        read_numbers(f"{path}:price")
    with pytest.raises(CompatError, match="whole numbers"):
        path.write_text("label\n1.5\n2.5\n")
        read_column(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("v.npy", EMB),
        ("v.npz", {"x": EMB}),
        ("v.csv", dict(zip("xyz", EMB.T, strict=True))),
        ("v.parquet", {"x": EMB.tolist()}),
    ],
)
def test_files_are_known_by_their_ending_in_any_case(save, name, content):
    small = Path(save(name, content))
    large = small.rename(small.with_name(name.upper()))
    np.testing.assert_array_equal(read_vectors(large).emb, EMB)


BAD = {
    "objects": ("v.npy", np.array([{"a": 1}], dtype=object), "Python objects"),
    "big-endian": ("v.npy", EMB.astype(">f4"), "order of another machine"),
    "booleans": ("v.npy", EMB > 3, "dtype is bool"),
    "complex": ("v.npy", EMB.astype(complex), "real numbers"),
    "one dimension": ("v.npy", EMB[0], "two dimensions"),
    "no rows": ("v.npy", EMB[:0], "at least one item"),
    "no bytes": ("v.npy", b"", "0 bytes"),
    "a text": ("v.npy", b"hello, world", "is not an .npy file"),
    "foreign zip": ("v.npz", b"hello", "is not an .npz file"),
    "foreign parquet": ("v.parquet", b"hello", "cannot be read as parquet"),
    "unequal lists": ("v.parquet", {"emb": [[1.0, 2.0], [1.0]]}, "row 1 holds 1 numbers"),
    "a missing list": ("v.parquet", {"emb": [[1.0, 2.0], None]}, "row 1 holds 0 numbers"),
    "lists of lists": ("v.parquet", {"emb": [[[1.0], [2.0]], [[1.0], [2.0]]]}, "lists of numbers|two dimensions|dtype"),
    "an empty place": ("v.parquet", {"emb": [[1.0, None], [1.0, 2.0]]}, "empty place"),
    "no row": ("v.parquet", {"emb": pa.array([], pa.list_(pa.float32()))}, "no row"),
    "two columns of lists": ("v.parquet", {"a": [[1.0]], "b": [[1.0]]}, "say which"),
    "no numbers": ("v.csv", {"name": ["a", "b"]}, "no numeric column"),
    "an empty table": ("v.csv", {"x": []}, "no row"),
    "another ending": ("v.txt", b"1 2", "must end in"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_one_clear_line(case, save):
    name, content, says = BAD[case]
    with pytest.raises(CompatError, match=says) as error:
        read_vectors(save(name, content))
    assert "\n" not in str(error.value)


def test_a_truncated_npy_and_a_missing_file(save, tmp_path):
    path = save("v.npy", EMB)
    Path(path).write_bytes(Path(path).read_bytes()[:-5])
    with pytest.raises(CompatError, match="truncated"):
        read_vectors(path)
    with pytest.raises(CompatError, match="no such file"):
        read_vectors(tmp_path / "gone.npy")
