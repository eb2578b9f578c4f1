"""One layout of all versions, in a process of its own that a reloaded page finds again."""

import json
import sys
import time

import numpy as np
import pytest

from compat_core.errors import CompatError
from compat_core.experiments import background, projection
from compat_core.experiments.artefacts import Artefacts, write_array
from compat_core.experiments.projection import ProjectionConfig
from compat_core.retrieval.search import top_k

ITEMS = 60
CONFIG = ProjectionConfig(method="fct", seed=0, items=40, n_neighbors=5)


@pytest.fixture
def run(store, config):
    """A run that has vectors of three kinds of method, written without training."""
    made = store.create(config)
    random = np.random.default_rng(0)
    old, new = random.normal(size=(ITEMS, 4)), random.normal(size=(ITEMS, 6))
    padded = np.pad(old, ((0, 0), (0, 2)))
    vectors = {
        ("old", "old"): old,
        ("fct", "gallery_new"): new, ("fct", "gallery_old"): new + 0.1,
        ("bct", "gallery_new"): new, ("bct", "gallery_old"): padded,
        ("lce", "gallery_new"): new, ("lce", "gallery_old"): projection.unit_rows(padded),
        ("small", "gallery_new"): new[:, :3], ("small", "gallery_old"): new[:, :3] + 0.1,
    }  # fmt: skip
    files = Artefacts(made.path)
    for (label, kind), emb in vectors.items():
        write_array(files.embedding_file(0, label, kind), emb.astype(np.float32))
    folder = made.path / "embeddings"
    write_array(folder / "ids.npy", np.array([f"item-{place}" for place in range(ITEMS)]))
    write_array(folder / "labels.npy", np.arange(ITEMS) % 3)
    write_array(folder / "images.npy", np.zeros((ITEMS, 2, 2, 1), dtype=np.uint8))
    described = {"class_names": ["a", "b", "c"], "spec": "", "image_size": 2, "channels": 1}
    (folder / "gallery.json").write_text(json.dumps(described))
    return made


def of(method):
    return ProjectionConfig(method=method, items=40)


def test_same_items_in_every_version(run):
    rows, labels, versions = projection.vectors(run, CONFIG)
    assert list(versions) == ["old", "migrated", "new"]
    assert len(rows) == 40 and len(set(rows)) == 40
    assert (labels == rows % 3).all()
    assert {emb.shape for emb in versions.values()} == {(40, 6)}
    new = np.load(Artefacts(run.path).embedding_file(0, "fct", "gallery_new"))
    assert (versions["new"] == new[rows]).all()
    assert (versions["old"][:, 4:] == 0).all()
    assert (rows == projection.vectors(run, of("bct"))[0]).all(), "methods show the same items"


@pytest.mark.parametrize(
    ("method", "versions", "words"),
    [
        ("fct", ["old", "migrated", "new"], ["padded with zeros"]),
        ("bct", ["old", "new"], ["padded with zeros", "leaves old vectors as they are"]),
        ("lce", ["old", "new"], ["padded with zeros", "leaves old vectors as they are"]),
        ("small", ["migrated", "new"], ["left out"]),
    ],
)
def test_says_what_it_shows(run, method, versions, words):
    assert list(projection.vectors(run, of(method))[2]) == versions
    sentences = projection.what_is_shown(run, of(method), versions)
    assert len(sentences) == len(words)
    assert all(word in sentence for word, sentence in zip(words, sentences, strict=True))


def test_first_hits_are_judged_where_something_is_relevant():
    labels = np.array([0, 0, 1, 2, 2])
    indices = np.array([[1, 2], [2, 0], [0, 1], [4, 0], [-1, -1]])
    assert projection.first_hits_right(labels, indices) == [True, False, None, True, False]


