"""Hot-refresh, AdvBCT, UniBCT, BT² and the cross-model map: their losses by hand, and what each is meant to move."""

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F

from compat_core.errors import CompatError
from compat_core.losses import build_loss
from compat_core.methods import METHODS, Upgrade
from compat_core.methods.advbct import AdvBctConfig, AdversarialTerm, class_radii
from compat_core.methods.bct import InfluenceTerm
from compat_core.methods.bt2 import BasisTraining, Bt2Config
from compat_core.methods.cross_model import CentreMapTraining, CrossModelConfig
from compat_core.methods.hot_refresh import HotRefreshConfig, HotRefreshTerm, regression_alleviating
from compat_core.methods.unibct import UniBctConfig, prototype_head
from compat_core.models import load_module, save_module
from compat_core.models.basis_embedder import BasisEmbedder
from compat_core.models.residual_transformation import ResidualTransformation
from compat_core.spec import Spec
from compat_core.training.config import TrainConfig
from compat_core.training.embedding import embed
from tests.methods.test_methods import cross_map
from tests.methods.test_terms import INDICES, batch_of, dot, softmax, unit
from tests.methods.toy import make_context, stripes

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def context():
    return make_context()


def fit(context, name, **params):
    entry = METHODS.get(name)
    return entry.fit(context, entry.configure(Spec(name, params))).eval()


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def naive(context):
    return Upgrade(context.old.embedder, context.paragon.embedder)


# -- hot-refresh -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hardest", [1, 2, 10])
def test_regression_alleviating_by_loops(hardest):
    new, old, labels = draw(6, 4, seed=1), draw(6, 4, seed=2), [0, 0, 1, 1, 2, 2]
    new_rows, old_rows = ([unit(row) for row in rows.tolist()] for rows in (new, old))
    total = 0.0
    for i in range(6):
        own = math.exp(dot(new_rows[i], old_rows[i]) / 0.2)
        negatives = 0.0
        for rows in (old_rows, new_rows):
            near = sorted((dot(new_rows[i], rows[k]) for k in range(6) if labels[k] != labels[i]), reverse=True)
            negatives += sum(math.exp(value / 0.2) for value in near[:hardest])
        total -= math.log(own / (own + negatives))
    given = regression_alleviating(new, old, torch.tensor(labels), 0.2, hardest)
    assert given.item() == pytest.approx(total / 6, rel=1e-5)


def test_a_batch_of_one_class_has_nothing_to_contrast():
    new = draw(3, 4).requires_grad_()
    loss = regression_alleviating(new, draw(3, 4, seed=1), torch.zeros(3, dtype=torch.int64), 0.01, 10)
    loss.backward()
    assert loss.item() == 0
    assert new.grad.abs().sum() == 0


def test_hot_refresh_compares_in_the_padded_space(context):
    batch = batch_of(context, INDICES, draw(len(INDICES), 20, seed=4))
    old = F.pad(context.old_emb()[torch.tensor(INDICES)], (0, 4))
    expected = 3 * regression_alleviating(batch.emb, old, batch.labels, 0.1, 10).item()
    term = HotRefreshTerm(context.old.embedder, 20, HotRefreshConfig(weight=3.0, temperature=0.1))
    assert term(batch)["refresh"].item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", ["hot-refresh", "unibct"])
@pytest.mark.parametrize("dims", [(16, 24), (24, 16)])
def test_dimension_change(name, dims):
    context = make_context(*dims)
    assert cross_map(fit(context, name)) > cross_map(naive(context)) + 0.1


# -- unibct ------------------------------------------------------------------------------------------------------------


def test_unibct_is_arcface_against_unit_class_means(context):
    head = prototype_head(context, UniBctConfig(scale=30.0, margin=0.3))
    old, labels = [unit(row) for row in context.old_emb().tolist()], context.train_images.labels.tolist()
    rows = []
    for label in range(6):
        own = [row for row, given in zip(old, labels, strict=True) if given == label]
        rows.append(unit([sum(column) for column in zip(*own, strict=True)]))
    torch.testing.assert_close(head.weight, torch.tensor(rows))
    batch = batch_of(context, INDICES)
    total = 0.0
    for emb, label in zip(batch.emb.tolist(), batch.labels.tolist(), strict=True):
        angles = [math.acos(dot(unit(emb), row)) for row in rows]
        angles[label] += 0.3
        total -= math.log(softmax([30 * math.cos(angle) for angle in angles])[label])
    value = InfluenceTerm(head, torch.arange(6), 2.0)(batch)["influence"].item()
    assert value == pytest.approx(2 * total / len(INDICES), rel=1e-4)


# -- advbct ------------------------------------------------------------------------------------------------------------


