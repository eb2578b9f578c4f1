"""What an adapter is, and what it registers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from compat_core.adapters.map import VectorMap
from compat_core.adapters.pairs import Pairs
from compat_core.adapters.statistics import PairStatistics, collect
from compat_core.config import check_ranges, from_dict, param
from compat_core.device import DeviceChoice, pick_device
from compat_core.errors import CompatError
from compat_core.registry import Registry
from compat_core.spec import Spec
from compat_core.training.loop import Reporter


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """What every adapter has."""

    normalise: bool = param(
        False, "bring source and target vectors to length 1 before fitting, and source vectors before mapping"
    )

    def __post_init__(self) -> None:
        check_ranges(self)


class QuietReporter:
    """Tells nobody."""

    def event(self, kind: str, **fields: object) -> None:
        """Nothing."""

    def progress(self, fraction: float) -> None:
        """Nothing."""

    def check_cancelled(self) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class FitJob:
    """Where a learned adapter is trained, from which seed, and who is told."""

    seed: int
    device: DeviceChoice
    reporter: Reporter


@dataclass(frozen=True, slots=True)
class Adapter:
    """Registry entry: a way to fit a map from source to target vectors on pairs of them.

    Every adapter serves both directions: old → new to migrate the gallery, new → old to map queries.

    Attributes:
        name, title, summary: for people; the summary is one sentence.
        paper: authors, year, arXiv id.
        formula: what is minimised or computed, in LaTeX; x source, y target.
        config: its config dataclass, a subclass of AdapterConfig.
        needs: what must be given beside the vectors (``labels``).
        optional: what it uses when it is given (``side``, ``labels``).
        departs: where it departs from the paper, and why; empty when nowhere.
        dimensions: what happens where D_source and D_target differ.
        min_pairs: fewest pairs it can be fitted on at all; a good map needs more, see ``dimensions``.
        folds: parts of the pairs whose statistics ``solve`` wants apart, to choose a strength by leaving one out.
        solve: the map from statistics, ``solve(parts, config)``; None for one that is trained.
        train: the map from the pairs, ``train(pairs, config, job)``; None for a closed form.
    """

    name: str
    title: str
    summary: str
    paper: str
    formula: str
    config: type
    dimensions: str
    needs: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    departs: str = ""
    min_pairs: int = 2
    folds: int = 1
    solve: Callable[[tuple[PairStatistics, ...], Any], VectorMap] | None = None
    train: Callable[[Pairs, Any, FitJob], VectorMap] | None = None

    @property
    def closed_form(self) -> bool:
        """True when one pass over the pairs and some linear algebra give the map; nothing is random then."""
        return self.solve is not None

    def configure(self, spec: Spec) -> Any:
        """The adapter's config for ``spec``. Raises CompatError for a parameter it does not have."""
        return from_dict(self.config, spec.params, f"adapter {self.name}")

    def fit(
        self,
        pairs: Pairs,
        config: Any = None,
        seed: int = 0,
        device: DeviceChoice | None = None,
        reporter: Reporter | None = None,
    ) -> VectorMap:
        """Fit the map. The same pairs, config and seed give the same map on the same machine.

        Args:
            pairs: the training pairs, all of which may be used; never show it the pairs it will be judged on.
            config: an instance of ``self.config``; None: the defaults.
            seed: of initialisation and batches; a closed form has no use for it.
            device: None: the CPU.
            reporter: hears of the training's losses and progress, and may cancel it.

        Returns:
            the map in eval mode, on the CPU, float32.

        Raises:
            CompatError: for too few pairs, missing labels, NaN, or a training that diverges.
        """
        config = self.config() if config is None else config
        device = device or pick_device("cpu")
        self.check_count(len(pairs))
        for need in self.needs:
            if getattr(pairs, need) is None:
                fix = "give them, or choose an adapter without that need"
                raise CompatError(f"adapter {self.name}", rule=f"needs {need} of the pairs", fix=fix)
        if self.solve is not None:
            # Apple's GPUs have no float64
            where = device.device if device.device.type == "cuda" else "cpu"
            return self.from_statistics(collect(pairs.batches(), config.normalise, self.folds, where), config)
        if self.train is None:
            raise ValueError(f"adapter {self.name!r} can neither be solved nor trained")
        return self.checked(self.train(pairs, config, FitJob(seed, device, reporter or QuietReporter())))

    def from_statistics(self, parts: tuple[PairStatistics, ...], config: Any = None) -> VectorMap:
        """The map of a closed form from statistics gathered elsewhere: a stream, or shards on several machines.

        Args:
            parts: statistics of ``self.folds`` disjoint parts of the pairs, as
                ``collect(batches, config.normalise, adapter.folds)`` gathers them; further shards are merged part by
                part.
            config: as :meth:`fit`; its ``normalise`` must be the one the statistics were gathered with.

        Raises:
            CompatError: for an adapter that is no closed form, another number of parts, or too few pairs.
        """
        if self.solve is None:
            raise CompatError(f"adapter {self.name}", rule="is trained on the pairs themselves", fix="use its fit")
        if len(parts) != self.folds:
            rule = f"adapter {self.name} wants {self.folds}"
            raise CompatError("parts of the statistics", value=len(parts), rule=rule, fix="collect(…, folds=…)")
        self.check_count(sum(part.count for part in parts))
        config = self.config() if config is None else config
        return self.checked(self.solve(parts, config))

    def checked(self, fitted: Any) -> VectorMap:
        """What ``solve`` or ``train`` gave, in eval mode, on the CPU, float32.

        Raises:
            CompatError: for anything but a VectorMap of finite numbers.
        """
        if not isinstance(fitted, VectorMap):
            given = type(fitted).__name__
            raise CompatError(f"adapter {self.name}", value=given, rule="solve and train must return a VectorMap")
        fitted = fitted.cpu().float().requires_grad_(False).eval()
        if not all(bool(torch.isfinite(value).all()) for value in fitted.state_dict().values()):
            rule = "its map holds NaN or infinity"
            raise CompatError(f"adapter {self.name}", rule=rule, fix="look for rows that repeat or are all zero")
        return fitted

    def defaults(self, most_steps: int = 0) -> Any:
        """Its default config; a trained adapter takes no more than ``most_steps`` optimiser steps, 0 for its own."""
        config = self.config()
        own = getattr(config, "steps", 0)
        return dataclasses.replace(config, steps=min(own, most_steps)) if own and most_steps else config

    def check_count(self, count: int) -> None:
        """Raise CompatError when ``count`` pairs are too few to fit anything on."""
        if count < self.min_pairs:
            raise CompatError(
                f"adapter {self.name}",
                value=f"{count} pairs",
                rule=f"needs at least {self.min_pairs}",
                fix="embed more items with both models",
            )


ADAPTERS: Registry[Adapter] = Registry("adapter")
