"""A partly backfilled gallery holds exactly the rows it says."""

from itertools import pairwise

import numpy as np
import pytest

from compat_core.errors import CompatError
from compat_core.retrieval.mixed import backfilled_mask, mixed_gallery


def test_shares_are_exact_and_nested():
    masks = [backfilled_mask(103, share) for share in (0.0, 0.25, 0.5, 1.0)]
    assert [int(mask.sum()) for mask in masks] == [0, 26, 52, 103]
    for smaller, larger in pairwise(masks):
        assert not (smaller & ~larger).any()
    assert (backfilled_mask(103, 0.5, seed=1) != masks[2]).any()


def test_rows_come_from_their_gallery():
    old, new = np.zeros((4, 3), dtype=np.float32), np.ones((4, 3), dtype=np.float32)
    mixed = mixed_gallery(old, new, np.array([True, False, False, True]))
    assert mixed.mean(axis=1).tolist() == [1, 0, 0, 1]


def test_bad_input():
    with pytest.raises(CompatError, match="share"):
        backfilled_mask(3, 1.5)
    with pytest.raises(CompatError, match="same space"):
        mixed_gallery(np.zeros((3, 2)), np.zeros((3, 4)), np.ones(3, dtype=bool))
