"""What lies beside vectors: ids, labels, weights, dates, judgements, from every format."""

import numpy as np
import pyarrow as pa
import pytest

from compat_core.adapters.labels import labelled
from compat_core.errors import CompatError
from compat_core.vectors.sources import (
    read_ages,
    read_column,
    read_ids,
    read_labels,
    read_numbers,
    read_qrels,
    read_vectors,
    read_weights,
)

EMB = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.mark.parametrize("name", ["l.npy", "l.npz", "l.parquet", "l.csv"])
@pytest.mark.parametrize("labels", [np.array([3, np.nan, 4, 3, np.nan]), np.array(["3", "", "4", "3", " "])])
def test_an_empty_label_is_an_item_without_one(save, name, labels):
    column = pa.array(labels, from_pandas=True) if name == "l.parquet" else labels
    content = labels if name == "l.npy" else {"label": column} | ({"x": range(5)} if name == "l.csv" else {})
    found = read_labels(save(name, content))
    assert labelled(found).tolist() == [True, False, True, True, False]
    assert found[[0, 2, 3]].tolist() == ["3", "4", "3"] and len(set(found)) == 4, "no two without one are alike"
    with pytest.raises(CompatError, match="holds no label"):
        read_labels(save("none.npy", np.array([np.nan, np.nan])))


def test_a_column_of_an_array_is_one_entry_per_item(save):
    assert read_column(save("l.npy", np.array([[1], [2]]))).tolist() == [1, 2]
    with pytest.raises(CompatError, match="one dimension"):
        read_column(save("l.npy", np.array([[1, 2], [3, 4]])))


def test_ids_and_labels_of_a_csv_stay_as_they_are_written(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("id,label,x\n007,NA,1\n7,null,2\n08,NA,3\n")
    assert read_ids(path).tolist() == read_vectors(path).ids.tolist() == ["007", "7", "08"]
    assert read_column(path, "label").tolist() == read_vectors(path).labels.tolist() == ["NA", "null", "NA"]
    np.testing.assert_array_equal(read_vectors(path).emb, [[1], [2], [3]])
    path.write_text("id,shop\n1,None\n2,nan\n3,n/a\n")
    assert read_column(f"{path}:shop").tolist() == ["None", "nan", "n/a"]
    path.write_text("id,label,x\n007,a,1\n,b,2\n,,3\n")
    for read in (read_ids, read_vectors):
        with pytest.raises(CompatError, match=r"column id.*2 empty, the first in row 1"):
            read(path)
    with pytest.raises(CompatError, match=r"column label.*1 empty, the first in row 2"):
        read_column(path, "label")
    path.write_text('"id","x"\n"row 1","007",1\n"row 2","08",2\n')  # as R writes it: row names without a header
    assert read_ids(path).tolist() == ["007", "08"]


@pytest.mark.parametrize("name", ["l.npy", "l.npz", "l.parquet", "l.csv"])
def test_a_blank_text_is_no_label_in_any_format(save, name):
    labels = np.array(["a", "b", "", "a", "  "])
    path = save(name, labels if name == "l.npy" else {"label": labels, "id": range(5)})
    path += ":label" if name == "l.npz" else ""
    with pytest.raises(CompatError, match=r"2 empty, the first in row 2; every item needs a value"):
        read_column(path, "label")


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["7", " 8", "-9"], [7, 8, -9]),
        (["1.0", "2.0"], [1, 2]),
        (["7", "08"], ["7", "08"]),
        (["1_0", "2"], ["1_0", "2"]),
        (["+7", "8"], ["+7", "8"]),
        (["inf", "nan"], ["inf", "nan"]),
        (["18446744073709551615", "1"], [2**64 - 1, 1]),
        (["99999999999999999999", "1"], ["99999999999999999999", "1"]),
    ],
)
def test_a_column_of_a_csv_is_numbers_where_it_is_written_so(tmp_path, cells, values):
    path = tmp_path / "items.csv"
    path.write_text("\n".join(["label", *cells]))
    assert read_column(path).tolist() == values


