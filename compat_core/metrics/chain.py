"""Chains of model versions: what the matrix of all query × gallery versions says as a whole."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compat_core.errors import CompatError


@dataclass(frozen=True, slots=True)
class ChainSummary:
    """A chain v1 … vT in four numbers, from C[i, j] = M(query φ_i, gallery φ_j).

    Attributes:
        compatibility: AC, share of pairs i > j with C[i, j] above C[j, j].
        mean: AM, mean of the lower triangle, diagonal included.
        backward: BC, mean over i < T of C[T, i] − C[i, i].
        forward: FC, mean over i ≥ 2 of C[i, i−1] − C[i, i].
    """

    compatibility: float
    mean: float
    backward: float
    forward: float


def chain_summary(matrix: np.ndarray, strict: bool = True) -> ChainSummary:
    """Summarise a chain.

    Args:
        matrix: ``(T, T)``; only the lower triangle and the diagonal are read.
        strict: whether C[i, j] = C[j, j] counts as incompatible (released codes disagree on ties).

    Raises:
        CompatError: for anything but a square matrix of at least two versions.

    Reference: CoReS, arXiv 2111.07632 (AC, AM); BC and FC as in later chain benchmarks.
    """
    chain = np.asarray(matrix, dtype=np.float64)
    if chain.ndim != 2 or chain.shape[0] != chain.shape[1] or len(chain) < 2:
        raise CompatError("chain matrix", value=chain.shape, rule="must be T × T for T >= 2 versions")
    versions = len(chain)
    own = np.diag(chain)
    newer, older = np.tril_indices(versions, -1)
    crossed = chain[newer, older]
    compatible = crossed > own[older] if strict else crossed >= own[older]
    return ChainSummary(
        compatibility=float(compatible.mean()),
        mean=float(chain[np.tril_indices(versions)].mean()),
        backward=float((chain[-1, :-1] - own[:-1]).mean()),
        forward=float((np.diag(chain, -1) - own[1:]).mean()),
    )


def chain_update_gains(matrix: np.ndarray, paragons: np.ndarray) -> dict[tuple[int, int], float | None]:
    """BCT's update gain of every later version over every earlier gallery.

    Gain (i, j) = (C[i, j] − C[j, j]) / (paragon − C[j, j]) with the paragon of step j + 1: the full upgrade that was to
    be had when gallery j was first replaced. So (3, 1) is measured against the paragon of step 2, (3, 2) against that
    of step 3.

    Args:
        matrix: ``(T, T)``.
        paragons: ``(T,)`` self-test of the unconstrained model of each step; the first entry is not read.

    Returns:
        (i, j), counted from 1, -> the gain; None where not compatible or the paragon is not better.

    Reference: BCT, arXiv 2003.11942, Eq. 9 and its sequential-update table (recomputed).
    """
    chain = np.asarray(matrix, dtype=np.float64)
    gains: dict[tuple[int, int], float | None] = {}
    for later in range(1, len(chain)):
        for earlier in range(later):
            won, possible = (
                chain[later, earlier] - chain[earlier, earlier],
                paragons[earlier + 1] - chain[earlier, earlier],
            )
            gains[later + 1, earlier + 1] = float(won / possible) if won > 0 and possible > 0 else None
    return gains