def adversarial_term(context, radii, **params):
    torch.manual_seed(0)
    centres = F.normalize(draw(6, 16, seed=7))
    return AdversarialTerm(context.old.embedder, centres, radii, 10, AdvBctConfig(**params)).eval()


def test_elastic_boundary_by_hand(context):
    radii = torch.tensor([0.5, 0.9, 1.3, 0.2, 0.7, 0.0])  # class f has no radius: left out
    term, batch = adversarial_term(context, radii, threshold=1.0, boundary=2.0), batch_of(context, INDICES)
    outside = []
    for emb, label in zip(batch.emb.tolist(), batch.labels.tolist(), strict=True):
        pull = 1 / (1 + math.exp(-term.elastic[label].item()))
        distance = math.dist(unit(emb), term.centres[label].tolist())
        radius = radii[label].item() + pull * (1.0 - radii[label].item())
        if radii[label] > 0 and distance > radius:
            outside.append(distance - radius)
    assert len(outside) > 1
    assert term(batch)["boundary"].item() == pytest.approx(2 * sum(outside) / len(outside), rel=1e-4)


def test_nothing_outside_the_boundary_gives_zero_and_finite_gradients(context):
    term = adversarial_term(context, torch.full((6,), 2.0), threshold=2.0)
    emb = term.centres.clone().requires_grad_()  # exactly on the centres, where the distance has no slope
    value = term.boundary(emb, torch.arange(6))
    value.backward()
    assert value.item() == 0
    assert torch.isfinite(emb.grad).all()


def test_radii_leave_outliers_out():
    degrees = torch.deg2rad(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 90.0, 10.0, 180.0]))
    emb = 3 * torch.stack([torch.cos(degrees), torch.sin(degrees)], dim=1)
    labels = torch.tensor([0, 0, 0, 0, 0, 0, 1, 2])
    radii = class_radii(emb, labels, torch.tensor([[1.0, 0.0]] * 3))
    assert radii.tolist() == pytest.approx([2 * math.sin(math.radians(2.5)), 0, 0], abs=1e-6)


@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
def test_discriminator_descends_what_the_embedding_climbs(context, progress):
    term = adversarial_term(context, torch.ones(6), seen="together")
    new, old = F.normalize(draw(5, 16, seed=1)).requires_grad_(), F.normalize(draw(5, 16, seed=2))
    value = term.adversarial(new, old, progress)
    answers = [softmax(row) for row in term.discriminator(torch.cat([new, old])).tolist()]
    naive_value = -sum(math.log(row[0]) for row in answers[:5]) / 5 - sum(math.log(row[1]) for row in answers[5:]) / 5
    assert value.item() == pytest.approx(naive_value, rel=1e-5)
    first = term.discriminator[0].weight
    given = torch.autograd.grad(value, [new, first])
    truth = torch.tensor([0] * 5 + [1] * 5)
    plain = torch.autograd.grad(2 * F.cross_entropy(term.discriminator(torch.cat([new, old])), truth), [new, first])
    strength = 2 / (1 + math.exp(-10 * progress)) - 1
    torch.testing.assert_close(given[0], -strength * plain[0])
    torch.testing.assert_close(given[1], plain[1])


def test_apart_the_discriminator_does_not_see_where_each_side_lies(context):
    new, old = draw(8, 16, seed=1), draw(8, 16, seed=2)
    for seen in ("together", "apart"):
        term = adversarial_term(context, torch.ones(6), seen=seen)
        term.discriminator.train()  # batch norm by batch, as in training
        values = [term.adversarial(new + shift, old, 0.5).item() for shift in (0.0, 5.0)]
        assert (values[0] == pytest.approx(values[1], rel=1e-4)) == (seen == "apart")


def test_apart_it_is_given_vectors_as_they_are(context):
    term, batch = adversarial_term(context, torch.ones(6), seen="apart"), batch_of(context, INDICES)
    old = context.old_emb()[torch.tensor(INDICES)]
    expected = (10 - 6 + 1) / 10 * term.adversarial(batch.emb, old, 0.5).item()
    assert term(batch)["adversarial"].item() == pytest.approx(expected, rel=1e-4)


def test_the_discriminators_weight_fades(context):
    term = adversarial_term(context, torch.ones(6), adversarial=2.0, seen="together")
    batch = batch_of(context, INDICES)
    new, old = F.normalize(batch.emb), F.normalize(context.old_emb()[torch.tensor(INDICES)])
    expected = 2 * (10 - 6 + 1) / 10 * term.adversarial(new, old, 0.5).item()  # the sixth of 10 epochs begins
    assert term(batch)["adversarial"].item() == pytest.approx(expected, rel=1e-4)


