"""Rows of one model's vectors that came from the other model, where both models have the same dimension."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compat_core.retrieval.streamed import let_go

BLOCK_ROWS = 65_536
DOUBTFUL = 4.0  # robust standard deviations from the linear prediction before a row may be called foreign
FEW, MOST = 0.01, 0.75  # the lowest 1 % of the other file's ratios must lie above three quarters of this file's
SHRINKAGE = 1e-3  # of a covariance's mean variance, added to its diagonal
PER_DIMENSION = 5  # rows per dimension below which a space cannot be described


def foreign_rows(old: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of each file that the other file's space explains better, far out of line with the rows around them.

    Three things have to come together. The two files' spaces can be told apart: each is described by its mean and
    covariance, every row of both files by how much better the other space explains it (a log-likelihood ratio), and the
    ratios of the files lie apart. The row lies among the ratios of the other file. And it is far from what its own
    item's other vector predicts linearly. Where the models cannot be told apart, nothing is called foreign.

    Args:
        old, new: ``(N, D)``.

    Returns:
        numbers of the rows of ``old``, and of ``new``.
    """
    if len(old) < PER_DIMENSION * old.shape[1]:
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    here, there = _describe(old), _describe(new)
    # How much better the new model's space explains a row than the old one's; the other way round it is the negative.
    of_old, of_new = (
        np.concatenate([_log_density(block, *there) - _log_density(block, *here) for _, block in blocks(side)])
        for side in (old, new)
    )
    return _foreign(old, new, of_old, of_new), _foreign(new, old, -of_new, -of_old)


def _foreign(emb: np.ndarray, other: np.ndarray, ratios: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The rows of one side, from how much better the other space explains its rows, and the other side's ``(N,)``."""
    among_them = float(np.quantile(theirs, FEW))
    likely = ratios > among_them
    if among_them <= np.quantile(ratios, MOST) or not likely.any():
        return np.empty(0, dtype=np.int64)
    surprise = _surprise(other, emb, ~likely)
    middle = float(np.median(surprise))
    spread = 1.4826 * float(np.median(np.abs(surprise - middle))) + 1e-12
    return np.flatnonzero(likely & (surprise > middle + DOUBTFUL * spread))


def _surprise(source: np.ndarray, target: np.ndarray, trusted: np.ndarray) -> np.ndarray:
    """Distance of every target row from its linear prediction, fitted on ``trusted (N,)`` rows. Shape: ``(N,)``."""
    dim = source.shape[1] + 1
    gram, cross = np.zeros((dim, dim)), np.zeros((dim, target.shape[1]))
    for first, block in blocks(source):
        rows = np.column_stack([block, np.ones(len(block))]) * trusted[first : first + len(block), None]
        gram += rows.T @ rows
        cross += rows.T @ np.asarray(target[first : first + len(block)], dtype=np.float64)
    weights = np.linalg.solve(gram + SHRINKAGE * np.trace(gram) / dim * np.eye(dim), cross)
    residuals = [
        np.asarray(target[first : first + len(block)], dtype=np.float64)
        - np.column_stack([block, np.ones(len(block))]) @ weights
        for first, block in blocks(source)
    ]
    residual = np.concatenate(residuals)
    scale = 1.4826 * np.median(np.abs(residual), axis=0) + 1e-12
    surprise: np.ndarray = np.sqrt(((residual / scale) ** 2).mean(axis=1))
    return surprise


def _describe(emb: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean ``(D,)``, inverse Cholesky factor of the covariance ``(D, D)``, and its log-determinant."""
    total = np.zeros(emb.shape[1])
    products = np.zeros((emb.shape[1], emb.shape[1]))
    for _, block in blocks(emb):
        total += block.sum(axis=0)
        products += block.T @ block
    mean = total / len(emb)
    covariance = products / len(emb) - np.outer(mean, mean)
    covariance += np.eye(len(mean)) * max(SHRINKAGE * float(np.trace(covariance)) / len(mean), 1e-12)
    factor = np.linalg.cholesky(covariance)
    return mean, np.linalg.inv(factor), 2 * float(np.log(np.diag(factor)).sum())


def _log_density(rows: np.ndarray, mean: np.ndarray, whiten: np.ndarray, log_det: float) -> np.ndarray:
    """Gaussian log-density up to a constant. Shape: ``(B, D)`` → ``(B,)``."""
    white = (rows - mean) @ whiten.T
    density: np.ndarray = -0.5 * ((white**2).sum(axis=1) + log_det)
    return density


def blocks(emb: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The first row and the rows ``(B, D)`` of one block after the other, in float64."""
    for first in range(0, len(emb), BLOCK_ROWS):
        yield first, np.array(emb[first : first + BLOCK_ROWS], dtype=np.float64)
        let_go(emb)
