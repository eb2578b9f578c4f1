"""``check``, ``fit-map``, ``migrate``, ``stamp`` and ``mixed-search`` as a script uses them."""

import json

import numpy as np
import pytest

from compat_core.cli import main
from tests.vectors.worlds import better_new


@pytest.fixture
def files(tmp_path):
    given = better_new()
    for name in ("old", "new", "labels"):
        np.save(tmp_path / f"{name}.npy", getattr(given, name))
    return tmp_path


def pair(folder):
    return ["--old", str(folder / "old.npy"), "--new", str(folder / "new.npy")]


def test_from_pairs_to_a_searched_mixed_gallery(files, capsys):
    assert main(["check", *pair(files), "--labels", str(files / "labels.npy")]) == 0
    versions = ["--old-model", "v1", "--new-model", "v2"]
    assert main(["fit-map", *pair(files), "--adapter", "ridge", *versions, "--out", str(files / "map")]) == 0
    moved = str(files / "moved.npy")
    assert main(["migrate", "--map", str(files / "map"), "--vectors", str(files / "old.npy"), "--out", moved]) == 0
    assert main(["stamp", str(files / "new.npy"), "--model", "v2"]) == 0
    capsys.readouterr()
    parts = ["--part", f"migrated={moved}", "--part", f"new={files / 'new.npy'}", "--space", "v2"]
    assert main(["mixed-search", "--query", str(files / "new.npy"), *parts, "-k", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found) == 500 and all(len(hits) == 3 for hits in found)
    assert found[7][0]["id"] == "new.npy:7" and found[7][0]["version"] == "new"
    assert main(["mixed-search", "--query", str(files / "new.npy"), *parts, "-k", "3", "--first", "8", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found[:8]
    assert main(["mixed-search", "--query", str(files / "new.npy"), *parts, "-k", "1"]) == 0
    assert "version" in capsys.readouterr().out
    old = ["--part", f"old={files / 'old.npy'}"]
    assert main(["mixed-search", "--query", str(files / "new.npy"), *old, "--space", "v2"]) == 2
    assert main(["mixed-search", "--query", str(files / "new.npy"), *old, "--map", str(files / "map")]) == 0


def test_an_item_in_two_parts_is_found_once_where_ids_are_given(files, capsys):
    np.save(files / "ids.npy", np.array([f"item {row}" for row in range(500)]))
    np.save(files / "moved.npy", np.load(files / "new.npy"))
    np.save(files / "some.npy", np.load(files / "new.npy")[:200])
    np.save(files / "some-ids.npy", np.load(files / "ids.npy")[:200])
    asked = ["mixed-search", "--query", str(files / "new.npy"), "--first", "3", "-k", "500", "--json"]
    parts = ["--part", f"migrated={files / 'moved.npy'}", "--part", f"new={files / 'some.npy'}"]
    ids = ["--ids", str(files / "ids.npy"), "--ids", str(files / "some-ids.npy")]
    assert main([*asked, *parts, *ids]) == 0
    said = capsys.readouterr()
    assert f"200 of 500 items of {files / 'moved.npy'} are in a newer or earlier part too" in said.err
    for hits in json.loads(said.out):
        assert sorted(hit["id"] for hit in hits) == sorted(np.load(files / "ids.npy").tolist())
        assert sum(hit["version"] == "new" for hit in hits) == 200
    assert main([*asked, *parts]) == 0
    assert {hit["id"].partition(":")[0] for hit in json.loads(capsys.readouterr().out)[0]} == {"moved.npy", "some.npy"}
    assert main([*asked, *parts, *ids[:2]]) == 2
    assert "must be given once for each of 2 parts" in capsys.readouterr().err
    assert main([*asked, *parts, "--ids", "-", *ids[2:]]) == 0


@pytest.mark.parametrize("unit", [True, False])
def test_vectors_that_lose_their_length_are_said(files, unit, capsys):
    for name in ("old", "new"):
        emb = np.load(files / f"{name}.npy")
        np.save(files / f"{name}.npy", emb / np.linalg.norm(emb, axis=1, keepdims=True) if unit else emb)
    where = ["--map", str(files / "m"), "--vectors", str(files / "old.npy"), "--out", str(files / "out.npy")]
    assert main(["migrate", "--adapter", "ridge", *pair(files), *where]) == 0
    mean = np.linalg.norm(np.load(files / "out.npy"), axis=1).mean()
    assert (f"have length 1, mapped ones {mean:.2f} on average" in capsys.readouterr().err) is unit


def test_migrate_fits_the_map_first_when_asked(files, capsys):
    moved = str(files / "moved.npy")
    arguments = ["migrate", "--map", str(files / "map"), "--vectors", str(files / "old.npy"), "--out", moved]
    assert main([*arguments, "--adapter", "procrustes"]) == 2
    assert "--old" in capsys.readouterr().err
    assert main([*arguments, "--adapter", "procrustes", *pair(files)]) == 0
    assert np.load(moved).shape == (500, 8)


def test_a_long_check_says_what_it_looks_at(files, monkeypatch, capsys):
    assert main(["check", *pair(files)]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("compat_core.vectors.inspection.LONG", 100)
    assert main(["check", *pair(files)]) == 0
    assert "looking at 500 old vectors" in capsys.readouterr().err


def test_check_exits_2_when_something_stops(files, capsys):
    emb = np.load(files / "old.npy")
    emb[3, 1] = np.inf
    np.save(files / "old.npy", emb)
    assert main(["check", *pair(files), "--json"]) == 2
    first = json.loads(capsys.readouterr().out)[0]
    assert (first["severity"], first["rows"]) == ("stop", [3])
    assert main(["decide", *pair(files), "--out", str(files / "out")]) == 2
    assert "row 3" in capsys.readouterr().err and not (files / "out").exists()


def test_decide_takes_tables_groups_ages_weights_and_other_options(files, capsys):
    import pandas as pd

    given = better_new()
    frame = pd.DataFrame(given.old).rename(columns=str).assign(id=np.arange(500), label=given.labels)
    frame.to_csv(files / "old.csv", index=False)
    pd.DataFrame({"id": np.arange(500)[::-1], "emb": given.new[::-1].tolist()}).to_parquet(files / "new.parquet")
    shops = pd.DataFrame({"shop": np.where(np.arange(500) % 2, "north", "south"), "age": np.arange(500)})
    shops.to_csv(files / "items.csv", index=False)
    items = str(files / "items.csv")
    arguments = ["decide", "--old", str(files / "old.csv"), "--new", str(files / "new.parquet"), "--adapters", "ridge"]
    arguments += ["--group", f"shop={items}:shop", "--ages", f"{items}:age", "--weights", f"{items}:age"]
    arguments += ["--option", f"copy={files / 'new.npy'},{files / 'new.npy'}", "--judged", "200", "--queries", "80"]
    assert main([*arguments, "--out", str(files / "out")]) == 0
    document = json.loads((files / "out" / "decision.json").read_text())
    assert {entry["grouping"] for entry in document["studies"]["harm"]} == {"class", "shop", "age"}
    assert "popularity" in {entry["order"] for entry in document["studies"]["plan"]}
    rows = {row["name"]: row for row in document["decision"]["rows"]}
    assert rows["copy"]["values"] == rows["full backfill"]["values"]
    assert any(finding["what"].startswith("shape and norms") for finding in document["checks"])


def test_decide_takes_side_information_and_pictures(files, capsys):
    given = better_new()
    np.save(files / "side.npy", given.new)
    np.save(files / "images.npy", (np.arange(500 * 64) % 251).astype(np.uint8).reshape(500, 8, 8))
    arguments = ["decide", *pair(files), "--side", str(files / "side.npy"), "--images", str(files / "images.npy")]
    arguments += [
        "--adapters",
        "fct",
        "--steps",
        "150",
        "--judged",
        "200",
        "--queries",
        "80",
        "--out",
        str(files / "out"),
    ]
    assert main(arguments) == 0
    document = json.loads((files / "out" / "decision.json").read_text())
    assert "fct old→new, with side-information" in {row["name"] for row in document["decision"]["rows"]}
    assert {"side", "images"} <= set(document["inputs"])
    assert list((files / "out" / "thumbnails").glob("*.png"))
    assert "data:image/png;base64," in (files / "out" / "decision.html").read_text()
    np.save(files / "short.npy", given.new[:-1])
    assert main([*arguments[:-1], str(files / "other"), "--side", str(files / "short.npy")]) == 2
    assert "--side" in capsys.readouterr().err and not (files / "other").exists()


def test_judgements_from_a_file(files, capsys):
    labels = np.load(files / "labels.npy")
    lines = [f"{q} 0 {i} 1" for q in range(500) for i in np.flatnonzero(labels == labels[q])]
    (files / "judged.txt").write_text("\n".join(lines))
    np.save(files / "ids.npy", np.arange(500))
    arguments = ["decide", *pair(files), "--ids", str(files / "ids.npy"), "--qrels", str(files / "judged.txt")]
    assert main([*arguments, "--adapters", "ridge", "--judged", "150", "--out", str(files / "out")]) == 0
    assert "relevance judgements" in capsys.readouterr().out


PAIR = ["--old", "old.npy", "--new", "new.npy"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "--old", "gone.npy", "--new", "gone.npy"], "no such file"),
        (["migrate", "--map", "gone", "--vectors", "old.npy", "--out", "x.npy"], "gone"),
        (
            ["fit-map", "--old", "old.npy", "--new", "new.npy", "--adapter", "rigde", "--out", "m"],
            "did you mean 'ridge'",
        ),
        (["fit-map", "--old", "old.npy", "--new", "new.npy", "--adapter", "ridge,cca", "--out", "m"], "one adapter"),
        (["mixed-search", "--query", "new.npy", "--part", "new.npy"], "VERSION=FILE"),
        (["decide", *PAIR, "--group", "x.npy", "--out", "o"], "NAME=FILE"),
        (["decide", *PAIR, "--option", "x=y", "--out", "o"], "QUERY,GALLERY"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(arguments, says, files, monkeypatch, capsys):
    monkeypatch.chdir(files)
    before = sorted(path.name for path in files.iterdir())
    assert main(arguments) == 2
    shown = capsys.readouterr().err
    assert says in shown and shown.count("\n") == 1, shown
    assert sorted(path.name for path in files.iterdir()) == before


def test_the_same_adapter_goes_on_however_it_is_written_and_another_is_refused(files, capsys):
    command = ["migrate", "--map", str(files / "m"), *pair(files), "--vectors", str(files / "old.npy")]
    assert main([*command, "--adapter", "ridge:normalise=true", "--out", str(files / "one.npy")]) == 0
    assert main([*command, "--adapter", "ridge:normalise= true", "--out", str(files / "two.npy")]) == 0
    capsys.readouterr()
    assert main([*command, "--adapter", "procrustes", "--out", str(files / "three.npy")]) == 2
    assert "already holds another map (ridge:normalise=true)" in capsys.readouterr().err


def test_check_looks_at_judgements_and_at_the_split(files, capsys):
    def check(*more):
        status = main(["check", *pair(files), *more, "--json"])
        captured = capsys.readouterr()
        return status, {finding["what"]: finding for finding in json.loads(captured.out or "[]")}

    ids = [f"item {row}" for row in range(500)]
    np.save(files / "ids.npy", np.array(ids).astype(str))
    qrels = files / "qrels.txt"
    qrels.write_text("".join(f"item{row} 0 item{row + 1} 1\n" for row in range(300)))
    status, found = check("--qrels", str(qrels))
    assert status == 2 and found["judgements"]["severity"] == "stop", "no ids"
    status, found = check("--qrels", str(qrels), "--ids", str(files / "ids.npy"))
    assert status == 2 and "item0, item1" in found["judgements"]["sentence"], "other names"
    np.save(files / "ids.npy", np.array([name.replace(" ", "") for name in ids]))
    status, found = check("--qrels", str(qrels), "--ids", str(files / "ids.npy"))
    assert status == 0 and found["judgements"]["severity"] == "info" and "leakage" not in found
    for name in ("old", "new"):
        emb = np.load(files / f"{name}.npy")
        emb[250:] = emb[:250] * 1.000001
        np.save(files / f"{name}.npy", emb)
    status, found = check()
    assert status == 0 and found["leakage"]["severity"] == "warn"
    for name in ("old", "new"):
        np.save(files / f"{name}.npy", np.load(files / f"{name}.npy")[:30])
    status, found = check()
    assert status == 0 and "needs at least 40" in found["split"]["sentence"]


def test_a_map_that_is_there_is_used_only_where_it_is_the_one_that_would_be_fitted(files, capsys):
    labels = ["--labels", str(files / "labels.npy")]
    begun = ["migrate", "--map", str(files / "map"), "--adapter", "ridge", "--vectors", str(files / "old.npy")]
    assert main([*begun, *pair(files), *labels, "--out", str(files / "moved.npy")]) == 0
    again = [*begun, "--out", str(files / "again.npy")]
    assert main([*again, *pair(files), *labels, "--seed", "1"]) == 2
    assert "already holds a map of seed 0" in capsys.readouterr().err
    np.save(files / "labels.npy", np.load(files / "labels.npy")[::-1])
    assert main([*again, *pair(files), *labels]) == 2
    assert "--labels" in capsys.readouterr().err
    np.save(files / "old.npy", np.load(files / "old.npy")[:, ::-1].copy())
    assert main([*again, *pair(files)]) == 2
    said = capsys.readouterr().err
    assert "--old" in said and "already holds a map fitted on another file" in said
    assert not (files / "again.npy").exists()
    assert main(again) == 0  # nothing is said about what it was fitted on


def test_a_map_for_queries_is_not_taken_for_one_of_the_gallery(files, capsys):
    fitted = ["--adapter", "ridge", *pair(files)]
    assert main(["fit-map", *fitted, "--to-old", "--out", str(files / "map")]) == 0
    moved = ["--vectors", str(files / "old.npy"), "--out", str(files / "moved.npy")]
    assert main(["migrate", "--map", str(files / "map"), *fitted, *moved]) == 2
    assert "already holds a map from new to old" in capsys.readouterr().err


@pytest.mark.parametrize("versions", [["--model", ""], ["--model", "v1", "--space", " "]])
def test_a_stamp_names_a_model(versions, files, capsys):
    assert main(["stamp", str(files / "old.npy"), *versions]) == 2
    assert "must name a model" in capsys.readouterr().err
    assert not (files / "old.npy.manifest.json").exists()
