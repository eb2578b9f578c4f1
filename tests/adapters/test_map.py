import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from compat_core.adapters import ADAPTERS, VectorMap, apply_batches, load_map, read_manifest, save_map
from compat_core.adapters.linear_map import LinearMap, LowRankMap, ShiftMap
from compat_core.errors import CompatError
from compat_core.models import save_module
from compat_core.models.transformation import FctTransformation
from tests.adapters.views import mapped, two_views


@pytest.fixture
def folder(tmp_path):
    save_map(ADAPTERS.get("low-rank").fit(two_views()), tmp_path / "m", {"old": "v1", "new": "v2"})
    return tmp_path / "m"


def test_manifest_and_files(folder):
    assert read_manifest(folder) == {"old": "v1", "new": "v2"}
    assert not load_map(folder).training and not any(p.requires_grad for p in load_map(folder).parameters())
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "model.json", "model.safetensors"]
    described = json.loads((folder / "manifest.json").read_text())
    assert (described["kind"], described["source_dim"], described["target_dim"]) == ("low-rank-map", 12, 9)


def test_a_map_is_replaced_whole(folder):
    other = ADAPTERS.get("mean-shift").fit(two_views())
    save_map(other, folder, {"old": "v2"})
    assert isinstance(load_map(folder), ShiftMap) and read_manifest(folder) == {"old": "v2"}


@pytest.mark.parametrize("manifest", [{"a": math.nan}, {"a": np.float32(1)}, {"a": {1, 2}}])
def test_a_manifest_is_json(manifest, tmp_path):
    with pytest.raises(CompatError, match="must be JSON types"):
        save_map(ShiftMap(2, 2), tmp_path / "m", manifest)
    assert not (tmp_path / "m").exists()


def _truncate(path, share=0.5):
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])


def _edit(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("breakage", "message"),
    [
        (lambda f: (f / "manifest.json").unlink(), "no manifest.json there"),
        (lambda f: _truncate(f / "manifest.json"), "is no JSON"),
        (lambda f: (f / "manifest.json").write_text("[]"), "not of format 1"),
        (lambda f: _edit(f / "manifest.json", format=2), "not of format 1"),
        (lambda f: (f / "manifest.json").write_text('{"format": 1}'), "lacks manifest, sha256"),
        (lambda f: (f / "model.safetensors").unlink(), "weights are not the ones"),
        (lambda f: _truncate(f / "model.safetensors"), "weights are not the ones"),
        (lambda f: (f / "model.json").unlink(), "saved model"),
        (lambda f: _truncate(f / "model.json"), "saved model"),
        (lambda f: _edit(f / "model.json", kind="low-rank-mop"), "did you mean 'low-rank-map'"),
        (lambda f: _edit(f / "model.json", kind="linear-map"), "cannot be read"),
        (lambda f: _edit(f / "model.json", arguments={"source_dim": 12}), "cannot be read"),
        (lambda f: _edit(f / "model.json", arguments=[1]), "cannot be read"),
        (lambda f: _edit(f / "manifest.json", target_dim=10), "dimensions are not the ones"),
    ],
)
def test_broken_folders(folder, breakage, message):
    breakage(folder)
    with pytest.raises(CompatError, match=message) as caught:
        load_map(folder)
    assert "\n" not in str(caught.value)


def test_weights_of_another_map_are_noticed(folder):
    """Same names and shapes: only the checksum can tell."""
    weights = load_file(folder / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in weights.items()}, folder / "model.safetensors")
    with pytest.raises(CompatError, match="weights are not the ones"):
        load_map(folder)


def test_missing_folder_and_a_module_that_is_no_map(tmp_path, folder):
    with pytest.raises(CompatError, match=r"no manifest.json there.*fit and save a map first"):
        load_map(tmp_path / "nowhere")
    save_module(FctTransformation(4, 4, 4, 8), folder)
    _edit(folder / "manifest.json", sha256=_sha(folder))
    with pytest.raises(CompatError, match="not a map between vectors"):
        load_map(folder)


def _sha(folder):
    import hashlib

    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def random_linear(source_dim=3, target_dim=2, normalise=False):
    stream = torch.Generator().manual_seed(0)
    weight = torch.randn(target_dim, source_dim, generator=stream)
    return LinearMap.of(weight, torch.randn(source_dim, generator=stream), torch.ones(target_dim), normalise)


def test_linear_map_is_what_it_says():
    made, x = random_linear(), np.random.default_rng(0).normal(size=(5, 3))
    weight, centre, offset = (t.numpy() for t in (made.weight, made.centre, made.offset))
    np.testing.assert_allclose(mapped(made, x), (x - centre) @ weight.T + offset, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(mapped(made, np.zeros((1, 3)))[0], made.bias(), rtol=1e-5, atol=1e-6)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(mapped(random_linear(normalise=True), x), mapped(made, unit), atol=1e-6)


def test_far_from_the_origin_float32_keeps_its_digits():
    weight = torch.eye(3, dtype=torch.float64) * 2
    far = LinearMap.of(weight, torch.full((3,), 1e4), torch.zeros(3), normalise=False)
    x = 1e4 + np.array([[0.25, -0.5, 0.125]])
    np.testing.assert_array_equal(mapped(far, x), [[0.5, -1.0, 0.25]])


@pytest.mark.parametrize(("source_dim", "target_dim"), [(3, 3), (2, 3), (3, 2)])
def test_matrices_agree_with_products(source_dim, target_dim):
    low = LowRankMap(source_dim, target_dim, 2)
    low.down.copy_(torch.randn(2, source_dim)), low.up.copy_(torch.randn(target_dim, 2))
    for made in (low, ShiftMap(source_dim, target_dim), random_linear(source_dim, target_dim)):
        x = torch.randn(4, source_dim)
        torch.testing.assert_close(made.product(x), x @ made.matrix().T)
        assert isinstance(made, VectorMap) and made.uncertainty(x) is None and made.num_parameters > 0


def test_apply_streams_one_batch_at_a_time():
    seen = []

    def stream():
        for index in range(3):
            seen.append(index)
            yield np.full((2, 3), index)

    results = apply_batches(random_linear(), stream())
    assert next(results).shape == (2, 2) and seen == [0]
    assert len(list(results)) == 2 and seen == [0, 1, 2]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (np.ones((2, 4)), r"vectors to map: got 'shape \(2, 4\)'; must be \(items, 3\)"),
        (np.ones(3), "vectors to map"),
        (np.array([["a", "b", "c"]]), "must hold real numbers"),
        (np.array([[1.0, np.nan, 0.0]]), "NaN or infinite values in row 2"),
        ((np.ones((2, 3)), np.ones((2, 1))), "this map takes none"),
    ],
)
def test_apply_refuses(batch, message):
    with pytest.raises(CompatError, match=message):
        list(apply_batches(random_linear(), [np.ones((2, 3)), batch]))


def test_apply_empty_batch():
    assert [part.shape for part in apply_batches(random_linear(), [np.ones((0, 3), np.float32)])] == [(0, 2)]
