"""``evaluate`` on any vectors."""

from __future__ import annotations

import json

import numpy as np
import pytest

from compat_core.cli import main
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
    from compat_core.metrics import evaluate_retrieval

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


def test_evaluate_refuses_blank_labels(vectors, tmp_path, capsys):
    labels = np.repeat(list("abcde"), 4)
    labels[::5] = ""
    np.save(tmp_path / "gallery-labels.npy", labels)
    assert main(vectors) == 2
    line = one_error_line(capsys)
    assert "gallery-labels.npy" in line and "4 empty, the first in row 0; every item needs a value" in line
