"""What an option costs: GPU-hours, money, days and gigabytes, from inputs that are all visible and can be changed."""

from __future__ import annotations

from dataclasses import dataclass, fields

from compat_core.config import check_ranges, param
from compat_core.errors import CompatError

FLOAT_BYTES = 4  # of a number where nothing says what vectors are stored as
GIGA = 1e9
DAYS_PER_MONTH = 365.25 / 12


@dataclass(frozen=True, slots=True)
class CostConfig:
    """The inputs of the cost model. Defaults are round numbers to be replaced by one's own."""

    items: int = param(
        0, "items in the production gallery; 0 = as many as there are old vectors", unit="items", low=0, high=10**13
    )
    items_per_s: float = param(500.0, "items (images, documents) one GPU embeds per second", unit="items/s", low=1e-6)
    gpu_price: float = param(2.0, "price of one GPU", unit="money per hour", low=0.0)
    gpus: int = param(1, "GPUs that work side by side on a backfill", unit="GPUs", low=1)
    training_gpu_hours: float = param(
        100.0, "GPU-hours to train a new model once more (retraining for compatibility)", unit="GPU-hours", low=0.0
    )
    mapped_per_s: float = param(
        1e6,
        "vectors a machine maps per second; a map that was measured to be slower counts as measured",
        unit="vectors/s",
        low=1e-6,
    )
    cpu_price: float = param(0.1, "price of the machine that maps vectors", unit="money per hour", low=0.0)
    storage_price: float = param(0.1, "price of keeping vectors", unit="money per GB and month", low=0.0)
    months: float = param(1.0, "how long two indexes would be kept side by side", unit="months", low=0.0)
    queries_per_day: float = param(
        0.0,
        "searches a day, which options that ask both spaces embed twice for all of those months",
        unit="queries per day",
        low=0.0,
    )
    index_per_s: float = param(20_000.0, "vectors added to the index per second", unit="vectors/s", low=1e-6)

    def __post_init__(self) -> None:
        check_ranges(self, "costs")
        for field in fields(self):
            if getattr(self, field.name) == float("inf"):
                raise CompatError(f"costs.{field.name}", value=float("inf"), rule="must be finite")


@dataclass(frozen=True, slots=True)
class Work:
    """What an option makes somebody do.

    Attributes:
        embedded: share of the gallery embedded again, in [0, 1].
        mapped: share of the gallery's vectors rewritten through a map, in [0, 1].
        dimension: of the vectors kept in the end.
        second_index: whether a second index of ``second_dimension`` is kept beside it.
        second_dimension: its dimension.
        retrained: models trained.
        mapped_per_s: what the option's own map was measured to do; 0 where it was not.
        number_bytes, second_number_bytes: of one number of the vectors in the index, and in the second one.
        second_query: whether each query is embedded by a second model.
    """

    embedded: float
    mapped: float
    dimension: int
    second_index: bool = False
    second_dimension: int = 0
    retrained: int = 0
    mapped_per_s: float = 0.0
    number_bytes: int = FLOAT_BYTES
    second_number_bytes: int = FLOAT_BYTES
    second_query: bool = False


@dataclass(frozen=True, slots=True)
class Bill:
    """What that costs.

    Attributes:
        gpu_hours: of embedding and training, and of embedding queries once more.
        money: GPUs, mapping machine and storage together, in the unit of the prices.
        days: of wall clock, embedding spread over the GPUs, mapping and indexing after it.
        gigabytes: of vectors kept, both indexes where there are two.
    """

    gpu_hours: float
    money: float
    days: float
    gigabytes: float


def bill(work: Work, costs: CostConfig, items: int) -> Bill:
    """The bill of ``work`` for a gallery of ``items`` (used where ``costs.items`` is 0).

    Retraining is one job on all GPUs; its wall-clock time is its GPU-hours over ``gpus``. Every option embeds each
    query once, which is not in the bill; the second time is, at the speed of items, for ``months``.
    """
    count = costs.items or items
    embedding_hours = work.embedded * count / costs.items_per_s / 3600
    work_hours = embedding_hours + work.retrained * costs.training_gpu_hours
    queries = costs.queries_per_day * DAYS_PER_MONTH * costs.months if work.second_query else 0.0
    gpu_hours = work_hours + queries / costs.items_per_s / 3600
    rate = min(costs.mapped_per_s, work.mapped_per_s or costs.mapped_per_s)
    mapping_hours = work.mapped * count / rate / 3600
    rewritten = min(1.0, work.embedded + work.mapped)
    index_hours = rewritten * count / costs.index_per_s / 3600
    second = work.second_dimension * work.second_number_bytes if work.second_index else 0
    gigabytes = count * (work.dimension * work.number_bytes + second) / GIGA
    money = (
        gpu_hours * costs.gpu_price + mapping_hours * costs.cpu_price + gigabytes * costs.storage_price * costs.months
    )
    days = (work_hours / costs.gpus + mapping_hours + index_hours) / 24
    return Bill(gpu_hours, money, days, gigabytes)
