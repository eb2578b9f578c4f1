"""Distance to the class mean, by loops, and in the space that is searched."""

import numpy as np

from compat_core.retrieval.orderings import Gallery
from tests.retrieval.orderings.world import by_falling, ordered, whole_gallery


def test_farthest_from_the_mean_of_the_own_class_first():
    gallery = whole_gallery()
    unit = [row / np.linalg.norm(row) for row in gallery.gallery_old.astype(float)]
    rows_of = {label: [row for row in range(60) if gallery.labels[row] == label] for label in range(6)}
    means = {label: np.mean([unit[row] for row in rows], axis=0) for label, rows in rows_of.items()}
    far = [float(np.linalg.norm(unit[row] - means[gallery.labels[row]])) for row in range(60)]
    assert ordered("class-mean", gallery) == by_falling(far)


def test_far_means_far_in_the_space_that_is_searched():
    """The last row is long: that is far under l2, and no direction at all."""
    rows, labels = np.array([[1.0, 0.1], [1.0, -0.1], [9.0, 0.0]]), np.zeros(3, dtype=int)
    first = {name: ordered("class-mean", Gallery(rows, labels, distance=name))[0] for name in ("cosine", "l2", "dot")}
    assert first["cosine"] in (0, 1) and first["l2"] == first["dot"] == 2
