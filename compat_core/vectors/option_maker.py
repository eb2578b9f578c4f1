"""Makes every option of a decision: fits adapters, and chooses what has to be chosen on items set apart for that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from compat_core.adapters import ADAPTERS, Adapter, Pairs, VectorMap
from compat_core.adapters.labels import class_codes
from compat_core.errors import Cancelled, CompatError
from compat_core.vectors import options as ways
from compat_core.vectors.decision_config import DecisionConfig
from compat_core.vectors.given import Given
from compat_core.vectors.judge import judge
from compat_core.vectors.options import Option
from compat_core.vectors.plan import choosable, usable_orders
from compat_core.vectors.relevance import Relevance
from compat_core.vectors.space import Judging

SLERP_WEIGHTS = (0.2, 0.4, 0.6, 0.8)
SLERP_MAP = "procrustes"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An adapter, or one direction of it, that could not be fitted on these vectors, and why."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Orderable:
    """What some items can be ordered by for a backfill: class codes from 0 ``(G,)`` and weights ``(G,)``, or None."""

    labels: np.ndarray | None
    weights: np.ndarray | None

    @classmethod
    def of(cls, rows: np.ndarray, labels: Any, weights: Any) -> Orderable:
        """The columns of the items in ``rows (G,)``."""
        return cls(
            None if labels is None else class_codes(labels)[0][rows],
            None if weights is None else np.asarray(weights, dtype=np.float64)[rows],
        )

    @property
    def at_hand(self) -> tuple[str, ...]:
        """Which of the two are given, by name."""
        return tuple(name for name in ("labels", "weights") if getattr(self, name) is not None)

    def orders(self, fitted: VectorMap, judging: Judging) -> dict[str, np.ndarray]:
        """The orderings of a part backfill beside ``fitted``, by name, as :func:`usable_orders` has them."""
        mapped = ways.mapped_rows(fitted, judging.old, judging.side).numpy()
        unsure = unsure_rows(fitted, judging.old, judging.side)
        return usable_orders(mapped, self.labels, self.weights, unsure, judging.distance)


class OptionMaker:
    """Makes every option. What has to be chosen (the map under a part backfill, its ordering, SLERP's weight) is chosen
    on other items than those the options are judged on.

    Args:
        judging: the items that options are judged on.
        fit: what adapters are fitted on.
        config: of the decision.
        validation: the items choices are made on, and their truth.
        judged, validated: what the items of ``judging`` and of ``validation`` can be ordered by.

    Attributes:
        best: see :class:`compat_core.vectors.decision.Evidence`; filled as the options are made, as is ``left_out``.
    """

    def __init__(
        self,
        judging: Judging,
        fit: Pairs,
        config: DecisionConfig,
        validation: tuple[Judging, Relevance],
        judged: Orderable,
        validated: Orderable,
    ) -> None:
        self.judging, self.fit, self.config, self.validation = judging, fit, config, validation
        self.judged_by, self.validated_by = judged, validated
        self.best: tuple[Option, Adapter] | None = None
        self.left_out: list[LeftOut] = []
        self.adapters = self._usable_adapters()

    def count(self, given: Given) -> int:
        """How many options there will be, unless an adapter refuses its pairs."""
        adapters = sum(len(self.fitted_on(adapter)) + 1 for adapter in self.adapters)
        ordered = bool(choosable(self.judged_by.at_hand))
        shares = len(self.config.shares) * (2 + (1 + ordered if self.adapters else 0))
        slerp = self.config.distance != "l2" and any(adapter.name == SLERP_MAP for adapter in self.adapters)
        return len(ways.references(self.judging)) + adapters + shares + slerp + len(given.candidates)

    def all(self) -> Iterator[Option]:
        """References, every adapter in both directions, part backfills, rank merge and SLERP."""
        yield from ways.references(self.judging)
        dims = self.judging.old.shape[1], self.judging.new.shape[1]
        if dims[0] != dims[1]:
            reason = f"old vectors have {dims[0]} dimensions, new queries {dims[1]}: they cannot be compared"
            self.left_out.append(LeftOut(ways.NAIVE, reason))
        best_value, to_old = -1.0, None
        for adapter in self.adapters:
            for pairs in self.fitted_on(adapter):
                forward = self.fitted(f"{adapter.name} old→new", adapter, pairs)
                if forward is None:
                    continue
                option = ways.gallery_option(self.judging, adapter, forward)
                value = self.validated(ways.gallery_option(self.validation[0], adapter, forward))
                if value > best_value:
                    best_value, self.best = value, (option, adapter)
                yield option
            backward = self.fitted(f"{adapter.name} new→old", adapter, self.fit.swapped())
            if backward is None:
                continue
            if adapter.name == SLERP_MAP:
                to_old = backward
            yield ways.query_option(self.judging, adapter, backward)
        order = ways.random_order(len(self.judging.old), self.config.seed)
        if self.best is not None:
            yield from self.part_backfills(self.best[0], order)
        for share in self.config.shares:
            for by in ("rank", "score"):
                yield ways.rank_merge(self.judging, share, order, by)
        if to_old is not None and self.config.distance == "l2":
            reason = "turns directions, which says nothing of lengths; l2 distance depends on them"
            self.left_out.append(LeftOut(ways.SLERP, reason))
        elif to_old is not None:
            yield self.slerp(to_old)

    def fitted(self, name: str, adapter: Adapter, pairs: Pairs) -> VectorMap | None:
        """The map of the option ``name``; None where the adapter refuses the pairs or breaks: it is left out, named.

        One adapter, which may be a file of the user's own, does not take the answers of all others along.
        """
        try:
            return adapter.fit(pairs, adapter.defaults(self.config.steps), self.config.seed)
        except CompatError as error:
            reason = str(error)
        except (Cancelled, OSError, MemoryError):  # of the machine, not of the adapter
            raise
        except Exception as error:  # noqa: BLE001 (whatever a file of the user's own raises)
            reason = f"adapter {adapter.name} failed: {type(error).__name__}: {error}"
        self.left_out.append(LeftOut(name, reason))
        return None

    def fitted_on(self, adapter: Adapter) -> list[Pairs]:
        """The pairs without side-information; and with it, for an adapter that uses it: is it worth storing?"""
        plain = self.fit if self.fit.side is None else self.fit.without_side()
        return [plain, self.fit] if self.fit.side is not None and "side" in adapter.optional else [plain]

    def candidates(self, given: Given, rows: np.ndarray) -> list[Option]:
        """Options made elsewhere. Raises CompatError for one that cannot be judged, or two of one name."""
        names = [candidate.name for candidate in given.candidates]
        for name in names:
            if names.count(name) > 1:
                raise CompatError("option", value=name, rule="occurs more than once", fix="give each its own name")
        return [ways.candidate_option(self.judging, candidate, rows) for candidate in given.candidates]

    def part_backfills(self, base: Option, order: np.ndarray) -> Iterator[Option]:
        """Every share in random ``order (G,)``, and in the ordering that does best on the validation items.

        Orderings that take the new vectors to be had are not among them: they are what a backfill is to bring.
        """
        orders = {ways.RANDOM: order}
        if base.vector_map is not None and self.config.shares:
            known = self.judged_by.orders(base.vector_map, self.judging)
            tried = self.validated_by.orders(base.vector_map, self.validation[0])
            values = {name: self.ordered_value(base, name, tried[name]) for name in tried if name in known}
            if values:
                best = max(values, key=lambda name: values[name])
                orders[best] = known[best]
        for share in self.config.shares:
            for name, ordered in orders.items():
                yield ways.part_backfill(self.judging, base, share, ordered, name)

    def ordered_value(self, base: Option, name: str, order: np.ndarray) -> float:
        """Mean over the shares of what part backfills in ``order`` reach on the validation items."""
        judging = self.validation[0]
        made = [ways.part_backfill(judging, base, share, order, name) for share in self.config.shares]
        return float(np.mean([self.validated(option) for option in made]))

    def _usable_adapters(self) -> list[Adapter]:
        """The adapters asked for, or all, but for those that need something that is not given."""
        usable = []
        for adapter in [ADAPTERS.get(name) for name in self.config.adapters] or list(ADAPTERS):
            missing = [need for need in adapter.needs if getattr(self.fit, need) is None]
            if missing:
                self.left_out.append(LeftOut(adapter.name, f"needs {' and '.join(missing)} of the items"))
            else:
                usable.append(adapter)
        return usable

    def slerp(self, to_old: VectorMap) -> Option:
        """SLERP with the weight that does best on the validation items."""
        weights = {weight: self.validated(ways.slerp(self.validation[0], to_old, weight)) for weight in SLERP_WEIGHTS}
        return ways.slerp(self.judging, to_old, max(weights, key=lambda weight: weights[weight]))

    def validated(self, option: Option) -> float:
        """Mean average precision on the validation items."""
        judging, relevance = self.validation
        return float(np.nanmean(judge(option.scorer, relevance, len(judging.old)).average_precision))


def unsure_rows(fitted: VectorMap, rows: torch.Tensor, side: torch.Tensor | None) -> np.ndarray | None:
    """How unsure a map is of each row ``(N,)``; None where it cannot tell."""
    with torch.inference_mode():
        unsure = fitted.uncertainty(rows, side if fitted.side_dim else None)
    return None if unsure is None else unsure.reshape(-1).numpy()
