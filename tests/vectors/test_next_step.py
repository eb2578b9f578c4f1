"""The steps that carry a decision out: commands that the command line takes, and the very map that was judged."""

import json
import shlex
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from compat_core.adapters import load_map
from compat_core.cli import main
from compat_core.vectors.backfill_list import (
    _MappedRows,
    listed_option,
    order_of_all,
    order_sentence,
    order_sentences,
    write_order,
)
from compat_core.vectors.decision import decide
from compat_core.vectors.decision_config import DecisionConfig
from compat_core.vectors.next_step import next_steps
from compat_core.vectors.options import BACKFILL
from compat_core.vectors.plan import usable_orders
from tests.vectors.worlds import better_new, quick

FILES = {"old": "o.npy", "new": "n.npy", "ids": "i.npy", "side": "s.npy", "images": "p"}
CONFIG = asdict(DecisionConfig())


def words(option, files=FILES, folder=Path("out"), config=CONFIG):
    return [step.words for step in next_steps(option, files, folder, config) if step.words]


def test_gallery_options_migrate_and_backfills_beside_them_migrate_the_rest():
    (plain,) = words("ridge old→new")
    assert plain[:5] == ["migrate", "--map", str(Path("out/map")), "--adapter", "ridge"]
    assert "--side" not in plain and "--images" not in plain and plain[plain.index("--ids") + 1] == "i.npy"
    assert words("ridge old→new + 20 % backfilled (random order)") == [plain]


def test_side_information_goes_along_where_the_option_uses_it():
    (found,) = words("fct old→new, with side-information")
    assert found[found.index("--side") + 1] == found[found.index("--vectors-side") + 1] == "s.npy"


def test_what_was_changed_for_the_decision_is_changed_for_the_fit():
    text = " ".join(words("fct old→new", config=CONFIG | {"steps": 100, "pairs": 300, "judged": 50, "seed": 7})[0])
    assert "--adapter fct:steps=100" in text and "--pairs 300 --judged 50 --seed 7" in text
    assert "--adapter ridge --pairs" in " ".join(words("ridge old→new", config=CONFIG | {"steps": 100})[0])
    assert "--adapter fct --pairs" in " ".join(words("fct old→new", config=CONFIG | {"steps": 10**6})[0])


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("full backfill", "every item again"),
        ("rank merge by score, 20 % backfilled", "merge the two lists by score"),
        ("slerp", "both models for queries"),
    ],
)
def test_what_no_command_does_is_said_in_words(option, said):
    (step,) = next_steps(option, FILES, Path("out"), CONFIG)
    assert said in step.say and not step.words


def test_the_step_of_slerp_names_the_share_of_the_angle_that_was_judged():
    rows = decide(better_new(), quick(shares=()))[0].to_dict()["rows"]
    (summary,) = [row["summary"] for row in rows if row["name"] == "slerp"]
    (step,) = next_steps("slerp", FILES, Path("out"), CONFIG, rows=rows)
    share = summary.partition("(")[2].partition(" of the way")[0]
    assert 0 < float(share) < 1 and f"towards it by {share} of the angle" in step.say


def test_every_option_of_a_decision_that_changes_something_has_a_step():
    decision, _ = decide(better_new(), quick(shares=(0.25,)))
    idle = {row.name for row in decision.rows if not next_steps(row.name, FILES, Path("out"), CONFIG)}
    assert idle == {"status quo", "naive swap"}


@pytest.mark.parametrize("option", ["", "status quo", "a model of one's own"])
def test_nothing_where_there_is_nothing_to_do(option):
    assert next_steps(option, FILES, Path("out"), CONFIG) == []
    assert next_steps("ridge old→new", {}, Path("out"), CONFIG) == [], "a run's vectors have no file"


def saved(given, folder):
    files = {name: str(folder / f"{name}.npy") for name in ("old", "new", "labels", "side")}
    files = {name: path for name, path in files.items() if getattr(given, name) is not None}
    for name, path in files.items():
        np.save(path, getattr(given, name))
    return files


@pytest.mark.parametrize(
    ("option", "written"),
    [("ridge old→new", "migrated.npy"), ("ridge new→old", "queries-in-old.npy"), ("fct old→new", "migrated.npy"),
     ("fct old→new, with side-information", "migrated.npy"), ("residual-mlp new→old", "queries-in-old.npy")],
)  # fmt: skip
def test_the_printed_steps_make_the_map_that_was_judged(option, written, tmp_path, capsys):
    rng = np.random.default_rng(1)
    given = better_new(side=rng.standard_normal((500, 4)).astype(np.float32))
    config = quick(adapters=(option.partition(" ")[0],), steps=30, pairs=200, judged=150, seed=4)
    decision, evidence = decide(given, config)
    for step in words(option, saved(given, tmp_path), tmp_path, decision.to_dict()["config"]):
        assert main(step) == 0, capsys.readouterr().err
    capsys.readouterr()
    judged, fitted = evidence.of(option)[0].vector_map, load_map(tmp_path / "map")
    rows = torch.from_numpy(np.asarray(given.old if "old→new" in option else given.new))
    side = torch.from_numpy(given.side) if fitted.side_dim else None
    torch.testing.assert_close(fitted(rows, side), judged(rows, side))
    assert np.load(tmp_path / written).shape == (500, 8)


