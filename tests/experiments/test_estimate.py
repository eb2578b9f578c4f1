"""How long a run takes and what memory it needs, before it starts."""

import dataclasses

import pytest
import torch

from compat_core.device import DeviceChoice
from compat_core.errors import CompatError
from compat_core.experiments import estimate
from compat_core.experiments.presets import configure

SMALL = estimate.Size(100, 50, 1, 8)


def test_the_speed_is_measured_in_another_process():
    assert estimate.throughput_of_a_child("tiny-conv", 16, SMALL, "cpu") > 0


def test_what_the_measuring_process_refuses_is_an_error_here():
    with pytest.raises(CompatError, match="tiny-conv"):
        estimate.throughput_of_a_child("tiny-cnv", 16, SMALL, "cpu")


def test_a_measurement_that_takes_too_long_has_no_answer():
    assert estimate.throughput_of_a_child("tiny-conv", 16, SMALL, "cpu", limit_s=0.01) is None


def test_more_methods_seeds_and_epochs_take_longer():
    config = configure("demo", seeds=(0,))
    base = estimate.estimate(config, SMALL, 1000.0, "a test")
    assert estimate.estimate(config.replace(seeds=(0, 1)), SMALL, 1000.0, "").low_s > base.low_s
    assert estimate.estimate(config.replace(methods=config.methods[:2]), SMALL, 1000.0, "").low_s < base.low_s
    assert base.low_s < base.high_s


def memory(train=100_000, old=None, precision="float32", **new):
    """GB for a demo of 32 px images with other networks, on a CPU."""
    config = configure("demo", seeds=(0,)).replace(device="cpu", precision=precision)
    batch = new.pop("batch_size", 256)
    schedule = dataclasses.replace(config.new.train, batch_size=batch)
    config = config.replace(
        old=dataclasses.replace(config.old, train=schedule, **(old or {})),
        new=dataclasses.replace(config.new, train=schedule, **new),
    )
    return estimate.estimate(config, estimate.Size(train, 50, 3, 32), 1000.0, "").memory.needed / 1e9


def test_memory_follows_the_network_and_its_batch():
    assert memory(arch="resnet50") - memory(arch="resnet50", batch_size=64) > 5
    assert memory() - memory(batch_size=64) < 1
    assert memory(arch="resnet50", precision="bfloat16") < 0.7 * memory(arch="resnet50")
    # no batch is larger than the images there are
    assert memory(train=200, arch="resnet50", batch_size=4096) == memory(train=200, arch="resnet50", batch_size=200)


def test_simclr_s_two_views_need_more_than_training_the_old_model():
    deep = {"arch": "resnet50"}
    assert memory(old=deep, **deep) > 1.6 * memory(**deep)


def test_images_too_many_for_a_gpu_are_not_counted_against_it(monkeypatch):
    monkeypatch.setattr(estimate, "memory_of", lambda device: 24_000_000_000)
    config, choice = configure("demo"), DeviceChoice(torch.device("cuda:0"), "a test")
    sizes = [estimate.Size(count, 0, 3, 32) for count in (1_000_000, 4_000_000)]
    few, many = (estimate.memory_of_run(config, size, choice).needed for size in sizes)
    vectors = 3_000_000 * 4 * 7 * (config.old.dim + config.new.dim)
    assert many - few == vectors - 2 * 1_000_000 * 3 * 32**2
