"""Random: another order per seed, the same for the same one, every row as likely to be first."""

import numpy as np

from compat_core.retrieval.orderings import ORDERINGS
from tests.retrieval.orderings.world import ordered, whole_gallery


def test_seeds_differ_and_repeat():
    assert ordered("random", whole_gallery(seed=1)) == ordered("random", whole_gallery(seed=1))
    assert ordered("random", whole_gallery(seed=1)) != ordered("random", whole_gallery(seed=2))
    first, second = ORDERINGS.get("random").orders(whole_gallery(), (1, 2))
    assert [first.tolist(), second.tolist()] == [ordered("random", whole_gallery(seed=seed)) for seed in (1, 2)]


def test_every_row_comes_first_as_often():
    firsts = [ordered("random", whole_gallery(count=4, seed=seed))[0] for seed in range(400)]
    assert np.bincount(firsts).min() > 60
