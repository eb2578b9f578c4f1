"""A recorded module computes what the plain one computes, step after step."""

import copy
import gc
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

from compat_core.losses import LOSSES, build_loss
from compat_core.models import BACKBONES, Embedder
from compat_core.models.transformation import UncertainTransformation
from compat_core.spec import Spec
from compat_core.training.embedding import Classified
from compat_core.training.graphs import Recorded
from tests.stand_in import stand_in

PX, STEPS = 32, 4


@pytest.fixture
def cuda():
    """A real GPU: a recording is nothing that could be stood in for."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device, none was found")
    deterministic, torch.backends.cudnn.deterministic = torch.backends.cudnn.deterministic, True
    yield "cuda"
    torch.backends.cudnn.deterministic = deterministic


def backward(module, called, inputs, half):
    """The loss of one batch; its gradients are left in the module."""
    with torch.autocast("cuda", torch.bfloat16, enabled=half):
        found = called(*inputs)
    parts = found if isinstance(found, tuple) else (found,)
    total = sum(part.float().square().mean() if part.ndim else part for part in parts)  # a scalar is a loss
    module.zero_grad()
    total.backward()
    return float(total.detach())


def trained(module, called, batches, half, watch=None):
    """The losses of a few steps of gradient descent, one batch each, and the state they end in."""
    optimiser = torch.optim.SGD(module.parameters(), lr=1e-3, momentum=0.9)
    losses = []
    for inputs in batches:
        if watch is not None:
            watch(inputs)
        losses.append(backward(module, called, inputs, half))
        optimiser.step()
    return losses, module.state_dict()


def compare(module, batches, half):
    """The module's recording, after it trained to the state in which the plain module ends."""
    other = copy.deepcopy(module)
    wanted, plain = trained(other, other, batches, half)
    recorded = Recorded(module)
    losses, state = trained(module, recorded, batches, half)
    assert losses == pytest.approx(wanted, rel=1e-4)
    for name, value in state.items():
        torch.testing.assert_close(value, plain[name], rtol=1e-3, atol=1e-4, msg=lambda text, name=name: name + text)
    return recorded


def one_step(module, recorded, inputs):
    """In bfloat16, a recorded and a plain step from one state differ by far less than bfloat16 and float32 do.

    cuDNN may sum in another order within a recording; of that, the steep gradients of a scaled loss make too much in a
    few steps of bfloat16 to tell anything by where they end.
    """
    twin = copy.deepcopy(module)
    loss, plain = changes(twin, twin, inputs, half=True)
    _, in_full = changes(twin, twin, inputs, half=False)
    its_loss, its = changes(module, recorded, inputs, half=True)
    assert its_loss == pytest.approx(loss, rel=1e-3)
    assert apart(its, plain) < 0.5 * apart(in_full, plain)


def changes(module, called, inputs, half):
    """The loss of one batch, its gradients, and how it moves the buffers, which are put back."""
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    loss = backward(module, called, inputs, half)
    learned = {name: parameter.grad for name, parameter in module.named_parameters() if parameter.requires_grad}
    found = {name: gradient.clone() for name, gradient in learned.items()}
    for name, buffer in module.named_buffers():
        found[name] = buffer.float() - before[name].float()
        buffer.copy_(before[name])
    return loss, found


def apart(some, others):
    """How far two sets of tensors lie from each other, each pair in shares of the latter's size."""
    shares = [float((some[name] - other).norm() / other.norm().clamp_min(1e-12)) for name, other in others.items()]
    return float(np.linalg.norm(shares))


def test_elsewhere_it_is_the_plain_call():
    net = nn.Linear(3, 2)
    images = torch.randn(4, 3)
    recorded = Recorded(net)
    assert torch.equal(recorded(images), net(images))
    assert not recorded.graphs


@pytest.mark.gpu
@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("arch", BACKBONES.names())
def test_every_backbone_trains_the_same(arch, half, cuda):
    torch.manual_seed(0)
    net = Embedder(arch, 16, 3, PX).to(cuda).train()
    for part in net.modules():  # what is drawn within a recording comes from another place of the stream
        if type(part).__name__ in ("Dropout", "StochasticDepth"):
            part.p = 0.0
    batches = [(torch.randn(8 + step % 2, 3, PX, PX, device=cuda),) for step in range(STEPS)]
    assert len(compare(net, batches, half).graphs) == 2  # one for each size of batch


