"""The contract of every method: documented, saved and loaded, and it moves what it is meant to move."""

import copy
import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from compat_core.errors import CompatError
from compat_core.experiments.artefacts import Artefacts
from compat_core.losses import build_loss
from compat_core.methods import FAMILIES, METHODS, Upgrade, available, fct, get
from compat_core.methods.side import train_side
from compat_core.methods.upgrade import match_dim
from compat_core.metrics import evaluate_retrieval
from compat_core.models.transformation import FctTransformation, UncertainTransformation
from compat_core.spec import Spec
from compat_core.training.embedding import Term, embed
from tests.methods.toy import CLASSES, make_context, stripes

# fct's published schedule is far too long for 144 images
_QUICK_MAP = {"width": 64, "batch_size": 32, "epochs": 40, "lr": 3e-3, "side_dim": 8, "views": 0}
QUICK = {
    "fct": _QUICK_MAP,
    "fastfill": _QUICK_MAP,
    "lce-cross": {"batch_size": 32, "views": 0},
    "bt2": {"extra": 8},
    "advbct": {"boundary": 10.0, "threshold": 0.5},  # the published weights need more than 75 steps
}
LOSS = {"d-simplex": "simplex"}  # what both versions are trained with; normsoftmax for every other method


@pytest.fixture(scope="module")
def context():
    return make_context()


@pytest.fixture(scope="module")
def world(context):
    """The versions a method is tried on."""
    made = {"normsoftmax": context}

    def of(name):
        loss = LOSS.get(name, "normsoftmax")
        if loss not in made:
            made[loss] = make_context(loss=loss)
        return made[loss]

    return of


@pytest.fixture(scope="module")
def fitted(world):
    made = {}

    def fit(name):
        if name not in made:
            spec = Spec(name, QUICK.get(name, {}))
            with torch.enable_grad():  # whichever test asks first
                made[name] = METHODS.get(name).fit(world(name), METHODS.get(name).configure(spec)).eval()
        return made[name]

    return fit


@torch.no_grad()
def cross_map(upgrade: Upgrade, classes: int = CLASSES) -> float:
    """mAP of new/migrated on images neither model was trained on, of queries of the first ``classes`` classes."""
    images = stripes(seed=9, per_class=12)
    cpu = torch.device("cpu")
    side = embed(upgrade.side, images.images, cpu) if upgrade.side is not None else None
    query = upgrade.query(embed(upgrade.new, images.images, cpu))
    gallery = upgrade.gallery_old(embed(upgrade.old, images.images, cpu), side)
    asked = images.labels < classes
    scores = evaluate_retrieval(
        query[asked], images.labels[asked], gallery, images.labels, images.ids[asked.numpy()], images.ids, device="cpu"
    )
    return scores.mean_ap


