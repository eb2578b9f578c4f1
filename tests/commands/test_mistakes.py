"""Help, and bad input: one line on stderr, status 2, no run made."""

from __future__ import annotations

import errno
import io
import tempfile

import numpy as np
import pytest

from compat_core.cli import main
from compat_core.commands import catalogue
from tests.commands.stage import one_error_line
from tests.vectors.worlds import better_new


def test_help_lists_the_commands_for_people(capsys):
    for arguments in ([], ["--help"]):
        assert main(arguments) == 0
        shown = capsys.readouterr().out
        for name in (
            "demo",
            "run",
            "runs",
            "show",
            "table",
            "report",
            "claims",
            "reproduction",
            "evaluate",
            "decide",
            "gate",
            "check",
            "fit-map",
            "migrate",
            "stamp",
            "mixed-search",
            *catalogue.CATALOGUES,
        ):
            assert f"\n    {name} " in shown or f"\n    {name}\n" in shown  # a long name has its own line
        assert "dispatch" not in shown and "\n    work" not in shown
    assert main(["run", "--help"]) == 0 and "--train-limit" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["rnu"], ["unknown command", "'rnu'", "did you mean 'run'"]),
        (["dmeo"], ["did you mean 'demo'"]),
        (["run", "--preset", "demo", "--epohcs", "3"], ["--epohcs", "did you mean --epochs"]),
        (["run", "--preset", "demo", "--epohcs=3"], ["--epohcs", "did you mean --epochs"]),
        (["run", "--pre", "demo"], ["unknown option", "did you mean --preset"]),
        (["--verison"], ["did you mean --version"]),
        (["runs", "extra"], ["unexpected argument 'extra'"]),
        (["run", "--preset", "demo", "--epochs", "many"], ["--epochs", "'many'", "whole number"]),
        (["run", "--preset", "demo", "--epochs", "-3"], ["--epochs"]),
        (["run", "--preset", "demo", "--epochs", "0", "--dry-run"], ["epochs", "got 0", "from 1"]),
        (["run", "--preset", "demo", "--methods", "bct,fct:side=nonee", "--dry-run"], ["side", "'nonee'", "'none'"]),
        (["run", "--preset", "demo", "--methods", "pull", "--dry-run"], ["unknown method", "'pull'"]),
        (["run", "--preset", "dmo"], ["unknown preset", "'dmo'", "did you mean 'demo'"]),
        (["run", "--preset", "demo", "--distance", "cosin"], ["distance", "did you mean 'cosine'"]),
        (["run", "--preset", "demo", "--methods", "bct,bct"], ["methods", "named twice"]),
        (["run", "--preset", "demo", "--methods", "bct:x"], ["'x'", "key=value"]),
        (["run", "--preset", "demo", "--methods", "bct:weight=2,weight=3"], ["parameter weight", "given twice"]),
        (["run", "--preset", "demo", "--methods", "bct:as=a,as=b"], ["parameter as", "given twice"]),
        (["run", "--preset", "demo", "--methods", "plain=fct:side=none"], ["comes last", "fct:side=none,as=plain"]),
        (["run", "--preset", "demo", "--methods", "mine=bct"], ["comes last", "bct:as=mine"]),
        (["run", "--preset", "demo", "--methods", "lce,bct,weight=3"], ["follow a colon", "bct:weight=3"]),
        (["run"], ["needs CONFIG.json", "--preset"]),
        (["run", "a.json", "--preset", "demo"], ["not both"]),
        (["run", "nowhere.json"], ["config file", "nowhere.json", "no such file"]),
        (["run", "--resume", "nothing"], ["unknown run", "'nothing'"]),
        (["show", "../secret"], ["run", "must be an id"]),
        (["show"], ["show", "required", "RUN"]),
        (["table", "x", "--format", "xls"], ["--format", "'xls'", "csv"]),
        (["report", "x"], ["--out"]),
        (["work", "nothing"], ["unknown run"]),
        (["dispatch", "--device-key", "tpu"], ["--device-key", "tpu"]),
        (["evaluate", "--query", "q.npy"], ["required", "--gallery"]),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_status_2(store, capsys, arguments, parts):
    assert main(arguments) == 2
    line = one_error_line(capsys)
    for part in parts:
        assert part in line
    assert store.list() == []


