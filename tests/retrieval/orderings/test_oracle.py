"""Oracle: distance between a row before and after its backfill, by loops, and in the space that is searched."""

import numpy as np

from compat_core.retrieval.orderings import ORDERINGS, Gallery
from tests.retrieval.orderings.world import by_falling, ordered, whole_gallery


def test_farthest_from_the_new_row_first():
    gallery = whole_gallery()
    before, after = ([row / np.linalg.norm(row) for row in rows.astype(float)]
                     for rows in (gallery.gallery_old, gallery.gallery_new))  # fmt: skip
    gaps = [float(np.linalg.norm(before[row] - after[row])) for row in range(60)]
    assert ordered("oracle", gallery) == by_falling(gaps)


def test_far_means_far_in_the_space_that_is_searched():
    """The first row is shortened, the second one turned: a cosine sees the second alone, l2 mostly the first."""
    old, new = np.array([[10.0, 0.0], [0.0, 1.0]]), np.array([[1.0, 0.0], [0.1, 1.0]])
    orders = {name: ordered("oracle", Gallery(old, None, new, distance=name)) for name in ("cosine", "l2")}
    assert orders == {"cosine": [1, 0], "l2": [0, 1]}


def test_nobody_can_follow_it():
    assert ORDERINGS.get("oracle").bound and not ORDERINGS.get("class-mean").bound
