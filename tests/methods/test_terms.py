"""Every compatibility term against a value computed by hand, item by item."""

import math

import numpy as np
import pytest
import torch

from compat_core.losses import build_loss
from compat_core.methods.bct import BctSysConfig, DistilledInfluenceTerm, InfluenceTerm, synthesised_head
from compat_core.methods.distillation import distillation
from compat_core.methods.l2 import L2Term
from compat_core.methods.lce import LceConfig, LceTerm, class_bounds
from compat_core.methods.lwf import LwfConfig, LwfTerm
from compat_core.methods.side import nt_xent
from compat_core.methods.upgrade import match_dim
from compat_core.spec import Spec
from compat_core.training.embedding import Batch
from tests.methods.toy import make_context


@pytest.fixture(scope="module")
def context():
    return make_context()


def unit(vector):
    norm = math.sqrt(sum(value * value for value in vector))
    return [value / norm for value in vector]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def softmax(values):
    top = max(values)
    powers = [math.exp(value - top) for value in values]
    return [power / sum(powers) for power in powers]


def batch_of(context, indices, emb=None):
    from compat_core.data.augment import to_float

    images = context.train_images
    chosen = torch.as_tensor(indices)
    if emb is None:
        emb = torch.randn(len(indices), 16, generator=torch.Generator().manual_seed(5))
    head = context.paragon.head
    return Batch(to_float(images.images[chosen]), images.labels[chosen], chosen, emb, head, 0.5)


INDICES = [0, 30, 60, 80, 100, 140]  # classes a, b, c (old), d, e, f (new)


def test_influence_is_the_mean_cross_entropy_of_items_of_old_classes(context):
    batch = batch_of(context, INDICES)
    weight = context.old.head.weight.tolist()
    total = 0.0
    for emb, label in zip(batch.emb.tolist(), batch.labels.tolist(), strict=True):
        if label < 3:
            logits = [16.0 * dot(unit(emb), unit(row)) for row in weight]
            total -= math.log(softmax(logits)[label])
    value = InfluenceTerm(context.old.head, context.old_position(), 2.0)(batch)["influence"].item()
    assert value == pytest.approx(2.0 * total / 3, rel=1e-4)


def test_influence_without_old_classes_is_zero_and_differentiable(context):
    emb = torch.randn(2, 16, requires_grad=True)
    value = InfluenceTerm(context.old.head, context.old_position(), 1.0)(batch_of(context, [80, 100], emb))["influence"]
    value.backward()
    assert value.item() == 0
    assert emb.grad.abs().sum() == 0


def test_synthesised_rows_are_mean_old_embeddings(context):
    head, rows = synthesised_head(context, BctSysConfig())
    assert torch.equal(rows, torch.arange(6))
    assert torch.equal(head.weight[:3], context.old.head.weight)
    of_class_e = context.train_images.labels == 4
    torch.testing.assert_close(head.weight[4], context.old_emb()[of_class_e].mean(0))
    all_rows, _ = synthesised_head(context, BctSysConfig(rows="all"))
    torch.testing.assert_close(all_rows.weight[1], context.old_emb()[context.train_images.labels == 1].mean(0))
    scaled, _ = synthesised_head(context, BctSysConfig(normalise_rows=True))
    torch.testing.assert_close(scaled.weight[4].norm(), context.old.head.weight.norm(dim=1).mean())


def test_distillation_is_the_scaled_divergence(context):
    head = context.old.head
    new_emb, old_emb = torch.randn(2, 3, 16, generator=torch.Generator().manual_seed(1)).unbind()
    total = 0.0
    for new_row, old_row in zip(head.logits(new_emb).tolist(), head.logits(old_emb).tolist(), strict=True):
        wanted, given = softmax([v / 4 for v in old_row]), softmax([v / 4 for v in new_row])
        total += 16 * sum(p * (math.log(p) - math.log(q)) for p, q in zip(wanted, given, strict=True))
    assert distillation(head, new_emb, old_emb, 4.0).item() == pytest.approx(total / 3, rel=1e-4)
    assert distillation(head, old_emb, old_emb, 4.0).item() == pytest.approx(0, abs=1e-6)


