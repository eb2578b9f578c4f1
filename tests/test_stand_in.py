"""The stand-in for a GPU computes as the CPU does and refuses what a GPU refuses."""

import pytest
import torch
from torch import nn

from tests.stand_in import WAITS, stand_in


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 2),
    )


def trained(device: str) -> tuple[torch.Tensor, nn.Module]:
    images, net = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(1)).to(device), network().to(device)
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.1)
    for _ in range(3):
        optimiser.zero_grad()
        net(images).square().mean().backward()
        optimiser.step()
    return net(images).detach().cpu(), net


def test_trains_to_the_same_values():
    expected, _ = trained("cpu")
    with stand_in():
        found, net = trained("cuda")
        assert {parameter.device.type for parameter in net.parameters()} == {"cuda"}
    assert type(found) is torch.Tensor
    torch.testing.assert_close(found, expected)


def test_writes_through_views_and_reads_back():
    with stand_in():
        table = torch.zeros(2, 3, device="cuda")
        table[1].add_(torch.ones(3, device="cuda"))
        table[:, 0] = 5
        assert table.tolist() == [[5, 0, 0], [5, 1, 1]]
        assert float(table.sum()) == 12
        assert (table[:, 0] @ table).shape == (3,)  # ends with a squeeze_() inside torch
        assert torch.equal(table.cpu(), torch.tensor([[5.0, 0, 0], [5, 1, 1]]))
        assert torch.tensor([1, 2], device="cuda").device == torch.zeros(1, device=table.device).device == table.device


@pytest.mark.parametrize(
    "mixed",
    [
        lambda here, there: here + there,
        lambda here, there: there.add_(here),
        lambda here, there: torch.where(there > 0, there, here),
        lambda here, there: torch.stack([there, here]),
        lambda here, there: here[there.argsort()],
        lambda here, there: there.index_select(0, here.argsort()),
        lambda here, there: nn.Linear(4, 2)(there),
        lambda here, there: nn.Linear(4, 2).to("cuda")(here),
        lambda here, there: there.numpy(),
        lambda here, there: torch.rand(4, device="cuda", generator=torch.Generator()),
        lambda here, there: here.uniform_(generator=torch.Generator("cuda")),
    ],
)
def test_refuses_to_mix_devices(mixed):
    with stand_in(), pytest.raises((RuntimeError, TypeError), match=r"same device|numpy|generator on"):
        mixed(torch.arange(4.0), torch.arange(4.0).to("cuda"))


def test_takes_what_a_gpu_takes():
    with stand_in():
        there = torch.arange(4.0, device="cuda")
        assert (there + torch.tensor(2.0)).tolist() == [2, 3, 4, 5]  # a CPU's scalar
        assert there[torch.tensor([3, 0])].tolist() == [3, 0]  # a CPU's indices
        there[torch.tensor([True, False, False, True])] = 7
        assert there.tolist() == [7, 1, 2, 7]
    assert torch.zeros(1).device.type == "cpu"


def test_notes_what_a_gpu_would_be_waited_for():
    with stand_in():
        there, here = torch.arange(4.0, device="cuda"), torch.arange(4)
        there.mul_(2)[here].sum()
        assert not WAITS
        bool((there > 0).any())
        there[there > 0]
        here.to("cuda")
        there.cpu()
        torch.nonzero(there)
    assert WAITS == ["_local_scalar_dense", "index", "_to_copy", "_to_copy", "nonzero"]


def test_refuses_sums_whose_order_a_gpu_leaves_to_chance():
    with stand_in():
        table, rows = torch.zeros(2, 3, device="cuda"), torch.tensor([0, 1, 0], device="cuda")
        table.long().index_add_(0, rows, torch.ones(3, 3, device="cuda").long())
        with pytest.raises(RuntimeError, match="others every time"):
            table.index_add_(0, rows, torch.ones(3, 3, device="cuda"))
