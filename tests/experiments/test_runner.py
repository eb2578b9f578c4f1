"""A whole experiment: honest cells, the same numbers twice, and the same numbers after being killed anywhere."""

import dataclasses
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compat_core.cli import main
from compat_core.data import distant
from compat_core.errors import CompatError
from compat_core.experiments import estimate
from compat_core.experiments.artefacts import Artefacts
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.presets import PRESETS, command_line, configure
from compat_core.experiments.queue import check_resumable
from compat_core.experiments.reporting import NullTracker
from compat_core.experiments.runner import execute, run_experiment
from compat_core.experiments.store import RunStore
from compat_core.metrics import METRICS, evaluate_retrieval
from compat_core.retrieval.orderings import ORDERINGS
from compat_core.spec import Spec, parse_specs

ROOT = Path(__file__).parents[2]
QUICK_FCT = Spec("fct", {"width": 32, "epochs": 3, "side_dim": 8, "side_epochs": 2, "views": 1}, "fct")
CELLS = ["old/old", "new/old", "new/migrated", "new/new", "paragon"]


def quick(**changes):
    config = configure(
        "demo",
        methods=parse_specs("independent,bct-sys"),
        **({"epochs": 6, "train_limit": 600, "test_limit": 200} | changes),
    )
    return config.replace(methods=(*config.methods, QUICK_FCT), resamples=200)


def values(run):
    return [{key: value for key, value in row.items() if key != "run"} for row in run.rows()]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run_experiment(quick(), RunStore(tmp_path_factory.mktemp("runs")))


def test_which_method_maps_old_rows_is_learnt_from_its_parts_once(finished, monkeypatch):
    files = Artefacts(finished.path)
    assert [files.maps_old(0, name) for name in ("fct", "bct-sys", "not-there")] == [True, False, False]
    monkeypatch.setattr(Artefacts, "load_upgrade", None)
    assert files.maps_old(0, "fct") and not files.maps_old(0, "bct-sys")


def test_rows_are_tidy_and_complete(finished):
    rows = finished.rows()
    columns = ["run", "dataset", "method", "seed", "cell", "metric", "value", "ci_low", "ci_high", "num_queries"]
    assert all(list(row) == columns for row in rows)
    for method in ("independent", "bct-sys", "fct"):
        for metric in METRICS.names():
            found = {row["cell"]: row for row in rows if (row["method"], row["metric"]) == (method, metric)}
            assert list(found) == CELLS
            for row in found.values():
                assert 0 <= row["ci_low"] <= row["value"] <= row["ci_high"] <= 1


def test_cells_mean_what_they_say(finished):
    """Recomputed from the stored vectors, with nothing of the runner's own code."""
    files = Artefacts(finished.path)
    gallery = files.gallery()
    labels, ids = np.asarray(gallery.labels), np.asarray(gallery.ids)

    def mean_ap(query, items):
        return evaluate_retrieval(query, labels, items, labels, ids, ids, device="cpu").mean_ap

    old, paragon = files.embedding(0, "old", "old"), files.embedding(0, "paragon", "new")
    for method in ("independent", "bct-sys", "fct"):
        cell = {
            row["cell"]: row["value"] for row in finished.rows() if (row["method"], row["metric"]) == (method, "mAP")
        }
        part = {kind: files.embedding(0, method, kind) for kind in ("new", "query", "gallery_old", "gallery_new")}
        assert cell["old/old"] == pytest.approx(mean_ap(old, old))
        assert cell["new/old"] == pytest.approx(mean_ap(part["new"], old))
        assert cell["new/migrated"] == pytest.approx(mean_ap(part["query"], part["gallery_old"]))
        assert cell["new/new"] == pytest.approx(mean_ap(part["query"], part["gallery_new"]))
        assert cell["paragon"] == pytest.approx(mean_ap(paragon, paragon))
    assert np.array_equal(files.embedding(0, "fct", "query"), paragon)


def test_unmapped_methods_repeat_the_cross_cell_and_free_methods_the_paragon(finished):
    table = {(row["method"], row["cell"], row["metric"]): row["value"] for row in finished.rows()}
    for metric in METRICS.names():
        assert table["bct-sys", "new/old", metric] == table["bct-sys", "new/migrated", metric]
        assert table["fct", "new/new", metric] == table["fct", "paragon", metric]
        assert table["fct", "new/old", metric] == table["independent", "new/old", metric]
    assert table["fct", "new/new", "cost_to_new(mAP)"] == 0


