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


# Batches of (degrees, label), every embedding 2.5 long; one item unless a loss looks at pairs.
SINGLE = ((ITEM_DEGREES, LABEL),)
PAIRED = ((30.0, 0), (70.0, 0), (100.0, 1))
BATCHES = {"triplet": PAIRED, "contrastive": PAIRED}
CENTRES = torch.stack([at_angle(0, norm=2.0), at_angle(90), at_angle(200)])


def batch_of(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    items = BATCHES.get(name, SINGLE)
    emb = torch.stack([at_angle(degrees, norm=2.5) for degrees, _ in items])
    return emb, torch.tensor([label for _, label in items])


def mean_cross_entropy(scale: float) -> float:
    losses = [
        by_hand([scale * math.cos(math.radians(degrees - row)) for row in (0, 90, 200)], label)
        for degrees, label in PAIRED
    ]
    return sum(losses) / len(losses)


def chord(degrees: float) -> float:
    return 2 * math.sin(math.radians(degrees) / 2)


def sphereface_cosine(easing: float) -> float:
    """True class at 30°, m = 4: 4θ = 120° is in the first piece, k = 0."""
    return (easing * math.cos(math.radians(30)) + math.cos(math.radians(120))) / (1 + easing)


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
    "sphereface": (
        Spec("sphereface", {"scale": 16.0, "margin": 4.0, "easing": 5.0}),
        lambda: by_hand([16 * sphereface_cosine(5.0), 16 * cosines()[1], 16 * cosines()[2]], LABEL),
    ),
    "centre": (
        Spec("centre", {"weight": 0.1}),  # item 2.5 long and centre 2 long, 30° apart: law of cosines
        lambda: (
            by_hand([2.5 * c for c in cosines()], LABEL)
            + 0.1 * 0.5 * (2.5**2 + 2**2 - 2 * 2.5 * 2 * math.cos(math.radians(30)))
        ),
    ),
    "triplet": (  # anchor 30°: positive 40° off, negative 70°; anchor 70°: 40° and 30°; 100° has no positive
        Spec("triplet", {"scale": 16.0, "margin": 0.7, "weight": 2.0}),
        lambda: mean_cross_entropy(16.0) + 2 * ((0.7 + chord(40) - chord(70)) + (0.7 + chord(40) - chord(30))) / 2,
    ),
    "contrastive": (
        Spec("contrastive", {"scale": 16.0, "margin": 1.0, "weight": 2.0}),  # 70° apart is a chord of 1.15: far enough
        lambda: mean_cross_entropy(16.0) + 2 * (0.5 * chord(40) ** 2 + (0.5 * (1 - chord(30)) ** 2 + 0.0) / 2),
    ),
    "simplex": (  # three classes take all the vertices of the plane
        Spec("simplex", {"scale": 2.0}),
        lambda: by_hand([2 * 2.5 * c for c in cosines()], LABEL),
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
        if name == "centre":
            loss.centres.copy_(CENTRES)
    emb, labels = batch_of(name)
    assert loss(emb.to(dtype), labels).item() == pytest.approx(expected(), rel=1e-5)


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


@pytest.mark.parametrize(
    "spec",
    [
        Spec("arcface", {"margin": 0.5}),
        Spec("sphereface", {"margin": 4.0, "easing": 0.0}),
        Spec("sphereface", {"margin": 2.5, "easing": 1.0}),
    ],
    ids=lambda spec: spec.text,
)
def test_the_margin_keeps_falling_to_the_last_angle(spec):
    loss = build_loss(spec, 2, 3)
    cosine = torch.cos(torch.linspace(0, math.pi, 200, dtype=torch.float64))
    shifted = loss.margin_cosine(cosine)
    assert (shifted.diff() < 1e-9).all()


def test_sphereface_continues_the_cosine_piece_by_piece():
    loss = build_loss(Spec("sphereface", {"margin": 4.0, "easing": 0.0}), 2, 3)
    degrees = torch.tensor([0.0, 10.0, 50.0, 100.0, 140.0, 180.0], dtype=torch.float64)
    pieces = [0, 0, 1, 2, 3, 3]  # 45° each
    expected = [
        (-1) ** piece * math.cos(math.radians(4 * angle)) - 2 * piece
        for piece, angle in zip(pieces, degrees.tolist(), strict=True)
    ]
    assert loss.margin_cosine(torch.cos(torch.deg2rad(degrees))).tolist() == pytest.approx(expected, abs=1e-5)


def test_sphereface_without_a_margin_is_the_normalised_softmax():
    sphere = build_loss(Spec("sphereface", {"margin": 1.0, "easing": 0.0}), 2, 3)
    plain = build_loss(Spec("normsoftmax"), 2, 3)
    sphere.load_state_dict(plain.state_dict())
    emb, labels = torch.randn(20, 2, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 3
    assert sphere(emb, labels).item() == pytest.approx(plain(emb, labels).item(), rel=1e-5)


@pytest.mark.parametrize("name", ["arcface", "sphereface"])
def test_gradient_is_finite_at_the_poles(name):
    loss = build_loss(Spec(name), 2, 3)
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
