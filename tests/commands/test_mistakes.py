"""Help, and bad input: one line on stderr, status 2, no run made."""

from __future__ import annotations

import pytest

from compat_core.cli import main
from compat_core.commands import catalogue
from tests.commands.stage import one_error_line


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
        (["evaluate", "--query", "q.npy"], ["required", "--query-labels"]),
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
