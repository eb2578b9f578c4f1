import dataclasses

import pytest

from compat_core.errors import CompatError
from compat_core.vectors.bill import CostConfig, Work, bill

COSTS = CostConfig(
    items=3_600_000, items_per_s=100.0, gpu_price=2.0, gpus=2, training_gpu_hours=50.0, mapped_per_s=1000.0,
    cpu_price=0.5, storage_price=0.1, months=2.0, index_per_s=10_000.0,
)  # fmt: skip


def test_a_full_backfill_by_hand():
    found = bill(Work(1.0, 0.0, 256), COSTS, items=7)
    assert found.gpu_hours == pytest.approx(10.0)
    assert found.gigabytes == pytest.approx(3.6864)
    assert found.money == pytest.approx(20.0 + 3.6864 * 0.1 * 2)
    assert found.days == pytest.approx((5.0 + 0.1) / 24)


def test_a_migration_by_hand():
    found = bill(Work(0.0, 1.0, 256, second_index=True, second_dimension=128), COSTS, items=7)
    assert found.gpu_hours == 0
    assert found.gigabytes == pytest.approx(3.6e6 * 384 * 4 / 1e9)
    assert found.money == pytest.approx(1.0 * 0.5 + found.gigabytes * 0.1 * 2)


def test_queries_that_are_embedded_twice_are_paid_as_long_as_there_are_two_indexes():
    costs = dataclasses.replace(COSTS, queries_per_day=120_000.0)
    once, twice = (bill(Work(0.0, 0.0, 256, second_query=both), costs, items=7) for both in (False, True))
    assert once == bill(Work(0.0, 0.0, 256), COSTS, items=7)
    hours = 120_000 * 2 * 365.25 / 12 / 100 / 3600
    assert twice.gpu_hours == pytest.approx(hours) and twice.money == pytest.approx(once.money + 2 * hours)
    assert twice.days == once.days == 0  # nobody waits for it


def test_vectors_of_fewer_bytes_take_less_room():
    work = Work(0.0, 1.0, 256, True, 128, number_bytes=2, second_number_bytes=1)
    assert bill(work, COSTS, items=7).gigabytes == pytest.approx(3.6e6 * (256 * 2 + 128) / 1e9)


def test_retraining_and_own_number_of_items():
    costs = CostConfig(training_gpu_hours=50.0, gpu_price=3.0, gpus=5, storage_price=0.0)
    found = bill(Work(0.0, 0.0, 10, retrained=1), costs, items=1_000)
    assert (found.gpu_hours, found.money, found.days) == pytest.approx((50.0, 150.0, 10 / 24))
    assert found.gigabytes == pytest.approx(4e-5)


def test_doing_nothing_costs_only_storage():
    assert bill(Work(0.0, 0.0, 256), COSTS, 7).gpu_hours == bill(Work(0.0, 0.0, 256), COSTS, 7).days == 0


def test_a_slower_map_and_prices_without_end():
    slow = bill(Work(0.0, 1.0, 256, mapped_per_s=100.0), COSTS, items=7)
    assert slow.days == pytest.approx((10.0 + 0.1) / 24)
    with pytest.raises(CompatError, match="gpu_price: got inf; must be finite"):
        CostConfig(gpu_price=float("inf"))


@pytest.mark.parametrize("field", ["gpus", "items_per_s", "gpu_price"])
def test_costs_out_of_range_are_refused(field):
    with pytest.raises(CompatError, match=field):
        CostConfig(**{field: -1})