def test_mapped_queries_search_the_old_vectors_as_printed(tmp_path, capsys):
    given = better_new(noise=0.2)
    found = words("ridge new→old", saved(given, tmp_path), tmp_path, CONFIG | {"judged": 100})
    assert [step[0] for step in found] == ["fit-map", "migrate", "mixed-search"]
    for step in found[:2]:
        assert main(step) == 0
    said = capsys.readouterr().out
    assert "Queries of the new model go through it with: python -m compat_core migrate" in said
    assert "mixed-search --query MAPPED.npy --part old=OLD.npy" in said
    assert main([*found[2], "-k", "1", "--json"]) == 0
    hits = json.loads(capsys.readouterr().out)
    assert np.mean([first["id"] == f"old.npy:{row}" for row, (first,) in enumerate(hits)]) > 0.5
    assert main([*found[2], "--part", f"new={tmp_path / 'new.npy'}"]) == 2
    assert "queries were mapped into the space of old" in capsys.readouterr().err


def test_a_folder_with_a_map_of_other_pairs_is_refused(tmp_path, capsys):
    files = saved(better_new(), tmp_path)
    (found,) = words("ridge old→new", files, tmp_path)
    assert main(found) == 0
    found[found.index("--pairs") + 1] = "100"
    (tmp_path / "migrated.npy").unlink()
    assert main(found) == 2 and "fitted on other pairs" in capsys.readouterr().err
    fit = ["fit-map", "--old", files["old"], "--new", files["new"], "--adapter", "ridge", "--out", str(tmp_path / "m")]
    assert main([*fit, "--judged", "100"]) == 2 and "--pairs as well" in capsys.readouterr().err


# -- In what order to backfill -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ordered():
    given = better_new(
        weights=np.random.default_rng(2).random(500), ids=np.array([f"item {row}" for row in range(500)])
    )
    return given, *decide(given, quick())


def part_of(decision, order):
    return next(row.name for row in decision.rows if row.name.endswith(f"({order} order)"))


@pytest.mark.parametrize("order", ["random", "class-mean", "class", "popularity"])
@pytest.mark.parametrize("distance", ["cosine", "l2"])
def test_every_row_is_listed_in_the_order_that_was_judged(ordered, order, distance, monkeypatch):
    given, decision, evidence = ordered
    for module in ("compat_core.vectors.backfill_list", "compat_core.retrieval.orderings.base"):
        monkeypatch.setattr(f"{module}.BATCH_ROWS", 64)
    judged = evidence.of(part_of(decision, "random"))[0]
    option = type(judged)(judged.name.replace("random", order), BACKFILL, "", 0.25, judged.scorer, judged.vector_map)
    found = order_of_all(given, option, distance, seed=3)
    assert sorted(found) == list(range(500))
    mapped = judged.vector_map(torch.from_numpy(np.asarray(given.old))).detach().numpy()
    expected = usable_orders(mapped, given.labels, given.weights, None, distance)
    assert np.asarray(_MappedRows(given, judged.vector_map)) == pytest.approx(mapped, abs=1e-6)  # taken as a whole
    if order != "random":
        assert (found == expected[order]).all()


def test_the_list_is_of_the_recommended_part_backfill_else_of_the_best(ordered, tmp_path):
    given, decision, evidence = ordered
    decided = decision.to_dict()
    parts = [row for row in decided["rows"] if row["kind"] == BACKFILL]
    best = max(parts, key=lambda row: row["gain"]["mAP"]["value"])["name"]
    assert listed_option(decided | {"recommended": ""}) == best
    assert listed_option(decided | {"recommended": parts[0]["name"]}) == parts[0]["name"]
    assert listed_option(decided | {"rows": []}) == ""
    listed = write_order(tmp_path, given, evidence, decided | {"recommended": parts[0]["name"]})
    table = pd.read_csv(tmp_path / listed["file"])
    assert list(table.columns) == ["rank", "row", "id", "share"] and listed["rows"] == len(table) == 500
    assert (table["rank"] == np.arange(1, 501)).all() and table["share"].iloc[-1] == 1
    assert (table["id"] == [f"item {row}" for row in table["row"]]).all()
    (_, then) = next_steps(parts[0]["name"], FILES, tmp_path, decided["config"], listed)
    assert f"rank 1 to 125 in {tmp_path / 'backfill-order.csv'}" in then.say and not then.words
    other = parts[0]["name"].replace(listed["order"], "another")
    assert "in another order" in next_steps(other, FILES, tmp_path, decided["config"], listed)[1].say


def test_every_ordering_says_what_it_takes(ordered):
    _, decision, _ = ordered
    assert "it takes the class of every row in production" in order_sentence(
        "ridge old→new + 25 % backfilled (class-mean order)"
    )
    assert order_sentence("ridge old→new") == "" and "cannot be had" in order_sentences(["oracle"])
    assert all(order_sentence(row.name) for row in decision.rows if row.kind == BACKFILL)


def test_decide_prints_the_steps_and_lists_the_order(tmp_path, capsys):
    files = saved(better_new(), tmp_path)
    arguments = [word for name, file in files.items() for word in (f"--{name}", file)]
    quickly = ["--adapters", "procrustes,ridge", "--judged", "150", "--queries", "60", "--training-gpu-hours", "1"]
    assert main(["decide", *arguments, *quickly, "--target", "0.5", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    document = json.loads((tmp_path / "out" / "decision.json").read_text())
    assert document["next"] == document["steps"][0]["words"]
    assert shlex.join(["python", "-m", "compat_core", *document["next"]]) in said
    assert str(tmp_path / "out" / "backfill-order.csv") in said and document["backfill_order"]["rows"] == 500
    assert pd.read_csv(tmp_path / "out" / "backfill-order.csv")["row"].is_unique
