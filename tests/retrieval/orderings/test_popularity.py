"""Popularity: the largest weight first."""

import numpy as np

from tests.retrieval.orderings.world import by_falling, ordered, whole_gallery


def test_most_requested_first():
    gallery = whole_gallery()
    assert ordered("popularity", gallery) == by_falling(gallery.weights.tolist())
    assert ordered("popularity", whole_gallery(count=3, weights=np.array([2, 7, 2]))) == [1, 0, 2], "whole numbers too"