def test_derived_numbers_by_hand(finished):
    table = {(row["method"], row["cell"], row["metric"]): row["value"] for row in finished.rows()}
    for method in ("independent", "bct-sys", "fct"):
        old, cross, new, paragon = (table[method, cell, "mAP"] for cell in ("old/old", *CELLS[2:]))
        assert table[method, "new/migrated", "gain(mAP)"] == pytest.approx(cross - old)
        recovered = (cross - old) / (paragon - old)
        assert table[method, "new/migrated", "recovered_gain(mAP)"] == pytest.approx(recovered)
        expected = pytest.approx(recovered) if cross > old else None
        assert table[method, "new/migrated", "update_gain(mAP)"] == expected
        assert table[method, "new/new", "cost_to_new(mAP)"] == pytest.approx(paragon - new)
        flips = [table[method, "new/migrated", f"{way}_flips"] for way in ("positive", "negative")]
        assert flips[0] - flips[1] == pytest.approx(cross_change(table, method))


def cross_change(table, method):
    return table[method, "new/migrated", "CMC@1"] - table[method, "old/old", "CMC@1"]


def test_same_seed_twice_gives_the_same_table(finished, tmp_path):
    assert values(run_experiment(quick(), RunStore(tmp_path))) == values(finished)


def test_images_that_do_not_fit_the_device_give_the_same_table(tmp_path, monkeypatch):
    auto = Spec("fct", QUICK_FCT.params | {"side": "autoencoder"}, "fct-autoencoder")
    config = quick(epochs=2, train_limit=300, test_limit=60)
    config = config.replace(methods=(*config.methods, auto, *parse_specs("bt2")))
    here = run_experiment(config, RunStore(tmp_path / "here"))
    monkeypatch.setattr(distant, "room_for_images", lambda device: 0)
    there = run_experiment(config, RunStore(tmp_path / "there"))
    assert values(there) == values(here)
    assert "do not fit cpu: read batch by batch" in (there.path / "log.txt").read_text()


def test_another_seed_gives_another_table(finished, tmp_path):
    other = run_experiment(quick(seeds=(1,)), RunStore(tmp_path))
    assert {row["value"] for row in values(other)} != {row["value"] for row in values(finished)}
    assert other.results()["num_queries"] == finished.results()["num_queries"]


class Stopped(Exception):
    """Stands for a power cut: nothing catches it."""


class StoppingTracker(NullTracker):
    def __init__(self, after: int) -> None:
        self.left = after

    def event(self, kind, **fields):
        self.left -= 1
        if self.left < 0:
            raise Stopped


@pytest.mark.parametrize("after", [1, 4, 7, 9, 11, 13])
def test_stopped_anywhere_and_resumed_gives_the_same_table(after, finished, tmp_path, monkeypatch):
    monkeypatch.setattr("compat_core.training.loop.CHECKPOINT_EVERY_S", 0.0)
    run = RunStore(tmp_path).create(quick())
    with pytest.raises(Stopped):
        execute(run, StoppingTracker(after))
    assert run.results() is None
    execute(run)
    assert values(run) == values(finished)
    assert not list((run.path / "checkpoints").glob("*"))