def test_kd_adds_soft_targets_for_new_classes_only(context):
    term = DistilledInfluenceTerm(context.old.head, context.old_position(), 1.0, context.old.embedder, 16.0)
    assert set(term(batch_of(context, INDICES))) == {"influence", "distillation"}
    assert set(term(batch_of(context, INDICES[:3]))) == {"influence"}
    batch = batch_of(context, INDICES)
    old_emb = context.old_emb()[torch.tensor(INDICES[3:])]
    expected = distillation(context.old.head, batch.emb[3:], old_emb, 16.0).item() / 2
    assert term(batch)["distillation"].item() == pytest.approx(expected, rel=1e-4)
    known = InfluenceTerm(context.old.head, context.old_position(), 1.0)(batch)["influence"].item() / 2
    assert term(batch)["influence"].item() == pytest.approx(known, rel=1e-4)  # together a mean over all items


def test_lwf_distils_on_unseen_items_only(context):
    term = LwfTerm(context, LwfConfig(weight=3.0, temperature=2.0))
    batch = batch_of(context, INDICES)
    old_emb = context.old_emb()[torch.tensor(INDICES[3:])]
    expected = 3 * distillation(context.old.head, batch.emb[3:], old_emb, 2.0).item()
    assert term(batch)["lwf"].item() == pytest.approx(expected, rel=1e-4)
    assert term(batch_of(context, INDICES[:3]))["lwf"].item() == 0


def test_l2_is_half_the_squared_distance_on_old_items(context):
    seen = torch.zeros(len(context.train_images), dtype=torch.bool)
    seen[context.old_indices] = True
    batch = batch_of(context, INDICES)
    total = 0.0
    for position in range(3):
        old_row = context.old_emb()[INDICES[position]].tolist()
        total += 0.5 * sum((a - b) ** 2 for a, b in zip(batch.emb[position].tolist(), old_row, strict=True))
    value = L2Term(context.old.embedder, seen, 4.0)(batch)["l2"].item()
    assert value == pytest.approx(4 * total / 3, rel=1e-4)


@pytest.mark.parametrize(("form", "slack"), [("cosine", 0.0), ("cosine", 0.1), ("angle", 0.0), ("angle", 0.2)])
def test_lce_by_hand(form, slack):
    centres = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    head = build_loss(Spec("arcface"), 2, 2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[2.0, 2.0], [0.0, 5.0]]))
    degrees = [10.0, 70.0]
    emb = 3 * torch.tensor([[math.cos(math.radians(d)), math.sin(math.radians(d))] for d in degrees])
    bounds = torch.tensor([math.cos(math.radians(5)), math.cos(math.radians(30))])
    batch = Batch(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]), torch.arange(2), emb, head, 0.0)
    parts = LceTerm(centres, bounds, LceConfig(align=2.0, boundary=3.0, form=form, slack=slack))(batch)
    # row 0 stands at 45° to its centre: squared chord 2 − 2 cos 45°; row 1 is aligned
    assert parts["align"].item() == pytest.approx(2 * (2 - 2 * math.cos(math.radians(45))) / 2, rel=1e-5)
    # item 0 is 10° off where 5° are allowed; item 1 is 20° off where 30° are
    if form == "cosine":
        outside = max(0, math.cos(math.radians(5)) - slack - math.cos(math.radians(10)))
    else:
        outside = max(0, math.radians(10) - math.radians(5) - slack)
    assert parts["boundary"].item() == pytest.approx(3 * outside / 2, rel=1e-3, abs=1e-6)


def test_class_bounds_are_the_worst_cosines():
    emb = torch.tensor([[1.0, 0.0], [3.0, 3.0], [0.0, 2.0]])
    bounds = class_bounds(emb, torch.tensor([0, 0, 1]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]))
    torch.testing.assert_close(bounds, torch.tensor([math.sqrt(0.5), 1.0, 1.0]))


def test_nt_xent_by_hand():
    emb = torch.randn(6, 4, generator=torch.Generator().manual_seed(2))
    rows = [unit(row) for row in emb.tolist()]
    total = 0.0
    for i in range(6):
        others = [math.exp(dot(rows[i], rows[j]) / 0.5) for j in range(6) if j != i]
        total -= math.log(math.exp(dot(rows[i], rows[(i + 3) % 6]) / 0.5) / sum(others))
    assert nt_xent(emb, 0.5).item() == pytest.approx(total / 6, rel=1e-5)


def test_match_dim_cuts_and_pads():
    emb = torch.arange(6.0).view(2, 3)
    assert match_dim(emb, 2).tolist() == [[0, 1], [3, 4]]
    assert match_dim(emb, 4).tolist() == [[0, 1, 2, 0], [3, 4, 5, 0]]
    assert torch.equal(match_dim(emb, 3), emb)


