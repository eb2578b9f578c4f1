"""What every closed-form adapter needs to know of its pairs, gathered in one pass over batches of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from compat_core.errors import CompatError


class PairStatistics:
    """Count, means and centred second moments of pairs ``(x, y)``, in float64.

    Held centred (``C_xy = Σ (x − x̄)(y − ȳ)ᵀ``) and combined by Chan's update rather than as raw sums: raw second
    moments of vectors far from the origin lose the digits that the covariance is made of. The raw ones follow,
    ``Σ x yᵀ = C_xy + n x̄ ȳᵀ``.

    Args:
        source_dim, target_dim: D_source, D_target.
        device: where batches are multiplied; float64 products of a million pairs take a second on a GPU.

    Attributes:
        count: number of pairs n.
        source_mean, target_mean: ``(D_source,)``, ``(D_target,)``.
        source_moment, cross_moment, target_moment: ``(D_source, D_source)``, ``(D_source, D_target)``,
            ``(D_target, D_target)``, sums over pairs (not divided by n) about the means.

    Reference: Chan, Golub, LeVeque 1979, "Updating formulae and a pairwise algorithm for computing sample variances".
    """

    def __init__(self, source_dim: int, target_dim: int, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.count = 0
        self.source_mean, self.target_mean = self._zeros(source_dim), self._zeros(target_dim)
        self.source_moment = self._zeros(source_dim, source_dim)
        self.cross_moment = self._zeros(source_dim, target_dim)
        self.target_moment = self._zeros(target_dim, target_dim)

    def _zeros(self, *shape: int) -> torch.Tensor:
        return torch.zeros(shape, dtype=torch.float64, device=self.device)

    @property
    def source_dim(self) -> int:
        """D_source."""
        return len(self.source_mean)

    @property
    def target_dim(self) -> int:
        """D_target."""
        return len(self.target_mean)

    def update(self, source: Any, target: Any) -> PairStatistics:
        """Add a batch of pairs. Shape: ``(B, D_source)``, ``(B, D_target)`` real numbers. Returns itself.

        Raises:
            CompatError: for shapes that do not fit.
        """
        x, y = (_float64(values, self.device) for values in (source, target))
        if x.shape[1:] != self.source_mean.shape or y.shape[1:] != self.target_mean.shape or len(x) != len(y):
            raise CompatError(
                "batch of pairs",
                value=f"{tuple(x.shape)} and {tuple(y.shape)}",
                rule=f"must be as many rows each, of {self.source_dim} and {self.target_dim} dimensions",
            )
        if len(x):
            x_mean, y_mean = x.mean(0), y.mean(0)
            x, y = x - x_mean, y - y_mean
            self._combine(len(x), x_mean, y_mean, x.T @ x, x.T @ y, y.T @ y)
        return self

    def merge(self, other: PairStatistics) -> PairStatistics:
        """Add the pairs that ``other`` has seen (another shard's, another process's). Returns itself.

        Raises:
            CompatError: when the dimensions differ.
        """
        if (self.source_dim, self.target_dim) != (other.source_dim, other.target_dim):
            raise CompatError(
                "statistics to merge",
                value=(other.source_dim, other.target_dim),
                rule=f"must be of {self.source_dim} and {self.target_dim} dimensions",
            )
        if other.count:
            moments = (other.source_moment, other.cross_moment, other.target_moment)
            tensors = (tensor.to(self.device) for tensor in (other.source_mean, other.target_mean, *moments))
            self._combine(other.count, *tensors)
        return self

    def _combine(
        self,
        count: int,
        source_mean: torch.Tensor,
        target_mean: torch.Tensor,
        source_moment: torch.Tensor,
        cross_moment: torch.Tensor,
        target_moment: torch.Tensor,
    ) -> None:
        """Chan's update: moments add up, plus ``(n m / (n + m)) · δ δᵀ`` for the distance δ between the two means."""
        total = self.count + count
        x_step, y_step = source_mean - self.source_mean, target_mean - self.target_mean
        weight = self.count * count / total
        self.source_moment += source_moment + weight * torch.outer(x_step, x_step)
        self.cross_moment += cross_moment + weight * torch.outer(x_step, y_step)
        self.target_moment += target_moment + weight * torch.outer(y_step, y_step)
        self.source_mean += x_step * (count / total)
        self.target_mean += y_step * (count / total)
        self.count = total

    def raw_cross_moment(self) -> torch.Tensor:
        """``Xᵀ Y`` about the origin ``(D_source, D_target)``."""
        return self.cross_moment + self.count * torch.outer(self.source_mean, self.target_mean)

    def raw_source_moment(self) -> torch.Tensor:
        """``Xᵀ X`` about the origin ``(D_source, D_source)``."""
        return self.source_moment + self.count * torch.outer(self.source_mean, self.source_mean)

    def squared_error(self, weight: torch.Tensor, centre: torch.Tensor, offset: torch.Tensor) -> torch.Tensor:
        """``Σ ‖W (x − a) + c − y‖²`` over the pairs, without reading them again; a float64 scalar.

        Args:
            weight: W ``(D_target, D_source)``.
            centre: a ``(D_source,)``.
            offset: c ``(D_target,)``.
        """
        spread = ((weight @ self.source_moment) * weight).sum() - 2 * (weight * self.cross_moment.T).sum()
        miss = weight @ (self.source_mean - centre) + offset - self.target_mean  # at the means
        return spread + self.target_moment.diagonal().sum() + self.count * miss @ miss


