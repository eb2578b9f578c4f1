"""The contract of every adapter: documented, fitted, of the right shape, deterministic, saved and loaded."""

import dataclasses
import inspect
from pathlib import Path

import numpy as np
import pytest
import torch

from compat_core.adapters import ADAPTERS, AdapterConfig, Pairs, apply_batches, collect, load_map, save_map
from compat_core.adapters.linear_map import LinearMap
from compat_core.device import pick_device
from compat_core.errors import CompatError
from compat_core.spec import Spec
from tests.adapters.views import mapped, two_views

NAMES = ADAPTERS.names()
QUICK = {"steps": 20, "batch_size": 64}  # enough to leave the start; each adapter's own tests train longer
SIDE_DIM = 4


def quick_config(entry, **params):
    quick = {} if entry.closed_form else QUICK | ({"width": 32} if entry.name in ("fct", "fastfill") else {})
    return entry.configure(Spec(entry.name, quick | params))


def pairs_for(entry, source_dim=12, target_dim=9, count=200):
    pairs = two_views(count, source_dim, target_dim)
    if "side" in entry.optional:
        side = np.random.default_rng(1).normal(size=(count, SIDE_DIM))
        return Pairs(pairs.source, pairs.target, pairs.labels, side)
    return pairs


def test_the_catalogue_begins_as_files_and_pages_expect():
    shipped = (
        "mean-shift", "procrustes", "procrustes-centred", "ridge", "cca", "low-rank", "diagonal",
        "residual-mlp", "fct", "fastfill", "lambda-orthogonality",
    )  # fmt: skip
    assert NAMES[: len(shipped)] == shipped


@pytest.mark.parametrize("name", NAMES)
def test_entry_is_documented(name):
    entry = ADAPTERS.get(name)
    for text in (entry.title, entry.summary, entry.paper, entry.formula, entry.dimensions):
        assert len(text) > 3
    assert (entry.solve is None) != (entry.train is None)
    assert entry.closed_form == (entry.solve is not None)
    assert entry.min_pairs >= 1 and entry.folds >= 1
    assert set(entry.needs) <= {"labels"} and set(entry.optional) <= {"side", "labels"}
    assert issubclass(entry.config, AdapterConfig)
    for field in dataclasses.fields(entry.config):
        assert field.metadata["help"], field.name


@pytest.mark.parametrize("name", NAMES)
def test_entry_has_a_test_file(name):
    entry = ADAPTERS.get(name)
    module = Path(inspect.getfile(entry.solve or entry.train)).stem
    assert (Path(__file__).parent / f"test_{module}.py").is_file()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("source_dim", "target_dim"), [(9, 9), (12, 9), (9, 12)])
