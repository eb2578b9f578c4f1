"""The complete description of one experiment, and nothing that is not needed to run it again."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compat_core.config import check_ranges, from_dict, param, to_dict
from compat_core.data.config import DataConfig, ScenarioConfig
from compat_core.device import PRECISIONS
from compat_core.errors import CompatError
from compat_core.spec import Spec
from compat_core.training.config import VersionConfig

SCHEMA_VERSION = 1
RESERVED = re.compile(r"old|paragon\d*|v\d+", re.IGNORECASE)  # a run keeps its models under these names
MAX_SEED = 2**63 - 1
"""The largest seed that every table and generator takes: a signed 64-bit number."""


@dataclass(frozen=True, slots=True)
class ProtocolConfig:
    """Which protocols beside retrieval judge every cell; both compare templates by cosine."""

    verification: bool = param(False, "1:1 verification over all pairs of templates: TAR at FAR, ROC, DET, EER")
    identification: bool = param(False, "1:N open-set identification of probe templates: TPIR at FPIR, rank-1, rank-5")
    template_size: int = param(1, "items averaged into one template", unit="items", low=1, high=1000)
    enrolled: float = param(
        0.5, "share of the classes enrolled in the 1:N gallery; probes of the others have no mate", low=0.01, high=0.99
    )
    fars: tuple[float, ...] = param((1e-5, 1e-4, 1e-3, 1e-2, 1e-1), "false-accept rates at which TAR is given")
    fpirs: tuple[float, ...] = param((1e-3, 1e-2, 1e-1), "false-positive rates at which TPIR is given")

    def __post_init__(self) -> None:
        check_ranges(self, "protocols")
        for name in ("fars", "fpirs"):
            rates = getattr(self, name)
            if not rates or not all(0 < rate < 1 for rate in rates):
                raise CompatError(f"protocols.{name}", value=list(rates), rule="must list rates between 0 and 1")


@dataclass(frozen=True, slots=True)
class ExperimentConfig:
    """Two model versions, the methods that bridge them, the data, and the seeds."""

    schema_version: int = param(SCHEMA_VERSION, "version of this file format", low=1)
    title: str = param("", "a name for people; the run's id is derived from it")
    preset: str = param("", "the preset this configuration started from, if any")
    data: DataConfig = field(default_factory=DataConfig, metadata={"help": "the images"})
    scenario: ScenarioConfig = field(default_factory=ScenarioConfig, metadata={"help": "what the old model saw"})
    old: VersionConfig = field(default_factory=VersionConfig, metadata={"help": "the old model"})
    new: VersionConfig = field(default_factory=VersionConfig, metadata={"help": "the new model"})
    methods: tuple[Spec, ...] = field(
        default_factory=lambda: (Spec("independent"),), metadata={"help": "upgrade methods to compare"}
    )
    seeds: tuple[int, ...] = param((0,), "one complete repetition per seed")
    device: str = param("auto", "auto, cpu, cuda, cuda:N or mps")
    precision: str = param(
        "auto", "of forward passes in training; auto = bfloat16 where the hardware has it", choices=PRECISIONS
    )
    distance: str = param("cosine", "how vectors are compared", choices=("cosine", "l2", "dot"))
    backfill_queries: int = param(
        1000, "queries of the backfill curves, a fixed random choice; 0 = no curves", unit="queries", low=0
    )
    protocols: ProtocolConfig = field(
        default_factory=ProtocolConfig, metadata={"help": "verification and identification beside retrieval"}
    )
    resamples: int = param(10_000, "bootstrap resamples of each interval", low=100, high=1_000_000)

    def __post_init__(self) -> None:
        check_ranges(self)
        if self.schema_version != SCHEMA_VERSION:
            raise CompatError("schema_version", value=self.schema_version, rule=f"this program reads {SCHEMA_VERSION}")
        if not self.methods:
            raise CompatError("methods", value=[], rule="name at least one", fix="see: python -m compat_core methods")
        if not self.seeds:
            raise CompatError("seeds", value=[], rule="name at least one seed")
        if not all(0 <= seed <= MAX_SEED for seed in self.seeds):
            raise CompatError("seeds", value=list(self.seeds), rule=f"seeds are whole numbers from 0 to {MAX_SEED}")
        taken = sorted(spec.label for spec in self.methods if RESERVED.fullmatch(spec.label))
        if taken:
            raise CompatError("methods", value=taken, rule="names of the models themselves", fix="use another alias")
        for name, items in (("methods", [spec.label for spec in self.methods]), ("seeds", [*map(str, self.seeds)])):
            twice = sorted({item for item in items if items.count(item) > 1})
            if twice:
                raise CompatError(name, value=twice, rule="named twice", fix="name each one once")

    def replace(self, **changes: Any) -> ExperimentConfig:
        """A copy with ``changes`` applied and checked again."""
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, complete."""
        return to_dict(self)

    @classmethod
    def from_dict(cls, values: Any) -> ExperimentConfig:
        """Strict inverse of :meth:`to_dict`. Raises CompatError for an unknown key or a value out of range."""
        return from_dict(cls, values)

    @classmethod
    def from_file(cls, path: str | Path) -> ExperimentConfig:
        """Read a JSON file. Raises CompatError when it is missing, not JSON, or not a valid experiment."""
        path = Path(path)
        if not path.is_file():
            raise CompatError("config file", value=str(path), rule="no such file")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise CompatError("config file", value=str(path), rule=f"not valid JSON ({error})") from error
        return cls.from_dict(values)
