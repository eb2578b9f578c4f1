"""The moving centres and the pair terms, against loops over items and pairs."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from compat_core.losses import build_loss
from compat_core.spec import Spec

LABELS = torch.tensor([0, 0, 0, 1, 1, 2])


def embeddings(dtype=torch.float64, seed: int = 3) -> torch.Tensor:
    return torch.randn(len(LABELS), 4, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def distance(a: list[float], b: list[float]) -> float:
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)))


def pair_part(name: str, emb: torch.Tensor, labels: torch.Tensor, **params) -> float:
    """What the second term adds: the loss with it, less the loss without."""
    totals = []
    for weight in (1.0, 0.0):
        torch.manual_seed(0)
        loss = build_loss(Spec(name, params | {"weight": weight}), emb.shape[1], 3).to(emb.dtype)
        totals.append(loss(emb, labels).item())
    return totals[0] - totals[1]


# -- centre ------------------------------------------------------------------------------------------------------------


def test_centres_follow_the_papers_rule():
    loss = build_loss(Spec("centre", {"rate": 0.5}), 4, 3).double()
    loss.centres.copy_(torch.arange(12.0).view(3, 4))
    before, emb = loss.centres.tolist(), embeddings()
    expected = []
    for label, centre in enumerate(before):
        rows = [row for row, own in zip(emb.tolist(), LABELS.tolist(), strict=True) if own == label]
        moved = [sum(centre[d] - row[d] for row in rows) / (1 + len(rows)) for d in range(4)]
        expected.append([centre[d] - 0.5 * moved[d] for d in range(4)])
    pull = sum(distance(row, before[label]) ** 2 for row, label in zip(emb.tolist(), LABELS.tolist(), strict=True))
    classification = F.cross_entropy(loss.logits(emb), LABELS)
    value = loss(emb, LABELS)
    assert value.item() == pytest.approx(classification.item() + 0.003 * 0.5 * pull / len(LABELS), rel=1e-9)
    torch.testing.assert_close(loss.centres, torch.tensor(expected, dtype=torch.float64))


def test_centres_stay_where_they_are_in_eval_mode_and_in_a_frozen_head():
    loss = build_loss(Spec("centre"), 4, 3)
    loss(embeddings(torch.float32), LABELS)
    moved = loss.centres.clone()
    assert moved.abs().sum() > 0
    loss.eval()(embeddings(torch.float32), LABELS)
    frozen = loss.with_rows(torch.randn(5, 4)).train()
    assert torch.equal(frozen.centres[:3], moved)
    frozen(embeddings(torch.float32), LABELS)
    assert torch.equal(loss.centres, moved)
    assert torch.equal(frozen.centres[:3], moved)


def test_centres_are_kept_with_the_head():
    loss, again = (build_loss(Spec("centre"), 4, 3) for _ in range(2))
    loss(embeddings(torch.float32), LABELS)
    again.load_state_dict(loss.state_dict())
    assert torch.equal(loss.centres, again.centres)


# -- pairs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classifier", ["normsoftmax", "softmax"])
@pytest.mark.parametrize("soft", [False, True])
def test_triplet_by_loops(classifier, soft):
    emb = embeddings()
    rows = (F.normalize(emb) if classifier == "normsoftmax" else emb).tolist()
    values = []
    for a, own in enumerate(LABELS.tolist()):
        positives = [distance(rows[a], rows[i]) for i in range(6) if LABELS[i] == own and i != a]
        negatives = [distance(rows[a], rows[i]) for i in range(6) if LABELS[i] != own]
        if positives and negatives:
            gap = 0.3 + max(positives) - min(negatives)
            values.append(math.log1p(math.exp(gap)) if soft else max(0.0, gap))
    assert len(values) == 5  # the only image of class 2 is no anchor
    given = pair_part("triplet", emb, LABELS, margin=0.3, soft=soft, classifier=classifier)
    assert given == pytest.approx(sum(values) / len(values), rel=1e-6)


@pytest.mark.parametrize("classifier", ["normsoftmax", "softmax"])
def test_contrastive_by_loops(classifier):
    emb = embeddings()
    rows = (F.normalize(emb) if classifier == "normsoftmax" else emb).tolist()
    pulled, pushed = [], []
    for i, j in itertools.combinations(range(6), 2):
        apart = distance(rows[i], rows[j])
        if LABELS[i] == LABELS[j]:
            pulled.append(0.5 * apart**2)
        else:
            pushed.append(0.5 * max(0.0, 1.5 - apart) ** 2)
    expected = sum(pulled) / len(pulled) + sum(pushed) / len(pushed)
    given = pair_part("contrastive", emb, LABELS, margin=1.5, classifier=classifier)
    assert given == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", ["triplet", "contrastive"])
def test_a_batch_without_a_positive_pair_adds_nothing(name):
    emb = embeddings()[:3]
    assert pair_part(name, emb, torch.tensor([0, 1, 2])) == 0
    loss = build_loss(Spec(name), 4, 3).double()
    leaf = emb.clone().requires_grad_()
    loss(leaf, torch.tensor([0, 1, 2])).backward()
    assert torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("name", ["triplet", "contrastive"])
@pytest.mark.parametrize("labels", [[0, 0, 0], [0, 0, 1]])
def test_gradient_is_finite_for_duplicates_and_for_a_single_class(name, labels):
    loss = build_loss(Spec(name), 4, 3)
    emb = torch.ones(3, 4, requires_grad=True)  # all distances are 0, where the square root has no slope
    loss(emb, torch.tensor(labels)).backward()
    assert torch.isfinite(emb.grad).all()


@pytest.mark.parametrize("name", ["triplet", "contrastive"])
def test_a_frozen_head_leaves_the_pair_term_out(name):
    loss = build_loss(Spec(name), 4, 3)
    frozen, emb = loss.with_rows(loss.weight.detach()), embeddings(torch.float32)
    assert frozen(emb, LABELS).item() == pytest.approx(F.cross_entropy(frozen.logits(emb), LABELS).item(), rel=1e-6)


@pytest.mark.parametrize("name", ["triplet", "contrastive", "centre"])
def test_a_step_down_the_second_terms_gradient_draws_a_class_together(name):
    loss = build_loss(Spec(name, {"classifier": "softmax", "weight": 1e4}), 4, 3)
    emb = embeddings(torch.float32).requires_grad_()
    if name == "centre":
        loss.centres.copy_(torch.stack([emb.detach()[label == LABELS].mean(0) for label in range(3)]))
    loss(emb, LABELS).backward()
    stepped = emb.detach() - 1e-2 * emb.grad / emb.grad.norm()
    spread = [rows[:3].var(0).sum().item() for rows in (emb.detach(), stepped)]
    assert spread[1] < spread[0]