def test_adversarial_training_brings_the_two_distributions_together(context):
    images = context.train_images.images
    old = F.normalize(context.old_emb())
    gaps = []
    for weight in (0.0, 1.0):
        new = F.normalize(
            embed(fit(context, "advbct", adversarial=weight, boundary=0.0, seen="together").new, images, CPU)
        )
        gaps.append((new.mean(0) - old.mean(0)).norm().item())
    assert gaps[1] < 0.8 * gaps[0]


@pytest.mark.parametrize("name", ["advbct", "d-simplex"])
def test_methods_of_one_dimension_refuse_two(name):
    context = make_context(16, 24, loss="simplex")
    with pytest.raises(CompatError, match="equal dimensions"):
        fit(context, name)


def test_d_simplex_refuses_another_loss(context):
    with pytest.raises(CompatError, match=r"set old\.loss and new\.loss to simplex"):
        fit(context, "d-simplex")


# -- bt2 ---------------------------------------------------------------------------------------------------------------


def basis_embedder(**changes):
    torch.manual_seed(0)
    made = {"arch": "tiny-conv", "dim": 20, "old_dim": 16, "new_dim": 12, "scale": 2.0, "channels": 1, "image_size": 8}
    net = BasisEmbedder(**(made | changes))
    for rotation in (net.new_rotation, net.old_rotation):
        torch.nn.init.normal_(rotation.generator, std=0.3)
    return net.eval()


@torch.no_grad()
def test_rotations_keep_every_angle_of_the_features():
    net, images = basis_embedder(), draw(7, 1, 8, 8, seed=3)
    emb, new = net.features(images)
    kept = F.normalize(net.old_head(net.backbone(images)))[:, :8]
    mixed = torch.cat([kept, 2 * F.normalize(new)], dim=1)
    torch.testing.assert_close(emb @ emb.T, mixed @ mixed.T)
    assert not torch.allclose(emb[:, :8], kept, atol=1e-3)


@pytest.mark.parametrize(("dim", "old_dim", "new_dim"), [(13, 16, 12), (12, 16, 12), (40, 16, 12)])
def test_extra_dimensions_must_fit(dim, old_dim, new_dim):
    with pytest.raises(CompatError, match=r"bt2\.extra"):
        basis_embedder(dim=dim, old_dim=old_dim, new_dim=new_dim)


def test_bt2_losses_by_hand(context):
    net, head = basis_embedder(new_dim=16, dim=24), build_loss(Spec("normsoftmax", {"scale": 8.0}), 16, 6)
    prototypes = build_loss(Spec("normsoftmax", {"scale": 10.0}), 16, 6)
    training = BasisTraining(
        net, head, context.train_images, "none", context.old.embedder, context.paragon.embedder, prototypes, Bt2Config()
    )
    indices = torch.tensor(INDICES)
    parts = training.losses(indices, torch.Generator(), 0.0)
    images = batch_of(context, INDICES).images
    emb, new = (rows.tolist() for rows in net.features(images))
    old, free = context.old_emb()[indices].tolist(), context.paragon.embedder(images).tolist()
    expected = {"classification": 0.0, "match": 0.0, "prototypes": 0.0, "old": 0.0}
    for i, label in enumerate(context.train_images.labels[indices].tolist()):
        back = emb[i][:16]
        own = [8 * dot(unit(new[i]), unit(row)) for row in head.weight.tolist()]
        theirs = [10 * dot(unit(back), unit(row)) for row in prototypes.weight.tolist()]
        expected["classification"] -= math.log(softmax(own)[label]) / len(INDICES)
        expected["match"] += (1 - dot(unit(new[i]), unit(free[i]))) / len(INDICES)
        expected["prototypes"] -= 10 * math.log(softmax(theirs)[label]) / len(INDICES)
        expected["old"] += 5 * (1 - dot(unit(back), unit(old[i]))) / len(INDICES)
    for name, value in expected.items():
        assert parts[name].item() == pytest.approx(value, rel=1e-4), name
    assert parts["total"].item() == pytest.approx(sum(expected.values()), rel=1e-4)


@pytest.mark.parametrize("dims", [(16, 24), (24, 16)])
def test_bt2_across_dimensions(dims):
    context = make_context(*dims)
    upgrade = fit(context, "bt2", extra=10)
    assert upgrade.new.dim == dims[1] + 10
    assert context.trained is not None and context.trained.embedder is upgrade.new
    assert cross_map(upgrade) > cross_map(naive(context)) + 0.1


# -- cross-model -------------------------------------------------------------------------------------------------------


