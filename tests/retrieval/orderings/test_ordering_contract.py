"""The contract of every ordering: documented, a permutation, repeatable, fed only what it needs, refused in words."""

import inspect
from pathlib import Path

import numpy as np
import pytest

from compat_core.errors import CompatError
from compat_core.retrieval.backfill import SCORES, backfill_order
from compat_core.retrieval.orderings import NEEDS, ORDERINGS, Gallery, Ordering, drawable_orders, largest_first
from tests.retrieval.orderings.world import whole_gallery

NAMES = ORDERINGS.names()


def fed(entry, gallery):
    """A gallery of which nothing is known but what the ordering says that it needs."""
    needed = {need: getattr(gallery, need) for need in entry.needs}
    return Gallery(gallery.gallery_old, seed=gallery.seed, distance=gallery.distance, **needed)


def test_the_ones_that_finished_runs_name_come_first():
    assert NAMES[:6] == ("random", "sigma", "class-mean", "class", "popularity", "oracle")


@pytest.mark.parametrize("name", NAMES)
def test_entry_is_documented_and_has_a_test_file(name):
    entry = ORDERINGS.get(name)
    assert entry.title and len(entry.summary) > 10 and not entry.summary.endswith(".")
    assert set(entry.needs) <= set(NEEDS)
    assert (Path(__file__).parent / f"test_{Path(inspect.getfile(entry.arrange)).stem}.py").is_file()


@pytest.mark.parametrize("distance", ["cosine", "l2", "dot"])
@pytest.mark.parametrize("name", NAMES)
def test_what_it_needs_is_enough_and_changes_nothing_else(name, distance):
    entry, gallery = ORDERINGS.get(name), whole_gallery(distance=distance)
    order = entry.order(fed(entry, gallery))
    assert order.dtype == np.int64 and sorted(order) == list(range(60))
    np.testing.assert_array_equal(order, entry.order(gallery))
    assert len(entry.orders(gallery, (0, 1, 2))) == (3 if entry.random else 1)


@pytest.mark.parametrize("name", [entry.name for entry in ORDERINGS if not set(SCORES) <= set(entry.needs)])
def test_by_name_it_is_the_same_order(name):
    entry, gallery = ORDERINGS.get(name), whole_gallery(seed=3)
    scores = gallery.weights if "weights" in entry.needs else gallery.uncertainty
    found = backfill_order(
        name, gallery.gallery_old, labels=gallery.labels, gallery_new=gallery.gallery_new, scores=scores, seed=3
    )
    np.testing.assert_array_equal(found, entry.order(gallery))


@pytest.mark.parametrize("name", [entry.name for entry in ORDERINGS if entry.needs])
def test_missing_and_short_inputs_are_refused(name):
    entry, gallery = ORDERINGS.get(name), whole_gallery()
    assert not entry.drawable(())
    with pytest.raises(CompatError, match=f"{name}: needs {entry.needs[0]}"):
        entry.order(Gallery(gallery.gallery_old))
    with pytest.raises(CompatError, match="one for each of 60 rows"):
        entry.order(whole_gallery(**{need: getattr(gallery, need)[:59] for need in entry.needs}))


def test_misspelt_names_are_refused():
    with pytest.raises(CompatError, match="did you mean 'class-mean'"):
        backfill_order("class-men", np.zeros((3, 2)))
    with pytest.raises(CompatError, match=r"ordering mine.*did you mean 'labels'"):
        Ordering("mine", "Mine", "mine first", largest_first, needs=("label",))


@pytest.mark.parametrize(
    "given",
    [
        np.zeros(60, dtype=int),
        np.arange(59),
        np.arange(1, 61),
        np.arange(60.0),
        np.arange(60)[:, None],
        np.ones(60, bool),
    ],
)
def test_what_is_no_permutation_is_refused_by_name(given):
    with pytest.raises(CompatError, match=r"backfill ordering mine: got array.*each of 60 rows once"):
        Ordering("mine", "Mine", "mine first", lambda gallery: given).order(whole_gallery())


def test_two_kinds_of_scores_are_not_taken_for_one(monkeypatch):
    entry = Ordering("mine", "Mine", "mine first", lambda gallery, unsure, weights: largest_first(unsure * weights),
                     needs=("uncertainty", "weights"))  # fmt: skip
    monkeypatch.setattr(ORDERINGS, "get", lambda name: entry)
    with pytest.raises(CompatError, match="uncertainty and weights"):
        backfill_order("mine", np.zeros((3, 2)), scores=np.ones(3))
    assert sorted(entry.order(whole_gallery())) == list(range(60))


def test_all_that_is_drawable_is_drawn():
    bare = Gallery(whole_gallery().gallery_old)
    wanted = [entry.name for entry in ORDERINGS if not entry.needs]
    assert list(drawable_orders(bare, (0, 1), last=lambda entry: False)) == wanted
    drawn = drawable_orders(whole_gallery(), (0, 1), last=lambda entry: entry.random)
    assert set(drawn) == set(NAMES) and list(drawn)[-1] == "random" and len(drawn["random"]) == 2


def test_equal_keys_keep_gallery_order():
    assert largest_first(np.array([1, 3, 1, 3, 2])).tolist() == [1, 3, 4, 0, 2]