def test_killed_process_resumes_to_the_same_table(finished, tmp_path):
    """The real thing: SIGKILL in the middle of training, then ``run --resume``."""
    config = tmp_path / "config.json"
    config.write_text(json.dumps(quick().to_dict()))
    command = [sys.executable, "-m", "compat_core", "run", "--runs-dir", str(tmp_path / "runs")]
    process = subprocess.Popen([*command, str(config)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        started = list((tmp_path / "runs").glob("*/models/seed0/old/model.json"))
        if started:
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    (run,) = RunStore(tmp_path / "runs").list()
    assert run.status.state == "lost"
    done = subprocess.run([*command, "--resume", run.id], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert values(run) == values(finished)


def test_every_unreadable_file_is_listed_with_its_reason(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPATBENCH_CACHE", "off")
    rng = np.random.default_rng(0)
    for name in "abcd":
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(12):
            pixels = rng.integers(0, 256, (8, 8), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{index}.png")
    bad = [f"a/bad{index}.png" for index in range(5)]
    for name in bad:
        (tmp_path / "photos" / name).write_text("no image")
    config = configure("demo", dataset=f"folder:{tmp_path / 'photos'}", methods=parse_specs("independent"), epochs=1)
    run = run_experiment(config.replace(resamples=100), RunStore(tmp_path / "runs"))
    listed = json.loads((run.path / "unreadable_files.json").read_text())
    assert sorted(entry["file"] for entry in listed) == bad
    assert {entry["reason"] for entry in listed} == {"not an image in a known format"}
    notes = run.results()["dataset_card"]["notes"]
    assert any("5 unreadable file(s) skipped" in note for note in notes)
    assert any("unreadable_files.json" in note for note in notes)


def test_unknown_names_are_refused_before_a_folder_is_made(tmp_path):
    data = quick().data
    for change in (
        {"methods": parse_specs("bct-sis")},
        {"methods": parse_specs("bct:wieght=2")},
        {"data": dataclasses.replace(data, dataset="digit")},
        {"data": dataclasses.replace(data, eval_dataset="digit")},
    ):
        with pytest.raises(CompatError):
            run_experiment(quick().replace(**change), RunStore(tmp_path))
    assert RunStore(tmp_path).list() == []


def test_what_a_method_or_a_loss_cannot_serve_is_refused_before_a_model_is_trained(tmp_path):
    demo = configure("demo", epochs=1, train_limit=100, test_limit=40, methods=parse_specs("independent"))
    narrow = dataclasses.replace(demo.new, dim=16)
    cases = [
        ("bt2.extra.*between 48 and 64", demo.replace(methods=parse_specs("bt2"), new=narrow)),
        ("lce-cross.*distance.*directions only", demo.replace(methods=parse_specs("lce-cross"), distance="l2")),
        ("lce-transformed.*distance", demo.replace(methods=parse_specs("lce-transformed"), distance="dot")),
        ("10 classes, 8 dimensions", demo.replace(new=dataclasses.replace(narrow, dim=8, loss=Spec("simplex")))),
    ]
    for index, (message, config) in enumerate(cases):
        store = RunStore(tmp_path / str(index))
        with pytest.raises(CompatError, match=message):
            run_experiment(config, store)
        assert not list(store.root.glob("*/models/*/*"))


@pytest.mark.parametrize("label", ["old", "paragon", "Paragon2", "v1"])
def test_a_method_cannot_take_the_name_of_a_model(label):
    with pytest.raises(CompatError, match="names of the models"):
        ExperimentConfig(methods=parse_specs(f"independent:as={label}"))


@pytest.fixture
def copy(finished, tmp_path):
    return RunStore(tmp_path).get(Path(shutil.copytree(finished.path, tmp_path / finished.id)).name)


def test_a_list_that_is_gone_is_not_replaced_by_another_cell_s(copy):
    files = Artefacts(copy.path)
    whole = files.ranking(0, "bct-sys", "new/migrated")  # shared: the method maps nothing
    np.testing.assert_array_equal(whole["mAP"], files.ranking(0, "bct-sys", "new/old")["mAP"])
    np.testing.assert_array_equal(
        files.ranking(0, "independent", "new/new")["mAP"], files.ranking(0, "independent", "paragon")["mAP"]
    )
    for label, cell in (("fct", "new/migrated"), ("bct-sys", "new/new")):
        files.ranking_file(0, label, cell).unlink()
        with pytest.raises(CompatError, match="ranked lists"):
            files.ranking(0, label, cell)


def test_damaged_files_are_named_and_their_stages_made_anew(copy, finished):
    files = Artefacts(copy.path)
    lists = files.ranking_file(0, "bct-sys", "new/new")
    lists.write_bytes(lists.read_bytes()[:100])
    with pytest.raises(CompatError, match=r"ranked lists.*damaged"):
        files.ranking(0, "bct-sys", "new/new")
    (files.model_dir(0, "fct") / "upgrade.json").write_text("{")
    (files.model_dir(0, "old") / "head.safetensors").write_bytes(b"")
    with pytest.raises(CompatError, match=r"method.*damaged"):
        files.load_upgrade(0, "fct")
    (copy.path / "results.json").write_text("{")
    check_resumable(copy)
    copy.request_cancel()  # an earlier request ends the run no second time
    run_experiment(copy.config, resume=copy)
    assert values(copy) == values(finished)
    log = (copy.path / "log.txt").read_text()
    assert "old is made anew" in log and "fct is made anew" in log


def test_empty_old_split_is_one_clear_line(tmp_path):
    from compat_core.data.config import ScenarioConfig

    with pytest.raises(CompatError, match="old_classes"):
        run_experiment(quick().replace(scenario=ScenarioConfig(old_classes=0.0)), RunStore(tmp_path))


def test_too_little_memory_is_said_before_the_first_model_is_trained(finished, tmp_path, monkeypatch):
    assert "of memory are needed" not in finished.log_tail(100)
    monkeypatch.setattr(estimate, "memory_of", lambda device: 100_000_000)
    said = run_experiment(quick(), RunStore(tmp_path)).log_tail(100)
    assert said.index("GB of memory are needed, and there are 0.1") < said.index("seed 0: old")


def test_batch_larger_than_the_data_and_k_larger_than_the_gallery_work(tmp_path):
    run = run_experiment(quick(batch_size=5000), RunStore(tmp_path))
    assert run.rows()


@pytest.mark.parametrize("preset", PRESETS.names())
def test_command_line_says_the_same_experiment(preset, capsys):
    other = "bct:weight=2,as=plain" if preset == "chain" else "fct:side=none,as=plain"  # what a chain can hold
    config = configure(preset, dataset="digits", seeds=(0, 1), epochs=7, methods=parse_specs(f"lce,{other}"))
    words = shlex.split(command_line(config))
    assert words[:3] == ["python", "-m", "compat_core"]
    assert main([*words[3:], "--dry-run"]) == 0
    assert ExperimentConfig.from_dict(json.loads(capsys.readouterr().out)) == config


@pytest.mark.parametrize("method", ["independent", "bct-sys", "fct"])
@pytest.mark.parametrize("cell", CELLS)
def test_stored_values_per_query_average_to_the_table(method, cell, finished):
    stored = Artefacts(finished.path).ranking(0, method, cell)
    assert stored["indices"].shape == stored["scores"].shape
    for name in METRICS.names():
        (row,) = [r for r in finished.rows() if (r["method"], r["cell"], r["metric"]) == (method, cell, name)]
        assert np.nanmean(stored[name].astype(np.float64)) == pytest.approx(row["value"], abs=1e-6)


@pytest.mark.parametrize("method", ["bct-sys", "fct"])
def test_backfill_curves_begin_migrated_and_end_new(method, finished):
    curves = {
        (entry["order"], entry["metric"]): entry
        for entry in finished.results()["backfill"]
        if entry["method"] == method
    }
    drawn = {ordering.name for ordering in ORDERINGS if ordering.drawable(("labels", "gallery_new"))}
    assert {order for order, _ in curves} == drawn
    table = {(row["cell"], row["metric"]): row["value"] for row in finished.rows() if row["method"] == method}
    for (_, metric), entry in curves.items():
        assert len(entry["values"]) == 22
        assert entry["values"][0] == pytest.approx(table["new/migrated", metric], abs=1e-5)
        assert entry["values"][-1] == pytest.approx(table["new/new", metric], abs=1e-5)
        assert entry["references"] == pytest.approx(
            {cell: table[cell, metric] for cell in ("old/old", "paragon")}, abs=1e-5
        )
        stored = Artefacts(finished.path).backfill(0, method)[f"{entry['order']} {metric}"]
        assert stored.mean() == pytest.approx(entry["auc"], abs=1e-6)


OFFLINE_PRESETS = [name for name in PRESETS.names() if name not in ("domain-shift", "chain")]


@pytest.mark.parametrize("preset", OFFLINE_PRESETS)
def test_every_preset_runs_in_small(preset, tmp_path):
    start = PRESETS.get(preset).config
    labels = [spec for spec in start.methods if spec.name != "fct" or preset == "control-weaker-new"]
    config = configure(preset, epochs=1, train_limit=120, test_limit=60, arch="tiny-conv", methods=tuple(labels[:2]))
    run = run_experiment(config.replace(resamples=100, backfill_queries=0), RunStore(tmp_path))
    assert {row["cell"] for row in run.rows()} == set(CELLS)


def test_presets_say_what_they_stand_for():
    for preset in PRESETS:
        assert preset.title and preset.summary.endswith((".", "?")) and preset.paper
        assert preset.config.preset == preset.name
