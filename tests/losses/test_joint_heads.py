"""Centre, triplet and contrastive losses as classifier heads: logits, synthesised rows, gradients, large batches."""

import math

import pytest
import torch
import torch.nn.functional as F

from compat_core.losses import ClassificationLoss, build_loss
from compat_core.spec import Spec

DIM, CLASSES = 5, 4
PAIR_LOSSES = ("contrastive", "triplet")
JOINT = ("centre", *PAIR_LOSSES)
both_classifiers = pytest.mark.parametrize("classifier", ["normsoftmax", "softmax"])


def batch(count: int = 12, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    stream = torch.Generator().manual_seed(seed)
    emb = 0.6 * torch.randn(count, DIM, generator=stream, dtype=torch.float64)
    return emb, torch.randint(CLASSES, (count,), generator=stream)


def joint(name: str, **params) -> ClassificationLoss:
    torch.manual_seed(1)
    return build_loss(Spec(name, params), DIM, CLASSES).double()


def second_term(loss: ClassificationLoss, emb: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """What the loss adds to its classification part."""
    return loss(emb, labels) - F.cross_entropy(loss.logits(emb), labels)


@pytest.mark.parametrize("name", JOINT)
@both_classifiers
def test_logits_are_those_of_the_chosen_classifier(name, classifier):
    emb, _ = batch()
    loss = joint(name, classifier=classifier)
    plain = build_loss(Spec(classifier), DIM, CLASSES).double()
    plain.load_state_dict({key: value for key, value in loss.state_dict().items() if key != "centres"})
    torch.testing.assert_close(loss.logits(emb), plain.logits(emb))


@pytest.mark.parametrize("name", JOINT)
@both_classifiers
def test_gradient_against_finite_differences(name, classifier):
    emb, labels = batch(8)
    loss = joint(name, classifier=classifier, weight=2.0).eval()  # eval: the centres stay where they are
    assert torch.autograd.gradcheck(lambda points: loss(points, labels), emb.requires_grad_())


@pytest.mark.parametrize("name", JOINT)
@both_classifiers
@pytest.mark.parametrize("kind", ["random", "all alike", "all zero"])
def test_gradients_are_finite(name, classifier, kind):
    emb, labels = batch()
    emb = {"random": emb, "all alike": emb[:1].expand(12, -1).clone(), "all zero": torch.zeros_like(emb)}[kind]
    emb = emb.float().requires_grad_()
    loss = joint(name, classifier=classifier).float()
    loss(emb, labels).backward()
    assert torch.isfinite(emb.grad).all() and torch.isfinite(loss.weight.grad).all()


@pytest.mark.parametrize("name", PAIR_LOSSES)
@pytest.mark.parametrize("labels", [[0], [0, 1, 2, 3]], ids=["one image", "one image per class"])
def test_without_a_positive_pair_the_pair_term_has_zero_gradient(name, labels):
    emb, _ = batch(len(labels))
    emb.requires_grad_()
    term = second_term(joint(name, margin=5.0), emb, torch.tensor(labels))
    term.backward()
    assert term.item() == pytest.approx(0, abs=1e-12)
    assert emb.grad.abs().max() < 1e-12


def test_distances_stay_exact_in_a_large_batch_far_from_the_origin():
    """Beyond 25 items cdist may switch to ‖a‖² + ‖b‖² − 2ab, which loses small distances between long vectors."""
    offsets, _ = batch(30)
    emb = (100 + 1e-3 * offsets).float()
    labels = torch.zeros(30, dtype=torch.int64)
    points = emb.tolist()
    pairs = [math.dist(points[i], points[j]) ** 2 / 2 for i in range(30) for j in range(i + 1, 30)]
    loss = joint("contrastive", classifier="softmax").float()
    assert loss.second_term(emb, labels).item() == pytest.approx(sum(pairs) / len(pairs), rel=1e-3)


@both_classifiers
def test_a_synthesised_row_is_its_own_centre(classifier):
    loss = joint("centre", classifier=classifier)
    loss.centres.fill_(0.25)
    extra = torch.full((1, DIM), 3.0)
    wider = loss.with_rows(torch.cat([loss.weight.detach().float(), extra]))
    assert (wider.centres[:CLASSES] == 0.25).all()
    torch.testing.assert_close(wider.centres[CLASSES:], F.normalize(extra) if classifier == "normsoftmax" else extra)


@pytest.mark.parametrize("name", JOINT)
def test_synthesised_rows_start_without_a_bias(name):
    loss = joint(name, classifier="softmax")
    torch.nn.init.ones_(loss.bias)
    wider = loss.with_rows(torch.cat([loss.weight.detach(), torch.zeros(1, DIM)]))
    assert wider.bias.tolist() == [1.0] * CLASSES + [0.0]


def test_centres_of_classes_outside_the_batch_stay():
    emb, _ = batch(3)
    loss = joint("centre")
    loss.centres.fill_(1.0)
    loss(emb, torch.tensor([0, 0, 2]))
    assert (loss.centres[[1, 3]] == 1).all() and not (loss.centres[[0, 2]] == 1).any()


def test_centres_stay_without_gradients():
    loss = joint("centre")
    with torch.no_grad():
        loss(*batch())
    assert (loss.centres == 0).all()


def test_centres_converge_to_the_class_means():
    emb, labels = batch()
    loss = joint("centre")
    for _ in range(200):
        loss(emb, labels)
    for row in labels.unique():
        torch.testing.assert_close(loss.centres[row], emb[labels == row].mean(dim=0))
