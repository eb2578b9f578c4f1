"""``evaluate`` on any vectors."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from compat_core.cli import main
from compat_core.metrics import evaluate_retrieval
from tests.commands.stage import one_error_line


@pytest.fixture
def vectors(tmp_path) -> list[str]:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 4)
    arguments = ["evaluate"]
    for side in ("query", "gallery"):
        emb = np.eye(5)[labels] + 0.3 * rng.normal(size=(20, 5))
        np.save(tmp_path / f"{side}.npy", emb.astype(np.float32))
        np.save(tmp_path / f"{side}-labels.npy", labels)
        np.save(tmp_path / f"{side}-ids.npy", np.arange(20))
        arguments += [f"--{side}", str(tmp_path / f"{side}.npy")]
        arguments += [f"--{side}-labels", str(tmp_path / f"{side}-labels.npy")]
    return [*arguments, "--device", "cpu"]


def test_evaluate_gives_metrics_of_any_vectors(vectors, tmp_path, capsys):
    assert main([*vectors, "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    arrays = {
        name: np.load(tmp_path / f"{name}.npy") for name in ("query", "query-labels", "gallery", "gallery-labels")
    }
    assert repr(evaluate_retrieval(*arrays.values()).mean_ap)[:8] in json.dumps(summary)
    assert main([*vectors, "--ci"]) == 0 and "mAP" in capsys.readouterr().out


def test_evaluate_warns_of_queries_that_find_themselves(vectors, tmp_path, capsys):
    assert main(vectors) == 0 and capsys.readouterr().err == ""
    copy = np.load(tmp_path / "query.npy")
    np.save(tmp_path / "gallery.npy", copy)
    assert main([*vectors, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["CMC@1"]["value"] == 1
    assert captured.err.startswith("warning: ") and captured.err.count("\n") == 1
    assert "--query-ids" in captured.err and "--gallery-ids" in captured.err
    ids = [part for side in ("query", "gallery") for part in (f"--{side}-ids", str(tmp_path / f"{side}-ids.npy"))]
    assert main([*vectors, *ids]) == 0 and capsys.readouterr().err == ""


def test_evaluate_warns_where_migrated_rows_seem_to_be_the_items_that_query(vectors, tmp_path, capsys):
    mixed = np.random.default_rng(1).permutation(np.load(tmp_path / "query-labels.npy"))
    for side in ("query", "gallery"):
        np.save(tmp_path / f"{side}-labels.npy", mixed)
    assert main(vectors) == 0
    said = capsys.readouterr().err
    assert said.startswith("warning: query and gallery hold the same labels row by row") and said.count("\n") == 1
    ids = [part for side in ("query", "gallery") for part in (f"--{side}-ids", str(tmp_path / f"{side}-ids.npy"))]
    assert main([*vectors, *ids]) == 0 and capsys.readouterr().err == ""
    np.save(tmp_path / "gallery-labels.npy", mixed[::-1])
    assert main(vectors) == 0 and capsys.readouterr().err == ""


def test_evaluate_refuses_bad_files(vectors, tmp_path, capsys):
    assert main([*vectors, "--query-ids", str(tmp_path / "query-ids.npy")]) == 2
    assert "--gallery-ids" in one_error_line(capsys)
    (tmp_path / "query.npy").write_bytes(b"no array")
    assert main(vectors) == 2
    assert "query.npy" in one_error_line(capsys)


@pytest.mark.parametrize("beside", [True, False])
def test_items_without_a_label_are_searched_and_never_wanted(beside, tmp_path, capsys):
    """Row 3 of both files has none: that makes them no pair."""
    rng = np.random.default_rng(0)
    labels, given = np.repeat(list("abcde"), 4), ["evaluate", "--device", "cpu", "--json"]
    whole = {}
    for side in ("query", "gallery"):
        emb = (np.eye(5)[np.repeat(np.arange(5), 4)] + 0.3 * rng.normal(size=(20, 5))).astype(np.float32)
        known = np.arange(20) % 4 != 3
        named = labels.copy()
        named[~known] = ""
        np.savez(tmp_path / f"{side}.npz", emb=emb, labels=named)
        np.save(tmp_path / f"{side}-labels.npy", named)
        given += [f"--{side}", f"{tmp_path / side}.npz:emb"]
        if beside:
            given += [f"--{side}-labels", str(tmp_path / f"{side}-labels.npy")]
        whole[side] = emb, known
    assert main(given) == 0
    said = capsys.readouterr()
    assert said.err.splitlines() == [
        "note: 5 queries without a label are not asked",
        "note: 5 gallery items without a label are searched, and relevant to nothing",
    ]
    (query, asks), (gallery, wanted) = whole.values()
    expected = evaluate_retrieval(
        query[asks], labels[asks], gallery, np.where(wanted, labels, [f"nothing {row}" for row in range(20)])
    )
    assert json.loads(said.out)["mAP"]["value"] == pytest.approx(expected.mean_ap)


def test_whole_numbers_are_labels_beside_a_side_with_gaps_and_no_labels_at_all_are_refused(vectors, tmp_path, capsys):
    assert main([*vectors, "--json"]) == 0
    full = json.loads(capsys.readouterr().out)
    table = pd.DataFrame({"label": np.repeat(np.arange(5), 4).astype(object)})
    table.loc[0, "label"] = None
    table.to_csv(tmp_path / "some.csv", index=False)
    some = [str(tmp_path / "some.csv") if part.endswith("query-labels.npy") else part for part in vectors]
    assert main([*some, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["num_queries"] == full["num_queries"] - 1 and 0.5 < found["mAP"]["value"] < 1
    np.save(tmp_path / "query-labels.npy", np.full(20, ""))
    assert main(vectors) == 2
    assert "holds no label" in one_error_line(capsys)


@pytest.mark.parametrize("ending", ["npz", "parquet", "csv"])
def test_evaluate_reads_what_the_other_commands_read(ending, vectors, tmp_path, capsys):
    named = [part for side in ("query", "gallery") for part in (f"--{side}-ids", str(tmp_path / f"{side}-ids.npy"))]
    assert main([*vectors, *named, "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    whole = ["evaluate", "--device", "cpu", "--json"]
    for side in ("query", "gallery"):
        emb, labels, ids = (np.load(tmp_path / f"{side}{more}.npy") for more in ("", "-labels", "-ids"))
        file = tmp_path / f"{side}.{ending}"
        if ending == "npz":
            np.savez(file, emb=emb, labels=labels, ids=ids)
        else:
            frame = pd.DataFrame(emb, columns=[f"d{column}" for column in range(emb.shape[1])])
            frame = frame.assign(id=ids, label=labels)
            frame.to_parquet(file) if ending == "parquet" else frame.to_csv(file, index=False)
        whole += [f"--{side}", f"{file}:emb" if ending == "npz" else str(file)]
    assert main(whole) == 0
    assert json.loads(capsys.readouterr().out)["mAP"]["value"] == pytest.approx(expected["mAP"]["value"], abs=1e-6)


def test_evaluate_takes_the_ids_of_one_side_from_its_own_file(vectors, tmp_path, capsys):
    named = [part for side in ("query", "gallery") for part in (f"--{side}-ids", str(tmp_path / f"{side}-ids.npy"))]
    assert main([*vectors, *named, "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    emb, labels, ids = (np.load(tmp_path / f"query{more}.npy") for more in ("", "-labels", "-ids"))
    np.savez(tmp_path / "query.npz", emb=emb, labels=labels, ids=ids)
    place = vectors.index("--gallery")
    query = ["evaluate", "--query", f"{tmp_path / 'query.npz'}:emb"]
    assert main([*query, *vectors[place:], *named[2:], "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == expected


def test_evaluate_brings_labels_to_the_vectors_by_id(vectors, tmp_path, capsys):
    assert main([*vectors, "--json"]) == 0
    expected = json.loads(capsys.readouterr().out)
    table = pd.DataFrame({"id": range(20), "label": np.load(tmp_path / "gallery-labels.npy")})
    table.sample(frac=1, random_state=0).to_csv(tmp_path / "labels.csv", index=False)
    np.save(tmp_path / "query-ids.npy", np.arange(100, 120))  # other items: none is left out
    named = [part for side in ("query", "gallery") for part in (f"--{side}-ids", str(tmp_path / f"{side}-ids.npy"))]
    arguments = [*vectors, *named, "--gallery-labels", str(tmp_path / "labels.csv"), "--json"]
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == expected
    table[1:].to_csv(tmp_path / "labels.csv", index=False)
    assert main(arguments) == 2
    assert "--gallery-labels: holds no value for 1 of 20 items, such as 0" in one_error_line(capsys)
    twice = np.arange(20) // 2  # two rows of an item, in the order of the vectors
    np.save(tmp_path / "gallery-ids.npy", twice)
    table.assign(id=twice).to_csv(tmp_path / "labels.csv", index=False)
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out) == expected


def test_evaluate_without_labels_says_which_to_give(vectors, tmp_path, capsys):
    place = vectors.index("--query-labels")
    assert main(vectors[:place] + vectors[place + 2 :]) == 2
    assert "--query-labels" in one_error_line(capsys)


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
    "directory": "is a folder",
    "object": "Python objects",
    "text": "not an .npy file",
    "empty file": "is empty (0 bytes)",
    "truncated": "truncated",
    "truncated header": "truncated",
    "archive": "archive",
    "broken archive": "not an .npy",
    "cube": "dimension",
    "nan": "in 1 of 2 rows, first in row 1",
    "texts": "real numbers",
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("option", ["--query", "--query-labels"])
def test_evaluate_says_what_is_wrong_with_a_file(option, kind, vectors, tmp_path, capsys):
    bad = tmp_path / "bad.npy"
    write(bad, kind)
    vectors[vectors.index(option) + 1] = str(bad)
    assert main(vectors) == 2
    line = one_error_line(capsys)
    if option == "--query":
        assert BAD[kind] in line


@pytest.mark.parametrize("values", [np.array([0.5]), np.array([]), np.array([np.nan]), np.array([1j])])
def test_labels_that_are_no_labels(values, vectors, tmp_path, capsys):
    np.save(tmp_path / "query-labels.npy", values)
    assert main(vectors) == 2
    assert "query-labels.npy" in one_error_line(capsys)