@pytest.mark.gpu
@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", [one.name for one in LOSSES if one.build.recordable])
def test_a_loss_within_the_recording_trains_the_same(name, half, cuda):
    torch.manual_seed(0)
    embedder = Embedder("tiny-conv", 16, 3, PX).to(cuda).train()
    head = build_loss(Spec(name), 16, 5).to(cuda).train()
    batches = [(torch.randn(8, 3, PX, PX, device=cuda), torch.arange(8, device=cuda) % 5) for _ in range(STEPS)]
    module = Classified(embedder, head)
    if half:
        other = copy.deepcopy(module)
        wanted, _ = trained(other, other, batches, half)
        recorded = Recorded(module)
        losses, _ = trained(module, recorded, batches, half, lambda inputs: one_step(module, recorded, inputs))
        # what differs in float32's last bit may be rounded to bfloat16's other neighbour, 0.4 % away
        assert losses == pytest.approx(wanted, rel=4e-3)
    else:
        recorded = compare(module, batches, half)
    assert len(recorded.graphs) == 1


@pytest.mark.gpu
@pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
def test_batch_norm_that_is_frozen_on_the_way(half, cuda):
    torch.manual_seed(0)
    net = UncertainTransformation(16, 8, 16, 64).to(cuda).train()
    batches = [(torch.randn(32, 16, device=cuda), torch.randn(32, 8, device=cuda)) for _ in range(STEPS)]
    recorded = compare(net, batches, half)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm1d):
            part.eval()
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    trained(net, recorded, batches, half)
    assert len(recorded.graphs) == 2
    assert all(torch.equal(buffer, before[name]) for name, buffer in net.named_buffers())


@pytest.mark.gpu
def test_without_gradients_nothing_is_recorded(cuda):
    recorded = Recorded(nn.Linear(3, 2).to(cuda))
    with torch.no_grad():
        recorded(torch.randn(4, 3, device=cuda))
    assert not recorded.graphs


def test_large_pictures_are_not_recorded():
    with stand_in():
        net = nn.Conv2d(3, 2, 3).to("cuda")
        recorded = Recorded(net)
        for side, recordings in ((65, 0), (64, 1), (64, 1), (32, 2)):
            recorded(torch.zeros(2, 3, side, side, device="cuda"))
            assert len(recorded.graphs) == recordings
        net.eval()
        recorded(torch.zeros(2, 3, 32, 32, device="cuda"))
        assert len(recorded.graphs) == 3


def test_a_recording_is_made_on_the_module_s_own_device(monkeypatch):
    current, within = [torch.device("cuda:1")], []  # of several, whichever the program is at

    @contextmanager
    def at(device):
        current.append(device)
        yield
        current.pop()

    with stand_in():
        monkeypatch.setattr(torch.cuda, "device", at)
        monkeypatch.setattr(
            torch.cuda, "make_graphed_callables", lambda module, samples: within.append(current[-1]) or module
        )
        Recorded(nn.Linear(3, 2).to("cuda"))(torch.zeros(2, 3, device="cuda"))
    assert within == [torch.device("cuda:0")]


def test_python_s_collector_runs_before_a_recording_that_needs_room_and_never_within(monkeypatch):
    within, collected = [], []
    with stand_in():
        monkeypatch.setattr(
            torch.cuda, "make_graphed_callables", lambda module, samples: within.append(gc.isenabled()) or module
        )
        monkeypatch.setattr(gc, "collect", lambda: collected.append(len(within)))
        recorded = Recorded(nn.Linear(3, 2).to("cuda"))
        for rows, free in ((2, 60), (3, 40), (3, 40), (4, 40)):
            monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 100))
            recorded(torch.zeros(rows, 3, device="cuda"))
    assert within == [False, False, False]
    assert collected == [1, 2]  # before the second and the third
    assert gc.isenabled()
