"""P_up, P_comp and P_1 against the definition written out, and against a hand-computed case."""

import math

import numpy as np
import pytest

from compat_core.errors import CompatError
from compat_core.metrics.aggregate import upgrade_scores


def test_by_hand():
    found = upgrade_scores([0.8], [0.5], [0.5], [0.8])
    assert (found.p_up, found.p_comp, found.p_1) == (0.5, 0.5, 0.5)  # as good as the paragon; cross as good as old
    found = upgrade_scores([0.8], [0.8], [0.5], [0.8])
    assert found.p_comp == pytest.approx(1 / (1 + math.exp(-1)))  # the whole gain: σ(1) = 0.7311
    assert found.p_1 == pytest.approx(2 * 0.5 * 0.7310586 / 1.2310586, abs=1e-6)


def test_against_the_definition():
    rng = np.random.default_rng(0)
    own, cross, old = rng.uniform(0.1, 0.9, (3, 7))
    best = old + rng.uniform(0.01, 0.1, 7)
    up, comp, both = [], [], []
    for s in range(7):
        up.append(1 / (1 + math.exp(-(own[s] - best[s]) / best[s])))
        comp.append(1 / (1 + math.exp(-(cross[s] - old[s]) / (best[s] - old[s]))))
        both.append(2 / (1 / up[s] + 1 / comp[s]))
    found = upgrade_scores(own, cross, old, best)
    assert (found.p_up, found.p_comp) == pytest.approx((sum(up) / 7, sum(comp) / 7))
    assert found.p_1 == pytest.approx(sum(both) / 7)  # the mean of harmonic means, not the harmonic mean of means


def test_a_tiny_gain_does_not_overflow():
    assert upgrade_scores([0.5], [0.0], [0.5], [0.5 + 1e-9]).p_comp == 0.0


@pytest.mark.parametrize(
    "args, message",
    [
        (([0.8], [0.5], [0.8], [0.8]), "paragon on test set 0"),
        (([80.0], [0.5], [0.5], [0.8]), "percent"),
        (([0.8, 0.8], [0.5], [0.5], [0.8]), "cross"),
        (([], [], [], []), "new_new"),
        (([0.8], [float("nan")], [0.5], [0.8]), "cross"),
    ],
)
def test_errors(args, message):
    with pytest.raises(CompatError, match=message):
        upgrade_scores(*args)
