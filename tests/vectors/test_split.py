"""What is fitted on and what is judged are apart, and queries find something in a small part of many items."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from compat_core.adapters.labels import named_apart
from compat_core.vectors.decision import decide, split_of
from compat_core.vectors.given import Given
from compat_core.vectors.split import Mates, fitted_rows, split_rows
from tests.vectors.worlds import better_new, quick

COUNT = 20_000
SIZES = {"pairs": 1_000, "judged": 400, "queries": 100, "seed": 3}
products = np.random.default_rng(0).permutation(COUNT) // 4  # four views of each of 5,000 products


def labels_of(split, labels):
    return labels[split.judged], labels[split.judged[split.queries]]


def test_nothing_judged_was_fitted_on():
    split = split_rows(500, None, pairs=200, judged=150, queries=40, seed=3)
    assert not set(split.judged) & (set(split.fit) | set(split.validate)) and not set(split.fit) & set(split.validate)
    assert (len(split.judged), len(split.fit) + len(split.validate), len(split.queries)) == (150, 200, 40)


def test_what_is_relevant_to_queries_is_gathered_from_many_items():
    split = split_rows(COUNT, None, **SIZES, mates=Mates.by_label(products))
    judged, asked = labels_of(split, products)
    relevant = np.array([(judged == label).sum() - 1 for label in asked])
    assert split.gathered and (len(split.judged), len(split.queries)) == (400, 100)
    assert (relevant >= 1).all()
    alone = 400 - sum(np.isin(judged, asked))
    assert alone >= 400 // 4, "others are there by chance"
    chosen_by = products[split.validate]
    assert len(chosen_by) == 200 and (np.unique(chosen_by, return_counts=True)[1] > 1).sum() >= 40
    by_chance = split_rows(COUNT, None, **SIZES)
    judged, asked = labels_of(by_chance, products)
    assert not by_chance.gathered and sum((judged == label).sum() > 1 for label in asked) < 20


def test_what_is_fitted_on_does_not_depend_on_labels():
    gathered, by_chance = (split_rows(COUNT, None, **SIZES, mates=mates) for mates in (Mates.by_label(products), None))
    np.testing.assert_array_equal(gathered.fit, by_chance.fit)
    np.testing.assert_array_equal(gathered.fit, fitted_rows(COUNT, 1_000, 400, 3))
    parts = [set(part.tolist()) for part in (gathered.fit, gathered.validate, gathered.judged)]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 800 + 200 + 400


def test_every_query_gets_an_item_before_any_gets_two():
    split = split_rows(COUNT, None, pairs=1_000, judged=260, queries=100, seed=3, mates=Mates.by_label(products))
    judged, asked = labels_of(split, products)
    relevant = np.array([(judged == label).sum() - 1 for label in asked])
    assert (relevant >= 1).sum() >= 95 and (relevant >= 2).sum() <= 5  # room for 95; a few share a product


def test_few_items_are_split_as_ever_whatever_is_relevant():
    few = np.arange(600) % 30
    one, other = (split_rows(600, None, 1_000, 4_000, 1_000, 0, mates=mates) for mates in (Mates.by_label(few), None))
    assert not one.gathered
    for part in ("fit", "validate", "judged", "queries"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))


def test_items_without_a_label_ask_nothing():
    known = np.arange(COUNT) % 2 == 0
    labels = named_apart(known, products[known])
    split = split_rows(COUNT, None, **SIZES, mates=Mates.by_label(labels), askable=known)
    assert known[split.judged[split.queries]].all() and not known[split.judged].all()


def test_judged_relevant_items_are_gathered():
    ids = np.array([f"i{row}" for row in range(COUNT)])
    judgements = {f"i{row}": {f"i{row + 1}": 1.0, f"i{row + 2}": 0.0, "gone": 1.0} for row in range(0, COUNT, 100)}
    judgements["i7"] = {"i7": 1.0, "i8": 0.0}  # nothing but itself
    mates = Mates.by_judgement(judgements, ids)
    assert mates.some.sum() == 200 and mates.of(mates.group[300]).tolist() == [301]
    split = split_rows(COUNT, None, **SIZES, mates=mates)
    assert split.gathered and len(split.queries) == 100
    assert set(split.judged[split.queries] + 1) <= set(split.judged.tolist())


@pytest.mark.parametrize(("count", "room"), [(COUNT, 2_000), (COUNT, 400), (4_200, 2_000)])
def test_few_judged_queries_are_shared_between_judging_and_choosing(count, room):
    ids = np.arange(count).astype(str)
    judgements = {str(row): {str(row + 1): 1.0} for row in range(0, count, count // 60)}
    mates = Mates.by_judgement(judgements, ids)
    split = split_rows(count, None, 1_000, room, 1_000, 3, mates=mates)
    chosen_by = set(split.validate.tolist())
    able = [row for row in chosen_by if str(row) in judgements and row + 1 in chosen_by]
    assert split.gathered and len(able) >= 10 and len(split.queries) > len(able)
    assert set(split.judged[split.queries] + 1) <= set(split.judged.tolist())
    np.testing.assert_array_equal(split.fit, fitted_rows(count, 1_000, room, 3))


def test_where_hardly_anything_is_relevant_the_sample_is_random():
    labels = np.arange(COUNT)
    labels[1:10] = 0
    assert not split_rows(COUNT, None, **SIZES, mates=Mates.by_label(labels)).gathered


@pytest.mark.parametrize("spare", [1, 30, 300])
def test_few_items_beside_what_is_fitted_on_and_judged_leave_as_many_to_choose_by(spare):
    count = 400 + 1_000 + spare
    labels = np.arange(count) % 9
    split = split_rows(count, None, **SIZES, mates=Mates.by_label(labels))
    assert split.gathered and (len(split.fit), len(split.validate), len(split.judged)) == (800, 200, 400)
    parts = [set(part.tolist()) for part in (split.fit, split.validate, split.judged)]
    assert len(set.union(*parts)) == 1_400


def test_a_class_of_half_of_all_items_costs_no_copy_for_every_query():
    labels = np.arange(400_000) % 2
    mates = Mates.by_label(labels)
    tracemalloc.start()
    try:
        split = split_rows(len(labels), None, 1_000, 4_000, 1_000, 0, mates=mates)
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()
    assert split.gathered and (len(split.judged), len(split.queries)) == (4_000, 1_000)


@pytest.mark.parametrize("enough", [True, False])
def test_the_decision_says_how_items_were_chosen(enough):
    given = better_new()
    count = len(given.old) if enough else 60
    given = Given(given.old[:count], given.new[:count], given.labels[:count])
    config = quick(pairs=40, judged=40, queries=20)
    decision, _ = decide(given, config)
    assert decision.gathered == split_of(given, config).gathered == enough
    assert not enough or decision.num_skipped == 0