@pytest.mark.parametrize("name", METHODS.names())
def test_entry_is_documented(name):
    entry = METHODS.get(name)
    assert entry.family in FAMILIES
    assert entry.title and entry.summary.endswith(".") and entry.paper and entry.formula and entry.needs
    for field in dataclasses.fields(entry.config):
        assert field.metadata["help"]
    named = any(name in path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert named, f"no test names {name}"


@pytest.mark.parametrize(
    "name",
    [
        "bct", "bct-sys", "bct-kd", "unibct", "lce", "hot-refresh", "advbct", "bt2", "d-simplex", "lce-transformed",
        "fct", "fastfill", "lce-cross",
    ],
)  # fmt: skip
def test_compatible_methods_beat_the_naive_swap(name, fitted):
    classes = 3 if name == "bct" else CLASSES  # β says nothing about the classes that the old model does not know
    assert cross_map(fitted(name), classes) > cross_map(fitted("independent"), classes) + 0.1


@pytest.mark.parametrize("name", ["l2", "lwf"])
def test_baselines_pull_the_new_space_towards_the_old(name, fitted, context):
    """They need not reach compatibility; their own objective must fall against the unconstrained model's."""
    images, cpu = context.train_images.images, torch.device("cpu")
    old = context.old_emb()
    free, pulled = embed(context.paragon.embedder, images, cpu), embed(fitted(name).new, images, cpu)
    if name == "l2":
        seen = context.old_indices
        assert (pulled - old)[seen].square().sum(1).mean() < 0.5 * (free - old)[seen].square().sum(1).mean()
    else:
        from compat_core.methods.distillation import distillation

        unseen = context.train_images.labels >= 3
        losses = [distillation(context.old.head, emb[unseen], old[unseen], 2.0) for emb in (pulled, free)]
        assert losses[0] < 0.5 * losses[1]


@pytest.mark.parametrize("name", METHODS.names())
def test_saved_and_loaded_upgrade_gives_the_same_vectors(name, fitted, world, tmp_path):
    upgrade, files, spec, context = fitted(name), Artefacts(tmp_path), Spec(name), world(name)
    files.save_version(0, "old", context.old)
    files.save_version(0, "paragon", context.paragon)
    assert files.load_upgrade(0, name) is None
    files.save_upgrade(0, spec, upgrade, context.paragon)
    loaded = files.load_upgrade(0, name)
    images, cpu = stripes(seed=3, per_class=2).images, torch.device("cpu")
    with torch.no_grad():
        for one in ("old", "new", "side"):
            if getattr(upgrade, one) is not None:
                before, after = (embed(getattr(u, one), images, cpu) for u in (upgrade, loaded))
                assert torch.equal(before, after)
        old_emb = embed(upgrade.old, images, cpu)
        side = embed(upgrade.side, images, cpu) if upgrade.side is not None else None
        assert torch.equal(upgrade.gallery_old(old_emb, side), loaded.gallery_old(old_emb, side))
        new_emb = embed(upgrade.new, images, cpu)
        assert torch.equal(upgrade.query(new_emb), loaded.query(new_emb))


@pytest.mark.parametrize("name", METHODS.names())
@torch.no_grad()
def test_queries_and_both_kinds_of_rows_live_in_one_space(name, fitted):
    """A half-backfilled gallery is one matrix."""
    upgrade, images, cpu = fitted(name), stripes(seed=3, per_class=2).images, torch.device("cpu")
    side = embed(upgrade.side, images, cpu) if upgrade.side is not None else None
    new_emb = embed(upgrade.new, images, cpu)
    old_rows = upgrade.gallery_old(embed(upgrade.old, images, cpu), side)
    assert upgrade.query(new_emb).shape == upgrade.gallery_new(new_emb).shape == old_rows.shape
    assert torch.isfinite(old_rows).all()


def test_fct_leaves_the_new_model_untouched(fitted, context):
    assert fitted("fct").new is context.paragon.embedder
    assert fitted("fct").maps_old
    assert not fitted("bct").maps_old


@pytest.mark.parametrize("side", ["none", "autoencoder", "alternate"])
def test_fct_with_other_side_information(side, context, fitted):
    config = METHODS.get("fct").configure(Spec("fct", QUICK["fct"] | {"side": side}))
    upgrade = METHODS.get("fct").fit(context, config)
    assert (upgrade.side is None) == (side == "none")
    assert cross_map(upgrade.eval()) > cross_map(fitted("independent")) + 0.1


@pytest.mark.parametrize("side", ["autoencoder", "simclr", "alternate"])
def test_side_information_may_come_from_another_backbone(side, context):
    config = METHODS.get("fct").configure(Spec("fct", QUICK["fct"] | {"side": side, "side_arch": "resnet18"}))
    with pytest.raises(CompatError, match="resnet18"):  # which does not take images as small as these
        METHODS.get("fct").fit(context, config)


def test_side_encoders_and_stored_views_are_made_once_for_all_methods_of_a_seed(monkeypatch):
    trained = []
    monkeypatch.setattr(fct, "train_side", lambda *given: trained.append(given[1]) or train_side(*given))
    shared, alone = make_context(), make_context()
    quick = QUICK["fct"] | {"epochs": 2, "side_epochs": 1, "views": 1}
    first, second, third = (
        METHODS.get(name).fit(context, METHODS.get(name).configure(Spec(name, quick | more)))
        for context, name, more in (
            (shared, "fct", {}),
            (shared, "fastfill", {}),
            (alone, "fastfill", {}),
        )
    )
    assert trained == ["simclr", "simclr"] and first.parts["side"] is second.parts["side"]
    for one, other in zip(second.parts["map"].parameters(), third.parts["map"].parameters(), strict=True):
        assert torch.equal(one, other)
    METHODS.get("fct").fit(shared, METHODS.get("fct").configure(Spec("fct", quick | {"side_dim": 4})))
    assert len(trained) == 3


def test_published_parameter_count_of_h():
    h = FctTransformation(128, 128, 128, 2048)
    assert sum(parameter.numel() for parameter in h.parameters()) == 5_712_000
    h_sigma = UncertainTransformation(128, 128, 128, 2048)
    assert sum(parameter.numel() for parameter in h_sigma.parameters()) == 5_712_129


def test_h_keeps_its_batch_norm_statistics_in_the_second_half():
    from compat_core.methods.fct import MapTraining

    h = FctTransformation(4, 4, 4, 8)
    views = torch.zeros(1, 8, 4)
    training = MapTraining(h, views, views, views, bn_eval_at=0.5)
    for epoch, frozen in ((0, False), (4, False), (5, True), (9, True)):
        h.train()
        training.start_epoch(epoch, 10, [])
        layers = [layer for layer in h.modules() if isinstance(layer, torch.nn.BatchNorm1d)]
        assert all(layer.training != frozen for layer in layers)


@pytest.mark.parametrize(("old_dim", "new_dim"), [(16, 24), (24, 16)])
def test_dimension_change(old_dim, new_dim):
    context = make_context(old_dim, new_dim)
    upgrade = METHODS.get("bct-sys").fit(context, METHODS.get("bct-sys").configure(Spec("bct-sys")))
    assert cross_map(upgrade.eval()) > cross_map(Upgrade(context.old.embedder, context.paragon.embedder)) + 0.1
    with pytest.raises(CompatError, match="equal dimensions"):
        METHODS.get("l2").fit(context, METHODS.get("l2").configure(Spec("l2")))


def test_padding_ranks_old_rows_as_cutting_does():
    query, gallery = torch.randn(5, 8), torch.randn(20, 6)
    cut = match_dim(query, 6) @ gallery.T
    padded = query @ match_dim(gallery, 8).T
    assert torch.equal(cut.argsort(1), padded.argsort(1))


def test_frozen_old_model_is_not_changed_by_training(context):
    before = {name: tensor.clone() for name, tensor in context.old.embedder.state_dict().items()}
    METHODS.get("l2").fit(context, METHODS.get("l2").configure(Spec("l2")))
    for name, tensor in context.old.embedder.state_dict().items():
        assert torch.equal(before[name], tensor), name


def test_public_face():
    assert available() == METHODS.names()
    assert get("bct").name == "bct"
    with pytest.raises(CompatError, match="did you mean 'bct-sys'"):
        get("bct-sis")
    with pytest.raises(CompatError, match="weight"):
        get("bct").configure(Spec("bct", {"wieght": 2}))


def test_softmax_old_head_works_too(context):
    """κ_sys of an un-normalised loss keeps the old biases and starts new rows without one."""
    head = build_loss(Spec("softmax"), 16, 3)
    torch.nn.init.ones_(head.bias)
    rows = torch.cat([head.weight, torch.randn(2, 16)])
    assert head.with_rows(rows).bias.tolist() == [1, 1, 1, 0, 0]
    rows[1] += 1  # synthesised too: the old row's bias is none of its own
    assert head.with_rows(rows).bias.tolist() == [1, 0, 1, 0, 0]


@pytest.mark.parametrize(("manner", "dims"), [("forward", (16, 24)), ("backward", (16, 24)), ("backward", (24, 16))])
def test_lce_transformed_handles_a_dimension_change_both_ways(manner, dims):
    context = make_context(*dims)
    entry = METHODS.get("lce-transformed")
    upgrade = entry.fit(context, entry.configure(Spec("lce-transformed", {"manner": manner}))).eval()
    assert upgrade.maps_old == (manner == "forward")
    assert cross_map(upgrade) > cross_map(Upgrade(context.old.embedder, context.paragon.embedder)) + 0.1


@torch.no_grad()
def test_fastfill_is_least_sure_of_the_rows_it_maps_worst(fitted):
    upgrade, images, cpu = fitted("fastfill"), stripes(seed=9, per_class=12).images, torch.device("cpu")
    old, new = embed(upgrade.old, images, cpu), embed(upgrade.new, images, cpu)
    side = embed(upgrade.side, images, cpu)
    sure = upgrade.uncertainty(old, side)
    error = 1 - F.cosine_similarity(upgrade.gallery_old(old, side), new)  # toys are searched by cosine
    half = len(images) // 2
    order = sure.argsort(descending=True)
    assert error[order[:half]].mean() > error[order[half:]].mean()


class _Wrong(Upgrade):
    """An Upgrade with one thing wrong with it."""

    broken = ""

    def query(self, new_emb):
        return new_emb[:, 0] if self.broken == "query" else super().query(new_emb)

    def gallery_old(self, old_emb, side=None):
        rows = super().gallery_old(old_emb)
        wrong = {"shape": rows[:, :-1], "nan": rows * torch.nan, "rows": rows[:1], "none": None}
        return (wrong | {"beside": rows - rows.mean(dim=0)}).get(self.broken, rows)

    def uncertainty(self, old_emb, side=None):
        return torch.zeros(1, 1) if self.broken == "unsure" else None


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("query", r"method mine, query: got \(4,\); must map 4 rows"),
        ("shape", r"gallery_old: got \(4, 15\); must map 4 rows to \(4, 16\)"),
        ("rows", r"gallery_old: got \(1, 16\)"),
        ("none", "gallery_old: got 'NoneType'"),
        ("nan", "gallery_old: gives NaN or infinity"),
        ("beside", "gallery_old: maps a row to another vector when other rows are mapped beside it"),
        ("part", "got 'Linear'; part 'extra' is no SavedModule with a kind"),
        ("unsure", r"uncertainty: got \(1, 1\); must be \(4,\)"),
        ("class", "fit returns another Upgrade than its saved parts would make again, Upgrade"),
        ("type", "got 'int'; fit must return an Upgrade"),
    ],
)
def test_what_a_fit_must_not_return_is_refused_by_the_method_s_name(broken, message, context):
    made = type("Made", (_Wrong,), {"broken": broken})
    mine = dataclasses.replace(METHODS.get("independent"), name="mine", upgrade=Upgrade if broken == "class" else made)
    parts = {"extra": nn.Linear(2, 2)} if broken == "part" else {}
    upgrade = 3 if broken == "type" else made(context.old.embedder, context.paragon.embedder, **parts)
    with pytest.raises(CompatError, match=message):
        mine.check(upgrade, context.train_images.images[:4])


