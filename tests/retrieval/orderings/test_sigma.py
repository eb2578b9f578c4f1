"""Predicted uncertainty: the largest first."""

import numpy as np

from tests.retrieval.orderings.world import by_falling, ordered, whole_gallery


def test_least_sure_first():
    gallery = whole_gallery()
    assert ordered("sigma", gallery) == by_falling(gallery.uncertainty.tolist())
    assert ordered("sigma", whole_gallery(count=3, uncertainty=np.array([0.5, 0.9, 0.5]))) == [1, 0, 2]