@pytest.mark.parametrize("normalise", [False, True])
def test_fits_maps_saves_and_loads(name, source_dim, target_dim, normalise, tmp_path):
    entry = ADAPTERS.get(name)
    pairs = pairs_for(entry, source_dim, target_dim)
    fitted = entry.fit(pairs, quick_config(entry, normalise=normalise), seed=3)
    assert (fitted.source_dim, fitted.target_dim, fitted.normalise) == (source_dim, target_dim, normalise)
    assert not fitted.training
    for tensor in fitted.state_dict().values():
        assert tensor.dtype in (torch.float32, torch.int64)  # batch norm counts its batches
        assert torch.isfinite(tensor).all()
    out = mapped(fitted, pairs.source, pairs.side)
    assert out.shape == (len(pairs), target_dim) and out.dtype == np.float32 and np.isfinite(out).all()

    save_map(fitted, tmp_path / "map", {"adapter": name})
    loaded = load_map(tmp_path / "map")
    assert type(loaded) is type(fitted) and loaded.normalise == normalise
    np.testing.assert_array_equal(mapped(loaded, pairs.source, pairs.side), out)

    batches = ((pairs.source[rows], pairs.side[rows]) if pairs.side is not None else pairs.source[rows]
               for rows in (slice(0, 70), slice(70, 200)))  # fmt: skip
    np.testing.assert_allclose(np.concatenate(list(apply_batches(loaded, batches))), out, atol=2e-6)

    if normalise:  # the length of a source vector then says nothing
        np.testing.assert_allclose(mapped(fitted, 7 * pairs.source, pairs.side), out, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_map(name):
    entry = ADAPTERS.get(name)
    last_state = {} if entry.closed_form else {"held_out": 0.0}  # the best one may be the start, whatever the seed
    pairs, config = pairs_for(entry), quick_config(entry, **last_state)
    first, again, other = (mapped(entry.fit(pairs, config, seed=seed), pairs.source, pairs.side) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.array_equal(first, other) == entry.closed_form


@pytest.mark.parametrize("name", NAMES)
def test_outer_random_state_is_left_alone(name):
    entry = ADAPTERS.get(name)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    entry.fit(pairs_for(entry, count=40), quick_config(entry, **({} if entry.closed_form else {"steps": 2})))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", [entry.name for entry in ADAPTERS if entry.closed_form])
def test_closed_form_from_streamed_shards_equals_all_at_once(name, tmp_path):
    entry = ADAPTERS.get(name)
    pairs = two_views(300)
    for side in ("source", "target"):
        np.save(tmp_path / f"{side}.npy", getattr(pairs, side))
    on_disk = Pairs(*(np.load(tmp_path / f"{side}.npy", mmap_mode="r") for side in ("source", "target")))
    streamed = entry.from_statistics(collect(on_disk.batches(37), folds=entry.folds))
    np.testing.assert_allclose(
        mapped(streamed, pairs.source), mapped(entry.fit(pairs), pairs.source), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("name", NAMES)
def test_fewest_pairs(name):
    entry = ADAPTERS.get(name)
    pairs = pairs_for(entry)
    config = quick_config(entry)
    enough = pairs.take(np.arange(entry.min_pairs))
    assert np.isfinite(mapped(entry.fit(enough, config), pairs.source, pairs.side)).all()
    if entry.min_pairs > 1:  # no pairs at all are refused by Pairs
        too_few = pairs.take(np.arange(entry.min_pairs - 1))
        with pytest.raises(CompatError, match=rf"adapter {name}: got '{entry.min_pairs - 1} pairs'; needs at least"):
            entry.fit(too_few, config)


@pytest.mark.parametrize("name", NAMES)
def test_constant_and_duplicate_vectors_break_nothing(name):
    """A dead component, a component that never varies, and every pair there twice."""
    entry = ADAPTERS.get(name)
    pairs = pairs_for(entry, count=60)
    source, target = pairs.source.copy(), pairs.target.copy()
    source[:, 0], source[:, 1], target[:, 0] = 0, 5, 0
    doubled = Pairs(source, target, pairs.labels, pairs.side).take(np.repeat(np.arange(60), 2))
    fitted = entry.fit(doubled, quick_config(entry))
    assert np.isfinite(mapped(fitted, source, pairs.side)).all()
    assert np.abs(mapped(fitted, source, pairs.side)).max() < 100


def test_nan_is_refused_before_anything_is_trained():
    for entry in ADAPTERS:
        pairs = pairs_for(entry)
        pairs.target[123, 4] = np.nan
        with pytest.raises(CompatError, match="target vectors: NaN or infinite values in row 123"):
            entry.fit(pairs, quick_config(entry))


def test_missing_labels():
    pairs = two_views()
    with pytest.raises(CompatError, match="adapter fastfill: needs labels"):
        ADAPTERS.get("fastfill").fit(Pairs(pairs.source, pairs.target))


def test_unknown_names_suggest_the_right_one():
    with pytest.raises(CompatError, match="did you mean 'procrustes-centred'"):
        ADAPTERS.get("procrustes-centered")
    with pytest.raises(CompatError, match="did you mean 'rank'"):
        ADAPTERS.get("low-rank").configure(Spec("low-rank", {"rnak": 3}))
    with pytest.raises(CompatError, match="did you mean 'ridge'"):
        ADAPTERS.get("diagonal").configure(Spec("diagonal", {"base": "rige"}))
    with pytest.raises(CompatError, match="must be from 1 to 65536"):
        ADAPTERS.get("low-rank").configure(Spec("low-rank", {"rank": 0}))


def test_statistics_of_another_number_of_parts():
    pairs = two_views()
    with pytest.raises(CompatError, match="adapter ridge wants 5"):
        ADAPTERS.get("ridge").from_statistics(collect(pairs.batches()))
    with pytest.raises(CompatError, match="trained on the pairs themselves"):
        ADAPTERS.get("fct").from_statistics(collect(pairs.batches()))


@pytest.mark.parametrize("name", NAMES)
def test_fits_on_a_gpu(name, gpu):
    entry = ADAPTERS.get(name)
    pairs, config = pairs_for(entry), quick_config(entry)
    fitted = entry.fit(pairs, config, seed=3, device=pick_device(gpu, "float32"))
    assert {tensor.device.type for tensor in fitted.state_dict().values()} <= {"cpu"}
    out = mapped(fitted, pairs.source, pairs.side)
    assert np.isfinite(out).all()
    if entry.closed_form:
        np.testing.assert_allclose(out, mapped(entry.fit(pairs, config), pairs.source, pairs.side), atol=1e-4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda: None, "adapter ridge: got 'NoneType'; solve and train must return a VectorMap"),
        (lambda: LinearMap(3, 3).apply(lambda net: net.weight.fill_(torch.nan)), "adapter ridge: its map holds NaN"),
    ],
)
def test_a_map_that_is_none_is_refused_by_the_adapter_s_name(given, message):
    broken = dataclasses.replace(ADAPTERS.get("ridge"), solve=lambda parts, config: given(), folds=1)
    rows = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    with pytest.raises(CompatError, match=message):
        broken.fit(Pairs(rows, rows))
