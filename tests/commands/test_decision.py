"""``decide`` and ``gate`` as a script uses them."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from compat_core.cli import main
from compat_core.vectors.peek import InputFile, peek_errors
from tests.vectors.worlds import better_new, unrelated

QUICK = ["--adapters", "procrustes,ridge", "--judged", "150", "--queries", "60"]


@pytest.fixture
def files(tmp_path):
    def write(given):
        paths = {}
        for name in ("old", "new", "labels"):
            paths[name] = str(tmp_path / f"{name}.npy")
            np.save(paths[name], getattr(given, name))
        return paths

    return write


@pytest.fixture
def decided(files, tmp_path, capsys):
    paths = files(better_new())
    out = tmp_path / "out"
    code = main(
        ["decide", "--old", paths["old"], "--new", paths["new"], "--labels", paths["labels"], "--out", str(out), *QUICK]
    )
    assert code == 0
    return out, capsys.readouterr()


def test_decide_writes_a_folder_and_prints_the_table(decided):
    out, printed = decided
    document = json.loads((out / "decision.json").read_text())
    assert set(document["inputs"]) == {"old", "new", "labels"}
    assert len(document["inputs"]["old"]["sha256"]) == 64
    assert document["decision"]["config"]["seed"] == 0 and document["environment"]["packages"]["torch"]
    assert "Recommended: " in printed.out and "status quo" in printed.out
    assert (out / "decision.html").read_text().startswith("<!doctype html>")
    assert document["next"][0] in ("migrate", "fit-map")
    assert f"python -m compat_core {document['next'][0]}" in printed.out
    with np.load(out / "per_query.npz") as stored:
        assert len(stored["queries"]) == 60


def test_decide_writes_its_tables(decided):
    out, _ = decided
    options, groups, lost = (pd.read_csv(out / f"{name}.csv") for name in ("options", "harm-by-group", "lost-queries"))
    rows = {row["name"]: row for row in json.loads((out / "decision.json").read_text())["decision"]["rows"]}
    first = options[options["metric"] == "CMC@1"].set_index("option")
    assert set(first.index) == set(rows)
    assert first.loc["procrustes old→new", "gain"] == pytest.approx(
        rows["procrustes old→new"]["gain"]["CMC@1"]["value"]
    )
    assert set(groups["option"]) == set(rows) - {"status quo"} and set(groups["grouping"]) == {"class"}
    for name, part in groups.groupby("option"):
        assert (part["lost"] * part["num_queries"]).sum() / 60 == pytest.approx(rows[name]["lost"])
        assert (lost["option"] == name).sum() == round(rows[name]["lost"] * 60)
    labels = np.load(out.parent / "labels.npy")
    assert (labels[lost["query"]] == labels[lost["first_before"]]).all()
    assert (labels[lost["query"]] == lost["query_label"]).all()


def test_pictures_that_cannot_be_shown_are_counted(files, tmp_path, capsys):
    paths = files(better_new())
    np.save(tmp_path / "ids.npy", np.arange(500))
    (tmp_path / "pictures").mkdir()
    for row in range(400):
        Image.new("L", (8, 8)).save(tmp_path / "pictures" / f"{row}.png")
    arguments = ["decide", *(word for name, path in paths.items() for word in (f"--{name}", path)), *QUICK]
    arguments += ["--images", str(tmp_path / "pictures"), "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "holds 400 pictures, the old file 500 rows" in said and "--ids" in said
    assert main([*arguments, "--ids", str(tmp_path / "ids.npy")]) == 0
    assert re.search(r"Warning: \d+ of \d+ pictures could not be shown: missing or unreadable", capsys.readouterr().out)
    checks = {one["what"]: one for one in json.loads((tmp_path / "out" / "decision.json").read_text())["checks"]}
    assert min(checks["pictures"]["rows"]) >= 400


def test_pictures_from_a_folder_and_dates_from_a_csv(files, tmp_path):
    paths = files(better_new())
    ids = np.array([f"item-{row}" for row in range(500)])
    np.save(tmp_path / "ids.npy", ids)
    (tmp_path / "pictures").mkdir()
    for row, name in enumerate(ids):
        Image.new("RGB", (8, 8), (row % 256, row // 256, 0)).save(tmp_path / "pictures" / f"{name}.png")
    days = np.datetime64("2024-01-01") + np.arange(500)
    pd.DataFrame({"seen": days}).to_csv(tmp_path / "seen.csv", index=False)
    arguments = ["decide", "--old", paths["old"], "--new", paths["new"], "--labels", paths["labels"], *QUICK]
    more = ["--ids", str(tmp_path / "ids.npy"), "--images", str(tmp_path / "pictures")]
    ages = ["--ages", f"{tmp_path / 'seen.csv'}:seen"]
    assert main([*arguments, *more, *ages, "--out", str(tmp_path / "out")]) == 0
    kept = json.loads((tmp_path / "out" / "thumbnails" / "captions.json").read_text())
    assert kept
    for row, caption in kept.items():
        with Image.open(tmp_path / "out" / "thumbnails" / f"{row}.png") as image:
            assert image.getpixel((0, 0)) == (int(row) % 256, int(row) // 256, 0)
        assert caption.startswith(f"item-{row}, ")
    document = json.loads((tmp_path / "out" / "decision.json").read_text())
    assert document["inputs"]["images"]["files"] == 500
    groups = pd.read_csv(tmp_path / "out" / "harm-by-group.csv")
    assert (groups[groups["grouping"] == "age"].groupby("option").size() == 5).all()


def test_what_the_form_takes_decide_takes_too(files, tmp_path):
    """A column with a dot in its name, and endings in capitals."""
    given = better_new()
    paths = files(given)
    old = Path(paths["old"]).rename(tmp_path / "OLD.NPY")
    labels = pd.DataFrame({"product.category": given.labels, "shop": given.labels % 3})
    labels.to_csv(tmp_path / "LABELS.CSV", index=False)
    named = {"old": str(old), "new": paths["new"], "labels": f"{tmp_path / 'LABELS.CSV'}:product.category"}
    assert peek_errors({option: InputFile.at(text) for option, text in named.items()}) == {}
    arguments = [word for option, text in named.items() for word in (f"--{option}", text)]
    assert main(["decide", *arguments, "--out", str(tmp_path / "out"), *QUICK]) == 0
    document = json.loads((tmp_path / "out" / "decision.json").read_text())
    assert document["inputs"]["labels"]["file"] == "LABELS.CSV"
    assert named["labels"] in document["next"]


def test_an_adapter_that_is_left_out_is_named(files, tmp_path, capsys):
    paths = files(better_new())
    arguments = ["decide", "--old", paths["old"], "--new", paths["new"], "--out", str(tmp_path / "out"), *QUICK]
    assert main([*arguments, "--adapters", "ridge,fastfill"]) == 0
    assert "Left out: fastfill (needs labels" in capsys.readouterr().out
    document = json.loads((tmp_path / "out" / "decision.json").read_text())
    assert [entry["name"] for entry in document["decision"]["left_out"]] == ["fastfill"]


def test_what_was_brought_beside_the_vectors_is_named_and_warnings_are_printed(files, tmp_path, capsys):
    given = better_new()
    given.old[7], given.new[7] = given.old[3], given.new[3]  # a repeated row
    paths = files(given)
    np.save(tmp_path / "shop.npy", np.arange(500) % 3)
    arguments = ["decide", "--old", paths["old"], "--new", paths["new"], "--labels", paths["labels"], *QUICK]
    extra = ["--group", f"shop={tmp_path / 'shop.npy'}", "--option", f"mine={paths['new']},{paths['new']}"]
    assert main([*arguments, *extra, "--out", str(tmp_path / "out")]) == 0
    inputs = json.loads((tmp_path / "out" / "decision.json").read_text())["inputs"]
    assert len(inputs["group shop"]["sha256"]) == 64 and len(inputs["option mine"]) == 2
    assert "Warning: old: 1 row " in capsys.readouterr().out


def test_an_option_made_elsewhere_is_billed_as_what_it_is(files, tmp_path):
    paths = files(better_new())
    arguments = ["decide", "--old", paths["old"], "--new", paths["new"], "--labels", paths["labels"], *QUICK]
    for name in ("model", "mine", "turned"):
        arguments += ["--option", f"{name}={paths['new']},{paths['new']}"]
    kinds = ["--option-kind", "mine=map", "--option-kind", "turned=query-map"]
    assert main([*arguments, *kinds, "--out", str(tmp_path / "out")]) == 0
    rows = json.loads((tmp_path / "out" / "decision.json").read_text())["decision"]["rows"]
    works = {row["name"]: (row["kind"], row["work"]["retrained"], row["work"]["mapped"]) for row in rows}
    assert works["model"] == ("retrain", 1, 0.0) and works["mine"] == ("migrate", 0, 1.0)
    assert works["turned"] == ("map queries", 0, 0.0)
    assert next(row for row in rows if row["name"] == "mine")["summary"].endswith("counted as a map of the gallery.")


@pytest.mark.parametrize(
    "wrong",
    [
        ["--threshold", "nan"],
        ["--threshold", "inf"],
        ["--threshold", "2"],
        ["--threshold", "-1.5"],
        ["--threshold", "0.5", "--distance", "l2"],
        ["--gpu-price", "inf"],
        [],
    ],
)
def test_numbers_without_end_and_an_out_that_is_a_file_are_refused(files, tmp_path, capsys, wrong):
    paths = files(better_new())
    out = tmp_path / "out"
    if not wrong:
        out.write_text("a file")
    assert main(["decide", "--old", paths["old"], "--new", paths["new"], "--out", str(out), *QUICK, *wrong]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_gate_opens_and_shuts(decided, capsys):
    path = str(decided[0] / "decision.json")
    assert main(["gate", path, "--min-gain", "0"]) == 0
    assert main(["gate", str(decided[0]), "--min-gain", "0"]) == 0, "its folder will do"
    assert main(["gate", path, "--min-gain", "0.9"]) == 3
    assert main(["gate", path, "--option", "status quo", "--min-gain", "0.001"]) == 3
    assert "FAILED" in capsys.readouterr().out
    assert main(["gate", path, "--option", "full backfill", "--max-money", "0"]) == 3
    assert main(["gate", path]) == 2
    assert main(["gate", path, "--option", "full bakfill", "--min-gain", "0"]) == 2
    said = capsys.readouterr().err
    assert "did you mean 'full backfill'" in said.splitlines()[-1] and len(said.splitlines()[-1]) < 200


def test_gate_says_what_it_compares(decided, capsys):
    path = str(decided[0] / "decision.json")
    assert main(["gate", path, "--option", "full backfill", "--min-gain", "0", "--max-lost", "1"]) == 0
    said = capsys.readouterr().out
    assert "lower bound of the 95 % interval of the gain in mAP" in said and "max lost 1" in said
    assert main(["gate", path, "--option", "full backfill", "--min-gain", "0", "--max-money", "0", "--json"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert (found["open"], found["option"], found["metric"]) == (False, "full backfill", "mAP")
    assert [(one["rule"], one["met"]) for one in found["rules"]] == [("min_gain", True), ("max_money", False)]
    document = json.loads((decided[0] / "decision.json").read_text())
    for row in document["decision"]["rows"]:
        row["recovered"]["mAP"] = None
    (decided[0] / "decision.json").write_text(json.dumps(document))
    assert main(["gate", path, "--option", "full backfill", "--min-recovered", "0.9"]) == 3
    assert "has none: the full backfill gains nothing there" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (["--max-lost", "5"], "--max-lost 0.05"),
        (["--min-recovered", "90"], "--min-recovered 0.9"),
        (["--min-gain", "10"], "--min-gain 0.1"),
        (["--min-gain", "nan"], "from -1 to 1"),
        (["--max-lost", "-0.1"], "from 0 to 1"),
        (["--max-money", "nan"], "finite"),
        (["--max-money", "inf"], "finite"),
    ],
)
def test_limits_that_no_value_can_have_are_refused(decided, capsys, rule, says):
    assert main(["gate", str(decided[0] / "decision.json"), *rule]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1


def test_gate_is_shut_where_nothing_is_recommended(files, tmp_path, capsys):
    paths = files(unrelated())
    arguments = ["decide", "--old", paths["old"], "--new", paths["new"], "--labels", paths["labels"]]
    assert main([*arguments, "--out", str(tmp_path / "out"), *QUICK]) == 0
    assert main(["gate", str(tmp_path / "out" / "decision.json"), "--max-lost", "1"]) == 3
    assert "nothing is recommended" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["decide", "--out", "o"], "--old"),
        (["decide", "--run", "nothing", "--labels", "l.npy", "--out", "o"], "comes with the run"),
        (["decide", "--run", "nothing", "--out", "o"], "nothing"),
        (["gate", "missing.json", "--min-gain", "0"], "no such file"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(arguments, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COMPATBENCH_RUNS", str(tmp_path / "runs"))
    assert main(arguments) == 2
    shown = capsys.readouterr().err
    assert says in shown and shown.count("\n") == 1
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--group", "shop=a.npy", "--group", "shop=b.npy"], "--group.*named twice"),
        (["--option", "mine=a.npy,b.npy", "--option", "mine=a.npy,b.npy"], "--option.*named twice"),
        (["--option", "mine=a.npy"], "NAME=QUERY,GALLERY"),
        (["--group", "a.npy"], "NAME=FILE"),
        (["--option", "mine=a.npy,b.npy", "--option-kind", "mine=free"], "retrain, map, query-map"),
        (["--option", "mine=a.npy,b.npy", "--option-kind", "mien=map"], "did you mean 'mine'"),
        (["--option-kind", "map"], "NAME=KIND"),
        (["--run", "r"], "--old.*comes with the run"),
    ],
)
def test_malformed_options_are_refused_before_anything_is_read(more, says, tmp_path, capsys):
    assert main(["decide", "--old", "o.npy", "--new", "n.npy", *more, "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert re.search(says, error) and error.count("\n") == 1 and not (tmp_path / "out").exists()