@pytest.mark.parametrize(("model", "part"), [("old", "embedder"), ("paragon", "head")])
def test_a_fit_must_not_change_the_models_that_all_methods_share(model, part, context):
    def fit(context, config):
        with torch.no_grad():
            next(getattr(shared, part).parameters()).mul_(0.99)
        return Upgrade(context.old.embedder, context.paragon.embedder)

    shared = copy.deepcopy(getattr(context, model))
    mine = dataclasses.replace(METHODS.get("independent"), name="mine", fit=fit)
    with pytest.raises(CompatError, match=f"method mine: fit changed the weights of the {model}"):
        mine.fitted(dataclasses.replace(context, **{model: shared}), Spec("mine"))


class _Pull(Term):
    """A term that returns what it was told to."""

    def __init__(self, found):
        super().__init__()
        self.found = found

    def forward(self, batch):
        return self.found(batch.emb.mean())


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (lambda one: {"total": one}, "got 'total'; is the name of another part"),
        (lambda one: {"classification": one}, "got 'classification'; is the name of another part"),
        (lambda one: one, "got 'Tensor'; must return {name: scalar tensor}"),
        (lambda one: {"pull": one[None]}, r"got \(1,\); pull must be a scalar tensor"),
        (lambda one: {"pull": 0.5}, "got 'float'; pull must be a scalar tensor"),
    ],
    ids=["total", "classification", "tensor", "vector", "float"],
)
def test_what_a_term_must_not_return_is_refused_by_its_name(found, message, context):
    with pytest.raises(CompatError, match=f"term _Pull: {message}"):
        context.train_new(_Pull(found))
