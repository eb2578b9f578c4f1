"""Each loss against its formula, computed by hand from angles, and its gradient's direction."""

import dataclasses
import math

import pytest
import torch

from compat_core.losses import LOSSES, build_loss
from compat_core.spec import Spec


def at_angle(degrees: float, norm: float = 1.0) -> torch.Tensor:
    return norm * torch.tensor([math.cos(math.radians(degrees)), math.sin(math.radians(degrees))])


ROWS = torch.stack([at_angle(0), at_angle(90), at_angle(200)])
ITEM_DEGREES, LABEL = 30.0, 0


def by_hand(logits: list[float], label: int) -> float:
    return -logits[label] + math.log(sum(math.exp(value) for value in logits))


def cosines() -> list[float]:
    return [math.cos(math.radians(ITEM_DEGREES - degrees)) for degrees in (0, 90, 200)]


EXPECTED = {
    "softmax": (Spec("softmax"), lambda: by_hand([2.5 * c for c in cosines()], LABEL)),
    "normsoftmax": (Spec("normsoftmax", {"scale": 16.0}), lambda: by_hand([16 * c for c in cosines()], LABEL)),
    "cosface": (
        Spec("cosface", {"scale": 32.0, "margin": 0.4}),
        lambda: by_hand([32 * (cosines()[0] - 0.4), 32 * cosines()[1], 32 * cosines()[2]], LABEL),
    ),
    "arcface": (
        Spec("arcface", {"scale": 16.0, "margin": 0.1}),
        lambda: by_hand([16 * math.cos(math.radians(30) + 0.1), 16 * cosines()[1], 16 * cosines()[2]], LABEL),
    ),
}


def test_every_loss_has_an_expected_value():
    assert set(EXPECTED) == set(LOSSES.names())


@pytest.mark.parametrize("name", sorted(EXPECTED))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_value_by_hand(name, dtype):
    spec, expected = EXPECTED[name]
    loss = build_loss(spec, 2, 3).to(dtype)
    with torch.no_grad():
        loss.weight.copy_(ROWS)
    emb = at_angle(ITEM_DEGREES, norm=2.5)[None].to(dtype)
    assert loss(emb, torch.tensor([LABEL])).item() == pytest.approx(expected(), rel=1e-5)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_step_down_the_gradient_turns_towards_the_true_row(name):
    loss = build_loss(EXPECTED[name][0], 2, 3)
    with torch.no_grad():
        loss.weight.copy_(ROWS)
    emb = at_angle(60)[None].requires_grad_()
    loss(emb, torch.tensor([0])).backward()
    assert torch.isfinite(emb.grad).all()
    stepped = torch.nn.functional.normalize(emb.detach() - 0.01 * emb.grad)
    assert stepped[0, 0] > emb.detach()[0, 0]


def test_label_smoothing_by_hand():
    loss = build_loss(Spec("normsoftmax", {"scale": 1.0, "label_smoothing": 0.1}), 2, 3)
    with torch.no_grad():
        loss.weight.copy_(ROWS)
    logits = cosines()
    norm = math.log(sum(math.exp(value) for value in logits))
    targets = [0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3]
    expected = sum(target * (norm - value) for target, value in zip(targets, logits, strict=True))
    assert loss(at_angle(ITEM_DEGREES)[None], torch.tensor([0])).item() == pytest.approx(expected, rel=1e-5)


def test_arcface_keeps_falling_past_the_last_angle():
    loss = build_loss(Spec("arcface", {"margin": 0.5}), 2, 3)
    cosine = torch.cos(torch.linspace(0, math.pi, 200, dtype=torch.float64))
    shifted = loss.margin_cosine(cosine)
    assert (shifted.diff() < 1e-9).all()


def test_gradient_is_finite_at_the_poles():
    loss = build_loss(Spec("arcface"), 2, 3)
    with torch.no_grad():
        loss.weight.copy_(ROWS)
    for degrees in (0.0, 180.0):
        emb = at_angle(degrees)[None].requires_grad_()
        loss(emb, torch.tensor([0])).backward()
        assert torch.isfinite(emb.grad).all()


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_with_rows_keeps_the_kind_and_is_frozen(name):
    loss = build_loss(EXPECTED[name][0], 2, 3)
    wider = loss.with_rows(torch.cat([ROWS, at_angle(300)[None]]))
    assert type(wider) is type(loss)
    assert wider.weight.shape == (4, 2)
    assert not any(parameter.requires_grad for parameter in wider.parameters())


def test_entries_are_documented():
    for entry in LOSSES:
        assert entry.title and entry.summary and entry.formula and entry.paper
        for field in dataclasses.fields(entry.config):
            assert field.metadata["help"]