def test_an_absent_gpu_is_refused_before_a_run_is_made(store, capsys, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["run", "--preset", "demo", "--device", "cuda"]) == 2
    assert "no CUDA GPU" in one_error_line(capsys)
    assert main(["demo", "--device", "abacus"]) == 2
    assert "abacus" in one_error_line(capsys)
    assert store.list() == []


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--dataset", "digist"], "did you mean 'digits'"),
        (["--dataset", "folder:/no/such/place"], "no such folder"),
        (["--methods", "bct,fcd"], "did you mean 'fct'"),
        (["--methods", "bct:lamda=1"], "lamda"),
        (["--arch", "resnt18"], "did you mean 'resnet18'"),
        (["--protocols", "verificaton"], "did you mean 'verification'"),
    ],
)
def test_unknown_names_are_refused_before_a_run_is_made(store, capsys, options, part):
    assert main(["run", "--preset", "demo", *options]) == 2
    assert part in one_error_line(capsys)
    assert store.list() == []


@pytest.mark.parametrize(
    ("preset", "method", "parts"),
    [
        ("dimension-up", "l2", ["method l2", "needs equal dimensions"]),
        ("dimension-up", "advbct", ["method advbct", "needs equal dimensions"]),
        ("demo", "d-simplex", ["method d-simplex", "set old.loss and new.loss to simplex"]),
    ],
)
def test_versions_a_method_cannot_serve_are_refused_before_a_run_is_made(store, capsys, preset, method, parts):
    assert main(["run", "--preset", preset, "--methods", method]) == 2
    line = one_error_line(capsys)
    for part in parts:
        assert part in line
    assert store.list() == []


@pytest.mark.parametrize(
    ("options", "parts", "absent"),
    [
        (["--image-size", "3"], ["tiny-conv", "at least 8 px, these have 3", "data.image_size to 8"], "use tiny-conv"),
        (["--image-size", "12", "--arch", "resnet18"], ["resnet18", "at least 16 px", "use tiny-conv"], "use resnet18"),
    ],
)
def test_images_too_small_for_a_backbone_are_refused_before_a_run_is_made(store, capsys, options, parts, absent):
    assert main(["run", "--preset", "demo", *options]) == 2
    line = one_error_line(capsys)
    for part in parts:
        assert part in line
    assert absent not in line
    assert store.list() == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["decide", "--old", "old.npy", "--new", "new.npy", "--out", "there/out"],
        ["fit-map", "--old", "old.npy", "--new", "new.npy", "--adapter", "ridge", "--out", "there/m"],
        ["migrate", "--map", "m", "--vectors", "old.npy", "--out", "there/x.npy"],
        ["stamp", "there/old.npy", "--model", "v1"],
    ],
)
def test_a_place_that_can_only_be_read_is_refused_before_the_work(arguments, tmp_path, monkeypatch, capsys):
    for path in (tmp_path / "there", tmp_path):
        path.mkdir(exist_ok=True)
        for name in ("old", "new"):
            np.save(path / f"{name}.npy", getattr(better_new(), name))

    def refuse(dir=None, **more):
        if dir.name == "there":
            raise OSError(errno.EROFS, "Read-only file system")
        return io.BytesIO()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr("compat_core.vectors.decision.decide", lambda *given: pytest.fail("judged"))
    assert main(arguments) == 2
    assert "Read-only file system" in one_error_line(capsys)
    assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["new.npy", "old.npy"]


def test_a_disk_that_fills_up_is_one_line_without_a_folder_of_runs(tmp_path, monkeypatch, capsys):
    np.save(tmp_path / "old.npy", better_new().old)

    def full(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("compat_core.vectors.migrate.write_manifest", full)
    assert main(["stamp", str(tmp_path / "old.npy"), "--model", "v1"]) == 2
    line = one_error_line(capsys)
    assert "the disk is full: make room" in line and "--runs-dir" not in line
