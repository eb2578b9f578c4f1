"""The compiled counting of pairs against the torch functions: the same integers, ties, −inf and all."""

import numpy as np
import pytest
import torch

from compat_core.metrics import pair_counts, pair_kernel, verification
from compat_core.retrieval import compiled, rank_kernel
from tests.metrics.test_verification import case
from tests.retrieval.test_rank_kernel import WORLDS

pytestmark = pytest.mark.skipif(not compiled.available(), reason="numba is not installed")


@pytest.mark.parametrize("count", [1, 2, 60])
@pytest.mark.parametrize("world", WORLDS)
def test_counts_are_those_of_sorting(world, count):
    rng = np.random.default_rng(count)
    scores = WORLDS[world](rng).astype(np.float32) + np.float32(0)
    flat = scores.reshape(-1)
    bins = pair_counts.bin_of(torch.from_numpy(flat)).numpy()
    np.testing.assert_array_equal(pair_kernel.count_bins(scores), np.bincount(bins, minlength=pair_kernel.BINS))
    values = np.unique(rng.choice(flat[np.isfinite(flat)], count))
    wanted = np.unique(rng.choice(bins, 3))
    slots, fine = pair_kernel.place_among(scores, values, wanted)
    expected = [np.sum(flat < values[0])]
    for value, following in zip(values, [*values[1:], np.inf], strict=True):
        expected += [np.sum(flat == value), np.sum((flat > value) & (flat < following))]
    expected[-1] = np.sum(flat > values[-1])
    np.testing.assert_array_equal(slots, expected)
    for number, row in zip(wanted, fine, strict=True):
        np.testing.assert_array_equal(row, pair_counts.inside_bin(torch.from_numpy(flat), int(number)).numpy())


@pytest.mark.parametrize("distance", ["cosine", "l2", "dot"])
@pytest.mark.parametrize("grid", [False, True])
def test_verification_does_not_depend_on_what_counts(distance, grid, monkeypatch):
    query, query_labels, gallery, gallery_labels = case(3, 90, 80, grid=grid)
    ids = np.arange(90), np.arange(80)

    def scores(worth):
        monkeypatch.setattr(rank_kernel, "WORTH_COMPILING", worth)
        return verification.verify(
            query, query_labels, gallery, gallery_labels, *ids, distance, (0.01, 0.1, 0.3), "cpu", 32
        )

    plain, counted = scores(np.inf), scores(0)
    assert plain.points == counted.points
    assert (plain.auc, plain.eer) == (counted.auc, counted.eer)
    np.testing.assert_array_equal(plain.roc_tar, counted.roc_tar)
