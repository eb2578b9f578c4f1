"""A network's memory is counted without making it."""

import pytest
import torch

from compat_core.errors import CompatError
from compat_core.models import BACKBONES, Embedder, footprint


@pytest.mark.parametrize("arch", BACKBONES.names())
def test_parameters_are_those_of_the_network(arch):
    net = Embedder(arch, 16, 3, 32)
    assert footprint(arch, 16, 3, 32).parameters == sum(parameter.numel() for parameter in net.parameters())


def test_activations_follow_from_the_layers_by_hand():
    # ResNet-18 with a stride-1 stem: two numbers per place (convolution, batch norm) of every 3 x 3 layer and of the
    # three 1 x 1 shortcuts; adding and ReLU keep nothing of their own; then the pooled features and the embedding
    places = 64 * 32**2
    stages = (1 + 4) * places, 5 * places // 2, 5 * places // 4, 5 * places // 8
    stem = places  # torchvision's max-pool, replaced by an identity, is counted once
    assert footprint("resnet18", 128, 3, 32).activations == 2 * sum(stages) + stem + 512 + 512 + 128


def test_it_grows_with_the_area():
    small, large = (footprint("tiny-conv", 16, 3, px).activations for px in (16, 32))
    assert large == pytest.approx(4 * small, rel=0.02)


def test_nothing_is_allocated_or_drawn():
    before = torch.random.get_rng_state()
    footprint.__wrapped__("vit-b-16", 128, 3, 224)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_images_that_a_backbone_does_not_take_are_refused():
    with pytest.raises(CompatError, match="resnet18"):
        footprint("resnet18", 128, 3, 8)