def test_lce_transformed_by_hand():
    from compat_core.methods.lce_transformed import LceTransformedConfig, TransformedTerm
    from compat_core.models.residual_transformation import ResidualTransformation

    centres = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    head = build_loss(Spec("arcface"), 2, 2)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([[2.0, 2.0], [0.0, 5.0]]))
    identity = ResidualTransformation(2, 2, 0, "forward")
    turn = ResidualTransformation(2, 2, 0, "backward")
    turn.layers[0] = torch.nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        turn.layers[0].weight.copy_(torch.tensor([[0.0, -1.0], [1.0, 0.0]]))  # 90° counter-clockwise
    bounds = torch.tensor([0.9, 0.5])
    emb = torch.tensor([[0.0, -2.0], [0.0, 3.0]])  # turned: (1, 0), exactly on centre 0; and (−1, 0), 90° off centre 1
    batch = Batch(torch.zeros(2, 1, 8, 8), torch.tensor([0, 1]), torch.arange(2), emb, head, 0.0)
    config, old_emb = LceTransformedConfig(align=1.0, boundary=1.0), torch.randn(2, 2)
    parts = TransformedTerm(centres, bounds, old_emb, identity, turn, config)(batch)

    def chord(degrees):
        return 2 - 2 * math.cos(math.radians(degrees))

    # rows stand at 45° and 90°, centres at 0° and 90°; turned rows at 135° and 180°
    expected = 0.5 * ((chord(45) + chord(0)) / 2 + (chord(135) + chord(90)) / 2)
    assert parts["align"].item() == pytest.approx(expected, rel=1e-5)
    assert parts["boundary"].item() == pytest.approx((0 + 0.5) / 2, rel=1e-5)


def test_residual_block_is_the_sum_of_its_paths():
    from compat_core.models.residual_transformation import ResidualTransformation

    net = ResidualTransformation(6, 6, 1, "forward").eval()
    emb = torch.randn(5, 6)
    block = net.layers[1]
    expected = emb + sum(path(emb) for path in block.paths)
    torch.testing.assert_close(net(emb), expected)
    assert len(block.paths) == 4


def test_uncertain_loss_by_hand_and_its_optimum():
    from compat_core.methods.fastfill import uncertain_loss

    loss, s = torch.tensor([1.0, 4.0]), torch.tensor([0.0, 1.0])
    expected = (0.5 * 1 + 0 + 0.5 * math.exp(-1) * 4 + 0.5) / 2
    assert uncertain_loss(loss, s)["total"].item() == pytest.approx(expected, rel=1e-6)
    best = torch.log(loss).requires_grad_()  # σ² = ℓ
    uncertain_loss(loss, best)["total"].backward()
    assert best.grad.abs().max() < 1e-6


@pytest.mark.parametrize("error", ["raw", "directions"])
def test_fastfill_losses_are_squared_error_and_class_term(context, error):
    from compat_core.methods.fastfill import FastFillConfig, UncertainMapTraining
    from compat_core.models.transformation import UncertainTransformation

    net = UncertainTransformation(16, 16, 16, 8).eval()
    old, new = context.old_emb()[None], torch.randn(1, len(context.train_images), 16)
    config = FastFillConfig(class_weight=2.0, label_smoothing=0.1, error=error)
    compared = unit if error == "directions" else list
    training = UncertainMapTraining(net, old, old, new, context.paragon.head, context.train_images.labels, config)
    columns = np.array([compared(row) for row in new[0].tolist()]).T
    variance = np.mean([np.var(column, ddof=1) for column in columns])
    indices = torch.tensor([3, 70])
    parts = training.losses(indices, torch.Generator(), 0.0)
    mapped, log_variance = net(old[0, indices], old[0, indices])
    total = 0.0
    for row, target, label, s in zip(
        mapped.tolist(), new[0, indices].tolist(), training.labels[indices].tolist(), log_variance.tolist(), strict=True
    ):
        error = sum((a - b) ** 2 for a, b in zip(compared(row), compared(target), strict=True)) / 16 / variance
        odds = softmax([16 * dot(unit(row), unit(weight)) for weight in context.paragon.head.weight.tolist()])
        smooth = [(0.9 if k == label else 0) + 0.1 / 6 for k in range(6)]
        classes = -sum(p * math.log(q) for p, q in zip(smooth, odds, strict=True))
        total += 0.5 * math.exp(-s) * (error + 2 * classes) + 0.5 * s
    assert parts["total"].item() == pytest.approx(total / 2, rel=1e-3)
