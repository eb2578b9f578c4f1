"""Splits, limits, the old model's share and the batches of an epoch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from compat_core.data.config import DataConfig, ScenarioConfig
from compat_core.data.plan import plan_parts
from compat_core.data.splits import (
    class_split,
    epoch_batches,
    instance_split,
    old_subset,
    permutation,
    rounded,
    stratified_limit,
)
from compat_core.errors import CompatError

LABELS = np.repeat(np.arange(5), [1, 2, 10, 20, 40])
NAMES = ["a", "b", "c", "d", "e"]


def naive_quotas(counts: list[int], limit: int) -> list[int]:
    """Deal out one image at a time, class after class, to those that still have some."""
    quotas = [0] * len(counts)
    while limit:
        for index, count in enumerate(counts):
            if limit and quotas[index] < count:
                quotas[index] += 1
                limit -= 1
    return quotas


def test_permutation_is_one_and_is_pinned() -> None:
    assert sorted(permutation(100, 1, 2).tolist()) == list(range(100))
    assert permutation(0, 1).tolist() == []
    assert permutation(8, 1, 2).tolist() != permutation(8, 1, 3).tolist()
    # Pinned: a change here would silently change every evaluation split ever made.
    assert permutation(8, 1, 2).tolist() == PINNED


PINNED = [5, 6, 3, 2, 1, 0, 4, 7]


@pytest.mark.parametrize("limit", [1, 3, 5, 7, 12, 40, 72])
def test_stratified_limit_against_dealing_out(limit: int) -> None:
    kept = stratified_limit(LABELS, limit)
    assert np.bincount(LABELS[kept], minlength=5).tolist() == naive_quotas([1, 2, 10, 20, 40], limit)
    assert (np.diff(kept) > 0).all()
    assert kept.tolist() == stratified_limit(torch.from_numpy(LABELS), limit).tolist()


def test_stratified_limit_keeps_all_and_grows() -> None:
    for limit in (0, 73, 1000):
        assert stratified_limit(LABELS, limit).tolist() == list(range(73))
    assert set(stratified_limit(LABELS, 20)) <= set(stratified_limit(LABELS, 50))
    assert stratified_limit(np.repeat([0, 1], 50), 10).tolist() != [*range(5), *range(50, 55)]  # not just the first


def test_instance_split_is_a_partition_and_stratified() -> None:
    train, test = instance_split(LABELS, 0.25)
    assert sorted([*train, *test]) == list(range(73))
    assert np.bincount(LABELS[test], minlength=5).tolist() == [0, 1, 3, 5, 10]
    for share in (0.01, 0.9):
        train, test = instance_split(LABELS, share)
        assert np.bincount(LABELS[train], minlength=5).min() >= 1
        assert (np.bincount(LABELS[test], minlength=5)[1:] >= 1).all()


def test_class_split_takes_the_sorted_tail() -> None:
    labels = np.tile(np.arange(10), 3)
    train, test = class_split(labels, 0.25)
    assert sorted(set(labels[test])) == [7, 8, 9]
    assert sorted(set(labels[train])) == list(range(7))
    assert sorted([*train, *test]) == list(range(30))
    assert sorted(set(labels[class_split(labels, 0.01)[1]])) == [8, 9]  # a single held-out class measures nothing
    with pytest.raises(CompatError, match="at least 4 classes"):
        class_split(np.array([0, 1, 2]), 0.3)


def test_plan_given_classes_and_instances_on_a_given_split() -> None:
    labels = np.tile(np.repeat(np.arange(8), 4), 2)
    is_test = np.repeat([False, True], 32)
    names = [str(label) for label in range(8)]
    given = plan_parts(labels, names, is_test, DataConfig(), "toy")
    assert given.split == "given"
    assert given.train.tolist() == list(range(32))
    held_out = plan_parts(labels, names, is_test, DataConfig(eval_split="classes"), "toy")
    assert set(labels[held_out.train]) == set(range(6))
    assert set(labels[held_out.test]) == {6, 7}
    assert not is_test[held_out.train].any()
    assert is_test[held_out.test].all()
    pooled = plan_parts(labels, names, is_test, DataConfig(eval_split="instances"), "toy")
    assert len(pooled.train) + len(pooled.test) == 64
    assert any("pooled" in note for note in pooled.notes)


def test_plan_errors_name_the_setting() -> None:
    with pytest.raises(CompatError, match=r"data\.eval_split.*no split of its own.*train and a test folder"):
        plan_parts(LABELS, NAMES, None, DataConfig(eval_split="given"), "toy")
    with pytest.raises(CompatError, match=r"data\.train_limit.*at least 5"):
        plan_parts(LABELS, NAMES, None, DataConfig(train_limit=4), "toy")
    with pytest.raises(CompatError, match=r"data\.test_limit.*at least 8"):
        plan_parts(LABELS, NAMES, None, DataConfig(test_limit=7), "toy")
    with pytest.raises(CompatError, match="at least 2 classes"):
        plan_parts(np.zeros(9, dtype=np.int64), ["a"], None, DataConfig(), "toy")


def test_plan_says_what_a_single_image_means() -> None:
    plan = plan_parts(LABELS, NAMES, None, DataConfig(), "toy")
    assert any("1 class(es) with a single image" in note for note in plan.notes)
    assert 0 not in LABELS[plan.test]


def test_old_subset_takes_first_classes_and_a_nested_share() -> None:
    labels = torch.from_numpy(np.tile(np.arange(10), 20))
    everything = old_subset(labels, ScenarioConfig(), 0)
    assert everything.tolist() == list(range(200))
    half = old_subset(labels, ScenarioConfig(old_classes=0.5), 0)
    assert set(labels[half].tolist()) == set(range(5))
    assert len(half) == 100
    some = old_subset(labels, ScenarioConfig(old_images=0.3), 0)
    assert np.bincount(labels[some].numpy()).tolist() == [6] * 10
    assert set(some) < set(old_subset(labels, ScenarioConfig(old_images=0.6), 0))
    assert some.tolist() == old_subset(labels, ScenarioConfig(old_images=0.3), 0).tolist()
    assert some.tolist() != old_subset(labels, ScenarioConfig(old_images=0.3), 1).tolist()


def test_old_subset_counts_only_classes_that_train() -> None:
    labels = np.repeat([1, 4, 6, 9], 5)  # an open set: the other classes are only evaluated on
    assert set(labels[old_subset(labels, ScenarioConfig(old_classes=0.5), 0)]) == {1, 4}


def test_old_subset_keeps_one_image_of_a_rare_class() -> None:
    assert np.bincount(LABELS[old_subset(LABELS, ScenarioConfig(old_images=0.2), 0)]).tolist() == [1, 1, 2, 4, 8]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.14])
def test_old_subset_refuses_fewer_than_two_classes(share: float) -> None:
    labels = np.tile(np.arange(10), 20)
    with pytest.raises(CompatError, match=rf"scenario\.old_classes: got {share}; .*use at least 0\.15$"):
        old_subset(labels, ScenarioConfig(old_classes=share), 0)
    assert len(set(labels[old_subset(labels, ScenarioConfig(old_classes=0.15), 0)])) == 2


@pytest.mark.parametrize("share", [0.0, 0.01, 0.04])
def test_old_subset_refuses_less_than_one_image_per_class(share: float) -> None:
    labels = np.tile(np.arange(10), 20)
    with pytest.raises(CompatError, match=rf"scenario\.old_images: got {share}; .*use at least 0\.05$"):
        old_subset(labels, ScenarioConfig(old_images=share), 0)
    assert len(old_subset(labels, ScenarioConfig(old_images=0.05), 0)) == 10


def test_rounded_is_not_fooled_by_binary_fractions() -> None:
    assert [rounded(0.3 * 10), rounded(0.7 * 10), rounded(2.5), rounded(0.15 * 10), rounded(0.29 * 50)] == [
        3,
        7,
        3,
        2,
        15,
    ]


@pytest.mark.parametrize("num_items", [2, 3, 8, 9, 10, 17, 64, 65])
@pytest.mark.parametrize("batch_size", [2, 4, 8, 100])
@pytest.mark.parametrize("world", [1, 2, 3])
def test_epoch_batches(num_items: int, batch_size: int, world: int) -> None:
    if num_items // world < 2:
        with pytest.raises(CompatError, match="at least 2"):
            next(epoch_batches(num_items, batch_size, 0, 0, 0, world))
        return
    ranks = [list(epoch_batches(num_items, batch_size, 5, 1, rank, world)) for rank in range(world)]
    sizes = [[len(batch) for batch in batches] for batches in ranks]
    assert all(size == sizes[0] for size in sizes)
    assert min(sizes[0]) >= 2
    assert max(sizes[0]) <= batch_size + 1
    seen = np.concatenate([batch for batches in ranks for batch in batches])
    assert len(set(seen.tolist())) == len(seen)
    assert len(seen) == num_items // world * world
    assert max(sizes[0]) - min(sizes[0]) <= 1
    if max(sizes[0]) <= batch_size:  # else three items in batches of two
        assert len(sizes[0]) == -(-(num_items // world) // batch_size), "no more steps than it takes"


def test_epoch_batches_depend_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int, batch_size: int = 16) -> list[int]:
        return np.concatenate(list(epoch_batches(50, batch_size, seed, epoch))).tolist()

    torch.manual_seed(1)
    first = order(0, 0)
    torch.manual_seed(2)
    assert first == order(0, 0) == order(0, 0, batch_size=7)
    assert first != order(0, 1)
    assert first != order(1, 0)
    # Two processes share one permutation, interleaved.
    own = [np.concatenate(list(epoch_batches(50, 16, 0, 0, rank, 2))) for rank in range(2)]
    assert np.stack(own, axis=1).ravel().tolist() == first


def test_epoch_batches_refuse_nonsense() -> None:
    for wrong in ({"batch_size": 1}, {"rank": 2, "world": 2}, {"rank": -1}):
        with pytest.raises(ValueError):
            next(epoch_batches(**{"num_items": 10, "batch_size": 4, "seed": 0, "epoch": 0, **wrong}))