def test_a_weight_is_not_negative(save):
    assert read_weights(save("w.csv", {"asked": [0, 2.5, 7]}) + ":asked").tolist() == [0.0, 2.5, 7.0]
    with pytest.raises(CompatError, match=r"-2\.5.*row 1.*0 or more"):
        read_weights(save("v.csv", {"asked": [1, -2.5, -3]}) + ":asked")


def test_numbers_and_dates(save):
    path = save("c.csv", {"when": ["2020-01-01", "2021-01-01"], "size": [1.5, 2.0]})
    assert read_numbers(f"{path}:size").tolist() == [1.5, 2.0]
    assert read_ages(f"{path}:size").tolist() == [1.5, 2.0]
    dates = np.array(["2020-01-01", "2021-01-01"], dtype="datetime64[s]")
    for spec in (save("c.parquet", {"when": pa.array(dates)}) + ":when", f"{path}:when"):
        np.testing.assert_array_equal(read_ages(spec), dates, strict=True)
    with pytest.raises(CompatError, match="one finite number per item"):
        read_numbers(f"{path}:when")
    for read in (read_numbers, read_ages):
        with pytest.raises(CompatError, match="one finite number per item"):
            read(save("inf.npy", np.array([1.0, np.inf])))


def test_the_column_that_is_meant_where_nobody_names_one(save):
    items = {"id": list("ab"), "label": ["x", "y"], "shop": ["s", "t"]}
    path = save("items.csv", items)
    assert read_column(path, "label").tolist() == ["x", "y"] and read_column(path, "id").tolist() == ["a", "b"]
    assert read_column(path).tolist() == ["s", "t"], "the only one beside id and label"
    assert read_ids(path).tolist() == ["a", "b"]
    assert read_ids(save("plain.csv", {"shop": ["s"]})) is None and read_ids(save("v.npy", EMB)) is None
    with pytest.raises(CompatError, match=r"has 3 columns; say which: .*NAME \(id, size, price\)"):
        read_numbers(save("many.csv", {"id": list("ab"), "size": [1, 2], "price": [3, 4]}))


def test_dates_in_a_csv_are_instants(tmp_path):
    path = tmp_path / "seen.csv"
    path.write_text("when,other\n2024-01-01,a\n2024-01-01T01:00:00,b\n2024-01-01T03:00:00+02:00,c\n")
    instants = read_ages(f"{path}:when")
    assert (instants - instants[0]).astype(int).tolist() == [0, 3600, 3600]
    np.save(tmp_path / "when.npy", np.array(["1969-12-31", "1970-01-02"]))
    assert read_ages(tmp_path / "when.npy").astype(int).tolist() == [-86400, 86400]
    for text in ("03/04/2024", "2024-13-01", "soon"):
        path.write_text(f"when\n2024-01-01\n{text}\n")
        with pytest.raises(CompatError, match=f"{text}.*row 1 is neither a number nor a date"):
            read_ages(path)
    np.save(tmp_path / "nat.npy", np.array(["2024-01-01", "NaT"], dtype="datetime64[D]"))
    with pytest.raises(CompatError, match="row 1 holds no date"):
        read_ages(tmp_path / "nat.npy")


def test_qrels(tmp_path):
    path = tmp_path / "judged.txt"
    path.write_text("q1 0 a 1\nq1 0 b 0\n\nq2 0 a 2\n")
    assert read_qrels(path) == {"q1": {"a": 1.0, "b": 0.0}, "q2": {"a": 2.0}}
    path.write_text("q1 0 a 1\nq1 a\n")
    with pytest.raises(CompatError, match="line 2"):
        read_qrels(path)
    path.write_text("\n")
    with pytest.raises(CompatError, match="no judgement"):
        read_qrels(path)


def test_empty_cells_and_stray_texts_are_refused_and_texts_keep_their_length(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text("shop,x\ncar,1\n,2\ncat,3\n")
    with pytest.raises(CompatError, match="1 empty, the first in row 1"):
        read_column(f"{path}:shop")
    path.write_text("shop,x\ncar,1\ncow,2\ndonkey,3\n")
    assert read_column(f"{path}:shop").tolist() == ["car", "cow", "donkey"]
    path.write_text("a,b\n1,2\n3,oops\n5,6\n")
    with pytest.raises(CompatError, match="column b, row 1"):
        read_vectors(path)
