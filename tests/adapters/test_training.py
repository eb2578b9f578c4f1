import numpy as np
import pytest
import torch
from torch import nn

from compat_core.adapters import ADAPTERS, Pairs, collect
from compat_core.adapters.base import FitJob, QuietReporter
from compat_core.adapters.residual_mlp import ResidualMlp
from compat_core.adapters.training import PairTraining, TrainedConfig, training_batches
from compat_core.device import pick_device
from compat_core.errors import Cancelled, CompatError
from tests.adapters.views import mapped, two_views


class Levels(PairTraining):
    """Records what it is shown; its loss on held-out pairs follows a script."""

    script = (5.0, 1.0, 3.0, 4.0)

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.seen, self.looks = set(), 0

    def loss(self, rows):
        value = self.module.weight.sum() * 0
        if torch.is_grad_enabled():
            self.seen |= set(rows.source[:, 0].int().tolist())
            return {"total": value + self.module.weight.square().sum()}
        self.states = [*getattr(self, "states", []), self.module.weight.detach().clone()]
        self.looks += 1
        return {"total": value + self.script[min(self.looks, len(self.script)) - 1]}


def made(held_out=0.2, steps=3, count=100):
    rows = np.arange(count, dtype=np.float32)[:, None]
    config = TrainedConfig(steps=steps, batch_size=count, held_out=held_out)
    job = FitJob(0, pick_device("cpu", "float32"), QuietReporter())
    return Levels(nn.Linear(1, 1), Pairs(rows, rows), config, job)


def test_held_out_pairs_are_never_trained_on_and_are_about_the_share_asked_for():
    training = made()
    training.run("x")
    held = set(training.held_out.tolist())
    assert training.seen.isdisjoint(held) and training.seen | held == set(range(100))
    assert 10 <= len(held) <= 30


@pytest.mark.parametrize("name", ["residual-mlp", "lambda-orthogonality"])
def test_a_start_in_closed_form_has_not_seen_the_held_out_pairs(name):
    pairs = two_views(source_dim=9, target_dim=9)
    entry = ADAPTERS.get(name)
    config = entry.config(steps=1, lr=0.0)
    kept = sum(len(source) for source, _ in training_batches(pairs, config))
    assert 0.85 * len(pairs) < kept < len(pairs)
    held = np.setdiff1d(np.asarray(pairs.source), np.concatenate([x for x, _ in training_batches(pairs, config)]))
    spoilt = np.array(pairs.target)
    spoilt[np.isin(pairs.source, held).all(axis=1)] += 100
    start, other = entry.fit(pairs, config), entry.fit(Pairs(pairs.source, spoilt), config)
    np.testing.assert_array_equal(mapped(start, pairs.source), mapped(other, pairs.source))


def test_the_best_state_is_kept():
    training = made()
    training.run("x")
    assert training.looks == 4  # before each of the three passes, and at the end
    assert torch.equal(training.module.weight, training.states[1])
    assert not torch.equal(training.states[1], training.states[2])


def test_the_pairs_looked_at_come_from_all_over_a_long_file(monkeypatch):
    whole = made(count=400).held_out
    monkeypatch.setattr("compat_core.adapters.training.HELD_OUT_ROWS", 20)
    few = made(count=400).held_out
    assert len(few) == 20 < len(whole) and set(few) < set(whole)
    assert np.abs(np.diff(np.searchsorted(whole, few)) - len(whole) / 20).max() <= 1


def test_without_held_out_pairs_the_last_state_is_kept():
    training = made(held_out=0.0)
    training.run("x")
    assert training.looks == 0 and training.num_items == 100 and training.best is None


def test_looks_are_few_however_many_passes():
    training = made(steps=1000)
    training.run("x")
    assert training.looks <= 51


def test_looking_does_not_disturb_the_modes():
    training = made()
    training.module.train()
    frozen = nn.BatchNorm1d(3).eval()
    training.module.add_module("frozen", frozen)
    training.remember()
    assert training.module.training and not frozen.training


def test_scales_are_means_and_mean_standard_deviations():
    pairs = two_views()
    net = ResidualMlp(12, 9, 4)
    net.set_scales(collect(pairs.batches())[0])
    standard = net.standard_source(torch.tensor(pairs.source)).numpy()
    np.testing.assert_allclose(standard.mean(0), 0, atol=1e-5)
    assert (standard**2).mean() == pytest.approx(1, rel=1e-4)
    standard = net.standard_target(torch.tensor(pairs.target)).numpy()
    assert (standard**2).mean() == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize("name", ["residual-mlp", "fct"])
def test_the_vectors_unit_does_not_matter(name):
    """Standardised inside: metres or millimetres, the same map up to the unit."""
    entry, pairs = ADAPTERS.get(name), two_views()
    extra = {"width": 16} if name == "fct" else {}
    config = entry.config(steps=30, batch_size=64, **extra)
    plain = mapped(entry.fit(pairs, config), pairs.source)
    scaled = Pairs(1024 * pairs.source, pairs.target / 1024)
    np.testing.assert_allclose(1024 * mapped(entry.fit(scaled, config), scaled.source), plain, atol=1e-3)


def test_a_diverging_training_says_so():
    entry = ADAPTERS.get("lambda-orthogonality")
    pairs = two_views()
    with pytest.raises(CompatError, match="loss stopped being finite"):
        # a weight of 1e4 on vectors of 1e18: squares leave float32
        config = entry.config(steps=50, align=1e4, normalise=False)
        entry.fit(Pairs(1e18 * pairs.source.astype(float), -1e18 * pairs.target.astype(float), pairs.labels), config)


def test_progress_is_told_and_training_can_be_cancelled():
    class Listener(QuietReporter):
        told = ()

        def progress(self, fraction):
            self.told += (fraction,)

        def check_cancelled(self):
            if len(self.told) >= 2:
                raise Cancelled

    listener, entry = Listener(), ADAPTERS.get("residual-mlp")
    with pytest.raises(Cancelled):
        entry.fit(two_views(), entry.config(steps=100), reporter=listener)
    assert 0 < listener.told[0] < listener.told[1] < 1