def test_cross_model_losses_by_hand():
    source, target, labels = draw(6, 3, seed=1), draw(6, 3, seed=2), [0, 0, 0, 1, 1, 1]
    identity = ResidualTransformation(3, 3, 0, "forward")
    config = CrossModelConfig(align=2.0, boundary=3.0)
    training = CentreMapTraining(identity, source[None], target[None], torch.tensor(labels), 2, config)
    parts = training.losses(torch.tensor([0, 4]), torch.Generator(), 0.0)

    def centre(rows, label):
        own = [unit(row) for row, given in zip(rows.tolist(), labels, strict=True) if given == label]
        return unit([sum(column) for column in zip(*own, strict=True)])

    align = sum(math.dist(centre(source, label), centre(target, label)) ** 2 for label in (0, 1)) / 2
    outside = 0.0
    for index, label in ((0, 0), (4, 1)):
        middle = centre(target, label)
        worst = min(dot(unit(target[i].tolist()), middle) for i in range(6) if labels[i] == label)
        outside += max(0.0, worst - dot(unit(source[index].tolist()), middle)) / 2
    assert parts["align"].item() == pytest.approx(2 * align, rel=1e-4)
    assert parts["boundary"].item() == pytest.approx(3 * outside, rel=1e-4)
    assert outside > 0


@pytest.mark.parametrize("manner", ["forward", "backward"])
@pytest.mark.parametrize("dims", [(16, 24), (24, 16)])
def test_cross_model_leaves_both_models_alone_and_maps_one_way(manner, dims):
    context = make_context(*dims)
    upgrade = fit(context, "lce-cross", manner=manner, batch_size=32)
    assert upgrade.new is context.paragon.embedder
    assert upgrade.maps_old == (manner == "forward")
    old = draw(4, dims[0])
    if manner == "backward":
        torch.testing.assert_close(upgrade.gallery_old(old), F.normalize(old))
    else:
        new = draw(4, dims[1])
        torch.testing.assert_close(upgrade.query(new), F.normalize(new))
    assert cross_map(upgrade) > cross_map(naive(context)) + 0.1


# -- what every family shares ------------------------------------------------------------------------------------------


def test_final_relu_reaches_the_new_model_and_its_file(context, tmp_path):
    """The negative control: an embedding that is never negative."""
    config = dataclasses.replace(context.new_config, final_relu=True)
    clamped = dataclasses.replace(context, new_config=config)
    images = stripes(seed=3, per_class=2).images
    for name, params in (("bct", {}), ("bt2", {"extra": 8})):
        upgrade = fit(clamped, name, **params)
        assert (embed(upgrade.new, images, CPU) >= 0).all()
        assert (embed(fit(context, name, **params).new, images, CPU) < 0).any()
        save_module(upgrade.new, tmp_path / name)
        assert (embed(load_module(tmp_path / name), images, CPU) >= 0).all()


@pytest.mark.parametrize("loss", ["softmax", "triplet", "contrastive", "centre", "arcface", "simplex"])
@pytest.mark.parametrize("name", ["bct-sys", "lce", "fastfill"])
def test_methods_work_on_any_loss_of_both_versions(loss, name):
    """The old classifier, the new class rows and the new classifier come from the loss, whatever it is."""
    context = make_context(loss=loss)
    quick = {"width": 64, "batch_size": 32, "epochs": 5, "lr": 3e-3, "side": "none", "views": 0}
    upgrade = fit(context, name, **(quick if name == "fastfill" else {}))
    assert math.isfinite(cross_map(upgrade))
    if name == "fastfill" and loss != "simplex":  # under the fixed rows the naive swap is compatible already
        assert cross_map(upgrade) > cross_map(naive(context))


@pytest.mark.parametrize("loss", ["normsoftmax", "triplet", "centre"])
@pytest.mark.parametrize(
    "name", ["bct", "hot-refresh", "unibct", "advbct", "bt2", "lce-transformed", "lce-cross", "fastfill"]
)
def test_methods_train_in_half_precision(name, loss, context):
    """What a GPU does, tried on the CPU: no mixture of types, no overflow."""
    choice = dataclasses.replace(context.job.device, autocast=torch.bfloat16)
    version = dataclasses.replace(context.new_config, loss=Spec(loss), train=TrainConfig(epochs=1, batch_size=48))
    job = dataclasses.replace(context.job, device=choice)
    half = dataclasses.replace(context, new_config=version, job=job)
    quick = {
        "bt2": {"extra": 8},
        "lce-cross": {"epochs": 1},
        "fastfill": {"width": 16, "epochs": 1, "side": "none"},
    }
    upgrade = fit(half, name, **quick.get(name, {}))
    assert math.isfinite(cross_map(upgrade))