def test_layout_is_stored_with_its_parameters_and_repeats(run):
    pytest.importorskip("umap")
    assert projection.stored(run, CONFIG) is None
    path = projection.project(run, CONFIG)
    found = projection.stored(run, CONFIG)
    assert found["xy"].shape == (120, 2) and np.isfinite(found["xy"]).all()
    assert found["version"].tolist() == ["old"] * 40 + ["migrated"] * 40 + ["new"] * 40
    assert (found["rows"][:40] == found["rows"][80:]).all()
    described = json.loads(path.with_suffix(".json").read_text())
    assert described["n_neighbors"] == 5 and described["method"] == "fct" and described["umap"]
    assert not list(path.parent.glob("*.part"))
    path.unlink()
    projection.project(run, CONFIG)
    assert (projection.stored(run, CONFIG)["xy"] == found["xy"]).all()


def test_every_parameter_has_a_file_of_its_own():
    others = [CONFIG, of("fct"), ProjectionConfig("fct", umap_seed=1), ProjectionConfig("fct", min_dist=0.2)]
    assert len({config.digest for config in others}) == len(others)
    assert projection.from_json(json.dumps({"method": "fct", "items": 40, "n_neighbors": 5})) == CONFIG


def ended(run, timeout_s=20):
    deadline = time.monotonic() + timeout_s
    while projection.is_running(run, CONFIG) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not projection.is_running(run, CONFIG)


def test_a_process_at_work_is_found_and_not_doubled(run, monkeypatch):
    gate = run.path / "gate"
    started = run.path / "started"
    script = (
        f"import pathlib, time\nopen({str(started)!r}, 'a').write('once ')\n"
        f"while not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.02)"
    )
    monkeypatch.setattr(background, "PROGRAM", (sys.executable, "-c", script))
    assert not projection.is_running(run, CONFIG)
    projection.start(run, CONFIG)
    projection.start(run, CONFIG)
    assert projection.is_running(run, CONFIG)
    assert projection.failure(run, CONFIG) is None
    assert not projection.is_running(run, of("bct"))
    gate.touch()
    assert ended(run)
    assert started.read_text() == "once "
    assert projection.failure(run, CONFIG) == "the process was ended"


def test_a_failed_process_leaves_its_last_words(run, monkeypatch):
    monkeypatch.setattr(background, "PROGRAM", (sys.executable, "-c", "import sys; sys.exit('no memory left')"))
    projection.start(run, CONFIG)
    assert ended(run)
    assert projection.failure(run, CONFIG) == "no memory left"


def test_layout_keeps_clusters_apart_and_comes_out_the_same():
    rng = np.random.default_rng(0)
    labels = np.arange(4_200) % 3  # enough rows for neighbours of our own
    rows = 5 * np.eye(3)[labels] + 0.1 * rng.standard_normal((4_200, 3))
    unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    first, second = (projection.lay_out(unit, 10, 0.1, seed=0) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    nearest = top_k(first, first, 6, "l2", device="cpu").indices
    assert (labels[nearest] == labels[:, None]).mean() > 0.99


def test_principal_plane_by_hand():
    rows = np.array([[2.0, 1.0, 0.0], [-2.0, 1.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    plane = projection.principal_plane(rows)
    np.testing.assert_allclose(np.abs(plane), [[10, 0], [10, 0], [0, 5], [0, 5]], atol=1e-5)
    assert projection.principal_plane(np.ones((5, 1))).shape == (5, 2)


def test_bad_input(run):
    with pytest.raises(CompatError, match="n_neighbors"):
        ProjectionConfig(n_neighbors=1)
    with pytest.raises(CompatError, match="JSON"):
        projection.from_json("{")
    with pytest.raises(CompatError, match="min_dist"):
        projection.from_json('{"min_dst": 0.5}')
    with pytest.raises(CompatError, match="not written"):
        projection.vectors(run, of("no-such-method"))
    folder = projection.folder(run)
    folder.mkdir()
    (folder / f"{CONFIG.digest}.npz").write_bytes(b"half a file")
    with pytest.raises(CompatError, match="damaged"):
        projection.stored(run, CONFIG)
