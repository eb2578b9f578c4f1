import numpy as np
import pytest
import torch

from compat_core.adapters import ADAPTERS, Pairs, apply_batches
from compat_core.errors import CompatError
from tests.adapters.views import mapped, two_views

ENTRY = ADAPTERS.get("fct")
TINY = {"steps": 400, "batch_size": 40, "lr": 5e-3, "width": 64, "held_out": 0.0}


def test_overfits_a_tiny_set():
    pairs = two_views(count=40)
    out = mapped(ENTRY.fit(pairs, ENTRY.config(**TINY)), pairs.source)
    error = ((out - pairs.target) ** 2).mean() / pairs.target.var()
    assert error < 0.01


def test_side_information_is_used():
    """The target is the side-information alone: without it nothing can be learned."""
    rng = np.random.default_rng(0)
    source, side = rng.normal(size=(200, 6)), rng.normal(size=(200, 5))
    target = side @ rng.normal(size=(5, 8))
    config = ENTRY.config(**TINY)
    with_side, without = Pairs(source[:150], target[:150], side=side[:150]), Pairs(source[:150], target[:150])
    fitted = ENTRY.fit(with_side, config)
    error = ((mapped(fitted, source[150:], side[150:]) - target[150:]) ** 2).mean() / target.var()
    blind = ((mapped(ENTRY.fit(without, config), source[150:]) - target[150:]) ** 2).mean() / target.var()
    assert fitted.side_dim == 5 and error < 0.3 and blind > 0.8
    with pytest.raises(CompatError, match="wants 5 dimensions of side-information"):
        list(apply_batches(fitted, [source]))
    with pytest.raises(CompatError, match="side-information: got '2 rows'"):
        list(apply_batches(fitted, [(source[:3], side[:2])]))


def test_without_side_the_source_feeds_both_branches():
    pairs = two_views(count=40)
    fitted = ENTRY.fit(pairs, ENTRY.config(**TINY | {"steps": 5}))
    assert fitted.side_dim == 0
    assert fitted.transformation.side_branch[0][0].in_features == pairs.source_dim


def test_batch_norm_keeps_its_statistics_from_half_way_on():
    pairs = two_views(count=40)
    counts = {}
    for share in (0.0, 0.5, 1.0):
        fitted = ENTRY.fit(pairs, ENTRY.config(**TINY | {"steps": 10, "bn_eval_at": share}))
        counts[share] = {int(t) for name, t in fitted.state_dict().items() if "num_batches_tracked" in name}
    assert counts == {0.0: {0}, 0.5: {5}, 1.0: {10}}
    assert not any(isinstance(m, torch.nn.BatchNorm1d) and m.training for m in fitted.modules())