RANK_TOLERANCE = 1e-12  # eigenvalues below this share of the largest are rounding error
ROUNDING = 1e-14  # of a value: a spread below this share of it is what taking off the mean leaves of equal rows


def spanned(values: torch.Tensor, mean: torch.Tensor, count: int) -> torch.Tensor:
    """Which directions the rows span at all, and not rounding error alone. Shape: ``(D,)`` → ``(D,)`` bool.

    Rows that are all the same have a moment of rounding errors, of which each is as large as the others.

    Args:
        values: eigenvalues of the centred second moment of ``count`` rows.
        mean: their mean.
        count: number of rows.
    """
    return values > torch.maximum(RANK_TOLERANCE * values.abs().max(), count * (ROUNDING * mean).square().sum())


def filled(parts: Iterable[PairStatistics]) -> list[PairStatistics]:
    """The parts that hold pairs. Raises CompatError for fewer than two: one is left out, another is fitted on."""
    found = [part for part in parts if part.count]
    if len(found) < 2:
        rule = "a strength is chosen by leaving one part out: at least two must hold pairs"
        raise CompatError("parts of the statistics", value=len(found), rule=rule, fix="give a strength")
    return found


def merged(parts: Iterable[PairStatistics]) -> PairStatistics:
    """All pairs of several statistics together; the parts stay as they are."""
    first, *rest = parts
    total = PairStatistics(first.source_dim, first.target_dim, first.device).merge(first)
    for part in rest:
        total.merge(part)
    return total


def collect(
    batches: Iterable[tuple[Any, Any]],
    normalise: bool = False,
    folds: int = 1,
    device: torch.device | str = "cpu",
) -> tuple[PairStatistics, ...]:
    """Statistics of a stream of batches, for each of ``folds`` parts of the pairs.

    A pair's fold is a hash of its position in the stream: independent of the batches' sizes, the same every time, and
    spread over files that are sorted by class.

    Args:
        batches: ``(B, D_source)``, ``(B, D_target)`` each; numpy or torch.
        normalise: bring rows to length 1 first (a zero row stays zero).
        folds: number of parts F.
        device: where to multiply.

    Returns:
        F statistics; :func:`merged` gives those of all pairs.

    Raises:
        CompatError: for batches that do not fit together, or none.
    """
    parts: tuple[PairStatistics, ...] = ()
    first_row = 0
    for source, target in batches:
        x, y = (_float64(values, device) for values in (source, target))
        if normalise:
            x, y = F.normalize(x), F.normalize(y)
        parts = parts or tuple(PairStatistics(x.shape[1], y.shape[1], device) for _ in range(folds))
        if folds == 1 or len(x) != len(y):
            parts[0].update(x, y)  # which refuses lengths that differ
        else:
            fold = torch.as_tensor(fold_of(np.arange(first_row, first_row + len(x)), folds), device=x.device)
            for index, part in enumerate(parts):
                part.update(x[fold == index], y[fold == index])
        first_row += len(x)
    if not parts:
        raise CompatError("pairs", value=0, rule="there must be at least one batch of them")
    return parts


def fold_of(rows: np.ndarray, folds: int) -> np.ndarray:
    """The fold of every row number ``(B,)`` int64 in [0, folds): its splitmix64 hash, which scatters neighbours."""
    mixed = (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((mixed ^ (mixed >> np.uint64(31))) % np.uint64(folds)).astype(np.int64)


def _float64(values: Any, device: torch.device | str) -> torch.Tensor:
    if isinstance(values, torch.Tensor):
        return values.detach().to(device, torch.float64)
    array = np.asarray(values)
    # the narrow type travels to a GPU; integers and foreign byte orders are no torch types and are widened here
    narrow = array.dtype in (np.float32, np.float16) and array.dtype.isnative and torch.device(device).type != "cpu"
    return torch.from_numpy(np.array(array, dtype=array.dtype if narrow else np.float64)).to(device, torch.float64)
