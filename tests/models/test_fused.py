"""A frozen network rewritten for a GPU computes what it computed before."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from compat_core.models.backbones import BACKBONES
from compat_core.models.embedder import Embedder
from compat_core.models.fused import ConvReLU, can_be_fused, fused, reader
from tests.stand_in import stand_in

FUSABLE = [entry.name for entry in BACKBONES if entry.fusable]
CONVOLUTIONS_BEFORE_RELU = {"tiny-conv": 6, "resnet18": 17, "resnet34": 33, "resnet50": 49}
CPU = torch.device("cpu")


def trained(arch: str, size: int = 32, channels: int = 3, final_relu: bool = False) -> Embedder:
    """Batch norms with statistics, scales and shifts of their own, as after training."""
    torch.manual_seed(0)
    net = Embedder(arch, 16, channels, size, final_relu=final_relu).eval()
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values, low, high in (
                (layer.running_mean, -0.2, 0.2), (layer.running_var, 0.5, 1.5),
                (layer.weight.data, 0.3, 0.9), (layer.bias.data, -0.3, 0.3),
            ):  # fmt: skip
                values.uniform_(low, high)
    return net


@torch.no_grad()
@pytest.mark.parametrize("arch", FUSABLE)
@pytest.mark.parametrize("size, channels", [(32, 3), (28, 1), (96, 3)])
def test_the_same_embeddings(arch: str, size: int, channels: int) -> None:
    net = trained(arch, size, channels)
    before = copy.deepcopy(net.state_dict())
    quick = fused(net, torch.float32)
    images = torch.randn(5, channels, size, size)
    wanted = net(images)
    torch.testing.assert_close(quick(images), wanted, rtol=1e-4, atol=1e-4 * wanted.abs().max().item())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    layers = list(quick.modules())
    assert sum(isinstance(layer, ConvReLU) for layer in layers) == CONVOLUTIONS_BEFORE_RELU[arch]
    assert not any(isinstance(layer, (nn.BatchNorm2d, nn.ReLU)) for layer in layers)


@torch.no_grad()
def test_a_final_relu_stays() -> None:
    net = trained("resnet18", final_relu=True)
    images = torch.randn(5, 3, 32, 32)
    found = fused(net, torch.float32)(images)
    assert found.min() == 0 < found.max()
    torch.testing.assert_close(found, net(images), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_bfloat16_differs_by_its_rounding() -> None:
    net = trained("resnet18")
    images = torch.randn(16, 3, 32, 32)
    wanted = net(images)
    with torch.autocast("cpu", torch.bfloat16):
        plain, quick = net(images).float(), fused(net, torch.bfloat16)(images).float()
    assert (quick - wanted).norm() < 2.5 * (plain - wanted).norm() < 0.05 * wanted.norm()


class Odd(nn.Module):
    """What looks like the pattern and is not: an output that somebody else sees, a sum with a number."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(3, 3, 3, padding=1, bias=bias) for bias in (True, False))
        self.third = nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect")
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.first(x)
        seen_twice = self.relu(first) + first
        with_a_number = self.relu(self.second(seen_twice) + 1)
        return self.relu(self.third(with_a_number)).mean(dim=(2, 3))


@torch.no_grad()
def test_what_only_looks_alike_is_left_alone() -> None:
    net = trained("tiny-conv")
    net.backbone, net.head = Odd(), nn.Linear(3, 16)
    net.eval()
    quick = fused(net, torch.float32)
    assert not any(isinstance(layer, ConvReLU) for layer in quick.modules())
    images = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(quick(images), net(images))


def test_only_on_a_gpu_and_only_what_says_so() -> None:
    net = trained("tiny-conv")
    assert reader(net, CPU, torch.bfloat16) is net
    assert can_be_fused(net)
    assert not can_be_fused(nn.Linear(2, 2))
    assert not can_be_fused(Embedder("mobilenet-v3", 16, 3, 32))


@pytest.mark.parametrize("works", [True, False])
def test_where_a_gpu_has_no_such_kernel_the_network_reads_as_it_is(works: bool, monkeypatch) -> None:
    def refused(*_: object) -> None:
        raise RuntimeError("no engine was found to execute this computation")

    with stand_in():
        net = trained("tiny-conv")
        if not works:
            monkeypatch.setattr(ConvReLU, "forward", refused)
        found = reader(net, torch.device("cuda"), None)
        assert (found is net) is not works


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device, none was found")
@torch.no_grad()
@pytest.mark.parametrize("arch", FUSABLE)
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_on_a_gpu(arch: str, dtype: torch.dtype | None) -> None:
    net, device = trained(arch), torch.device("cuda")
    images = torch.randn(64, 3, 32, 32)
    wanted = net(images)
    quick = reader(net, device, dtype)
    assert quick is not net
    images = images.to(device)
    with torch.autocast("cuda", dtype, enabled=dtype is not None):
        plain, found = net(images).float().cpu(), quick(images).float().cpu()
    # float32 convolutions multiply in TF32 there; a copy may be off by what the plain network is off by
    assert (found - wanted).norm() < 2 * (plain - wanted).norm() + 1e-5 * wanted.norm() < 0.05 * wanted.norm()
