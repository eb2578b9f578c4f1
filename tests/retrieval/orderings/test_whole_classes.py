"""Class by class: no class is left before it is done, and which comes first is drawn."""

import numpy as np

from tests.retrieval.orderings.world import ordered, whole_gallery


def test_classes_come_whole_and_in_gallery_order():
    gallery = whole_gallery(seed=1)
    order = np.array(ordered("class", gallery))
    classes = gallery.labels[order].reshape(6, 10)
    assert (classes == classes[:, :1]).all()
    assert (np.diff(order.reshape(6, 10), axis=1) > 0).all()


def test_which_class_comes_first_is_drawn():
    firsts = {ordered("class", whole_gallery(seed=seed))[0] for seed in range(30)}
    assert firsts == set(range(6)), "the first row of each class"
