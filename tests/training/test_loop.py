"""The loop's parts: the schedule, which parameters decay, and checkpoints that do not fit."""

import dataclasses

import pytest
import torch
from torch import nn

from compat_core.config import digest
from compat_core.device import DeviceChoice
from compat_core.experiments.reporting import NullTracker
from compat_core.training.checkpoint import load_checkpoint, save_checkpoint
from compat_core.training.config import TrainConfig
from compat_core.training.loop import Job, make_optimiser, schedule, train

CONFIG = TrainConfig(epochs=2, batch_size=4)


class Line:
    """Fits one number per input to its index."""

    def __init__(self, items: int = 8) -> None:
        torch.manual_seed(0)
        self.module: nn.Module = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
        self.num_items = items
        self.announced: list[list[int]] = []
        self.asked: list[list[int]] = []

    def start_epoch(self, epoch, epochs, batches):
        self.announced += [batch.tolist() for batch in batches]

    def recording(self):
        return None

    def losses(self, indices, stream, progress):
        self.asked.append(indices.tolist())
        wanted = indices.float()[:, None]
        return {"total": (self.module(wanted) - wanted).square().mean()}


def job(checkpoint=None):
    return Job("toy", 0, DeviceChoice(torch.device("cpu"), "a test"), NullTracker(), checkpoint)


def test_an_epoch_s_batches_are_announced_as_they_are_asked_for():
    line = Line()
    train(line, CONFIG, job())
    assert line.announced == line.asked
    assert sorted(line.asked[0] + line.asked[1]) == list(range(8))


def test_the_rate_rises_in_the_warm_up_and_falls_to_nothing():
    rates = [schedule(step, 10, 0.2) for step in range(10)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[6] == pytest.approx(0.5)  # half of the eight steps of decay
    assert 0 < rates[-1] < 0.05
    assert schedule(0, 10, 0.0) == 1.0


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_biases_and_normalisation_do_not_decay(name):
    module = Line().module
    optimiser = make_optimiser(
        module, dataclasses.replace(CONFIG, optimiser=name, weight_decay=0.1), torch.device("cpu")
    )
    decays = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert {name: decays[id(p)] for name, p in module.named_parameters()} == {
        "0.weight": 0.1, "0.bias": 0.0, "1.weight": 0.0, "1.bias": 0.0, "2.weight": 0.1, "2.bias": 0.0,
    }  # fmt: skip


def test_a_checkpoint_of_another_configuration_or_a_damaged_one_is_left_alone(tmp_path):
    path, module = tmp_path / "a.safetensors", Line().module
    optimiser = make_optimiser(module, CONFIG, torch.device("cpu"))
    save_checkpoint(path, module, optimiser, 1, digest(CONFIG))
    other = nn.Sequential(nn.Linear(1, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    before = {name: value.clone() for name, value in other.state_dict().items()}
    fresh = make_optimiser(other, CONFIG, torch.device("cpu"))
    assert load_checkpoint(path, other, fresh, digest(dataclasses.replace(CONFIG, lr=0.5))) == 0
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert load_checkpoint(path, other, fresh, digest(CONFIG)) == 0
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())
    path.write_bytes(whole)
    assert load_checkpoint(path, other, fresh, digest(CONFIG)) == 1
    assert all(torch.equal(value, module.state_dict()[name]) for name, value in other.state_dict().items())
