"""What a random ranking of this gallery would score: the floor beside every number."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def chance_levels(
    num_relevant: np.ndarray, num_candidates: np.ndarray, cmc_ks: Iterable[int], precision_ks: Iterable[int]
) -> dict[str, float]:
    """The exact expected value of each metric when every query ranks its candidates in uniformly random order.

    With R relevant among N candidates and H_n the n-th harmonic number:

    - CMC@k: 1 − C(N−R, k) / C(N, k)
    - precision@k: min(k, N) / k · R / N;  R-precision: R / N
    - AP: (1/N) · [H_N + (R−1)/(N−1) · (N − H_N)], because an item at place i is relevant with probability R/N and
      has then 1 + (i−1)(R−1)/(N−1) relevant items up to and including it; AP@R: the same sum over i <= R.

    Args:
        num_relevant: (Q,) int64, R of each valid query, >= 1.
        num_candidates: (Q,) int64, N of each valid query: the gallery less what is excluded, >= R.
        cmc_ks, precision_ks: the k to answer for.

    Returns:
        Metric name -> mean expectation over the queries, in [0, 1].
    """
    most = int(num_candidates.max()) + 1
    pairs, weight = np.unique(num_relevant.astype(np.int64) * most + num_candidates, return_counts=True)
    relevant, candidates = (pairs // most).astype(np.float64), (pairs % most).astype(np.float64)
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, int(candidates.max()) + 1))])
    others = (relevant - 1) / np.maximum(candidates - 1, 1)  # chance that another item is relevant, given one is

    def average_precision_upto(places: np.ndarray) -> np.ndarray:
        total = harmonic[places.astype(np.int64)]
        return (total + others * (places - total)) / candidates

    expected = {f"CMC@{k}": 1 - _no_hit(relevant, candidates, k) for k in cmc_ks}
    expected["mAP"] = average_precision_upto(candidates)
    expected["mAP@R"] = average_precision_upto(relevant)
    expected["R-precision"] = relevant / candidates
    for k in precision_ks:
        expected[f"precision@{k}"] = np.minimum(k, candidates) / k * relevant / candidates
    return {name: float(np.average(values, weights=weight)) for name, values in expected.items()}


def _no_hit(relevant: np.ndarray, candidates: np.ndarray, k: int) -> np.ndarray:
    """Probability that none of the first ``k`` places holds a relevant item: Π (N−R−i) / (N−i)."""
    probability = np.ones_like(relevant)
    for place in range(min(k, int(candidates.max()))):
        wrong_left = np.maximum(candidates - relevant - place, 0)
        probability = probability * wrong_left / np.maximum(candidates - place, 1)
        if not probability.any():
            break
    return probability
