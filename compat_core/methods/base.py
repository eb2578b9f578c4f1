"""What a method is given, and what it registers."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from compat_core.config import from_dict
from compat_core.data.images import ImageSet
from compat_core.errors import CompatError
from compat_core.losses import ClassificationLoss, build_loss
from compat_core.methods.upgrade import Upgrade
from compat_core.models.embedder import Embedder
from compat_core.models.saved import SavedModule
from compat_core.registry import Registry
from compat_core.spec import Spec
from compat_core.training.config import VersionConfig
from compat_core.training.embedding import EmbedderTraining, Term, embed
from compat_core.training.loop import Job, PartReporter, train
from compat_core.training.seeding import seeded

LOOKED_AT = 2  # images that a method's maps are tried on; a run has at least as many
SAME_ROW = 0.01  # of the largest component: far above rounding, TF32's included
FAMILIES = ("backward-compatible training", "forward transformation", "query adapter", "two spaces")


@dataclass(frozen=True, slots=True)
class NoConfig:
    """A method without parameters."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What an experiment would have a method serve: both versions, and how the shared space is searched."""

    old: VersionConfig
    new: VersionConfig
    distance: str = "cosine"


def any_setting(setting: Setting, config: Any) -> None:
    """Accepts whatever old and new version there are, and every distance."""


def equal_dimensions(setting: Setting, config: Any) -> None:
    """Accepts versions whose embeddings have the same dimension. Raises CompatError for others."""
    if setting.old.dim != setting.new.dim:
        raise CompatError(
            "dim",
            value=f"old {setting.old.dim}, new {setting.new.dim}",
            rule="needs equal dimensions",
            fix="give both models the same dim, or leave this method out",
        )


def only_cosine(setting: Setting, config: Any) -> None:
    """Accepts a search by cosine. Raises CompatError for a distance that sees lengths, which the method takes away."""
    if setting.distance != "cosine":
        raise CompatError(
            "distance",
            value=setting.distance,
            rule="compares directions only: under another distance its new model would be searched by a cosine, and "
            "the paragon beside it would not",
            fix="use distance cosine, or leave this method out",
        )


@dataclass(frozen=True, slots=True)
class Method:
    """Registry entry of an upgrade method.

    Attributes:
        name, title, summary: for people; the summary is one sentence.
        family: one of FAMILIES.
        paper: authors, year, arXiv id.
        formula: what it adds or learns, in LaTeX.
        config: its config dataclass; each field says unit, range, the paper's value and what it does.
        needs: what must be at hand (labels, the old classifier, images at update time, equal dimensions …).
        accepts: refuses, by a CompatError, what it cannot serve, before anything is trained:
            ``accepts(setting, config)`` with the method's own config.
        departs: where it departs from the paper, and why; empty when nowhere.
        fit: trains or fits it: ``fit(context, config) -> Upgrade``.
        upgrade: makes the Upgrade again from saved parts, called as ``upgrade(old=…, new=…, **parts)``.
    """

    name: str
    title: str
    family: str
    summary: str
    paper: str
    formula: str
    config: type
    needs: tuple[str, ...]
    departs: str
    fit: Callable[[Context, Any], Upgrade]
    upgrade: Callable[..., Upgrade] = Upgrade
    accepts: Callable[[Setting, Any], None] = any_setting

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise ValueError(f"method {self.name!r}: its family must be one of {', '.join(FAMILIES)}")

    def fitted(self, context: Context, spec: Spec) -> Upgrade:
        """Fit it as ``spec`` says: the Upgrade, on the device, in eval mode.

        Raises:
            CompatError: for a parameter that it does not have, for what :meth:`check` refuses, and when the fit changed
                the old model or the paragon: all methods of a seed share them, so that every row of the table, those
                of methods fitted before as well, would be about other models than it says.
        """
        shared = {"old model": context.old, "paragon": context.paragon}
        before = {name: model.fingerprint() for name, model in shared.items()}
        upgrade = self.fit(context, self.configure(spec))
        for name, model in shared.items():
            if model.fingerprint() != before[name]:
                rule = f"fit changed the weights of the {name}, which all methods share"
                raise CompatError(f"method {self.name}", rule=rule, fix="train a copy.deepcopy of it, in eval mode")
        if isinstance(upgrade, torch.nn.Module):
            upgrade = upgrade.to(context.device).eval()
        self.check(upgrade, context.train_images.images[torch.arange(LOOKED_AT, device=context.device)])
        return upgrade

    @torch.no_grad()
    def check(self, upgrade: Any, images: torch.Tensor) -> None:
        """Refuse what ``fit`` must not return, while it is clear whose it is.

        Args:
            upgrade: what it returned, on the device of ``images``.
            images: a few training images ``(B, C, S, S)`` uint8.

        Raises:
            CompatError: for anything but an Upgrade that its saved parts make again and that maps every row, whatever
                rows are mapped beside it, to finite vectors of one space.
        """
        what = f"method {self.name}"
        if not isinstance(upgrade, Upgrade):
            raise CompatError(what, value=type(upgrade).__name__, rule="fit must return an Upgrade")
        for name, part in upgrade.parts.items():
            if not (isinstance(part, SavedModule) and part.kind):
                rule = f"part {name!r} is no SavedModule with a kind, so it could not be loaded again"
                fix = 'write class …(SavedModule, kind="…") and set self.arguments'
                raise CompatError(what, value=type(part).__name__, rule=rule, fix=fix)
        again = self.upgrade(upgrade.old, upgrade.new, **dict(upgrade.parts.items()))
        if type(again) is not type(upgrade):
            rule = f"fit returns another Upgrade than its saved parts would make again, {type(again).__name__}"
            raise CompatError(what, value=type(upgrade).__name__, rule=rule, fix="register it with upgrade=…")
        old_emb, new_emb = (embed(net, images, images.device) for net in (upgrade.old, upgrade.new))
        side = None if upgrade.side is None else embed(upgrade.side, images, images.device)

        def mapped(count: int) -> dict[str, Any]:
            beside = None if side is None else side[:count]
            return {
                "query": upgrade.query(new_emb[:count]),
                "gallery_new": upgrade.gallery_new(new_emb[:count]),
                "gallery_old": upgrade.gallery_old(old_emb[:count], beside),
            }

        found = mapped(len(images))
        query = found["query"]
        dim = query.shape[1] if isinstance(query, torch.Tensor) and query.ndim == 2 else 0
        for name, rows in found.items():
            shape = tuple(rows.shape) if isinstance(rows, torch.Tensor) else type(rows).__name__
            if shape != (len(images), dim):
                rule = f"must map {len(images)} rows to ({len(images)}, {dim or 'D'}), the space of its queries"
                raise CompatError(f"{what}, {name}", value=shape, rule=rule)
            if not torch.isfinite(rows).all():
                raise CompatError(f"{what}, {name}", rule="gives NaN or infinity", fix="lower its learning rate")
        for name, row in mapped(1).items():
            if not torch.allclose(row, found[name][:1], rtol=0, atol=SAME_ROW * float(found[name].abs().max())):
                rule = "maps a row to another vector when other rows are mapped beside it"
                fix = "learn in fit what it needs of all rows, and store it as a part"
                raise CompatError(f"{what}, {name}", rule=rule, fix=fix)
        unsure = upgrade.uncertainty(old_emb, side)
        if unsure is not None and tuple(unsure.shape) != (len(images),):
            raise CompatError(f"{what}, uncertainty", value=tuple(unsure.shape), rule=f"must be ({len(images)},)")

    def configure(self, spec: Spec) -> Any:
        """The method's config for ``spec``. Raises CompatError for a parameter it does not have."""
        return from_dict(self.config, spec.params, f"method {self.name}")


METHODS: Registry[Method] = Registry("method")


@dataclass(slots=True)
class TrainedModel:
    """One model version: its embedder and the classifier head it was trained with.

    ``classes (K,)`` are the class indices (of the whole data set) that the head's rows stand for.
    """

    embedder: Embedder
    head: ClassificationLoss
    classes: torch.Tensor

    def fingerprint(self) -> str:
        """A digest of all weights and buffers: equal as long as nobody changes one."""
        digest = hashlib.blake2b()
        for module in (self.embedder, self.head):
            for tensor in module.state_dict().values():
                digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


@dataclass(slots=True)
class Context:
    """Everything a method may use, shared by all methods of one seed so that nothing is trained twice.

    Attributes:
        seed: the experiment's seed.
        train_images: the new model's training images, on the device.
        augment: kind of training augmentation.
        old_indices: positions in ``train_images`` that the old model saw ``(N_old,)``.
        old: the old model, frozen.
        paragon: the new model trained without any constraint: independent, and the ceiling.
        new_config: how new models are made.
        old_config: how the old model was made.
        job: device, reporter and checkpoint of the method's own stage.
        cache: what was computed for several methods.
        distance: how the shared space will be searched: ``cosine``, ``l2`` or ``dot``.
        role: names the random streams of new models; the paragon's.
        trained: the last new model that ``train_new`` made, with its classifier.
        watch: what to report of a new model while it is trained, of the method's Upgrade over it as it stands.
        encoders: side-information encoders that were trained for several methods, by what they are.
    """

    seed: int
    train_images: ImageSet
    augment: str
    old_indices: torch.Tensor
    old: TrainedModel
    paragon: TrainedModel
    new_config: VersionConfig
    old_config: VersionConfig
    job: Job
    cache: dict[str, torch.Tensor]
    distance: str = "cosine"
    role: str = "new"
    trained: TrainedModel | None = None
    watch: Callable[[Upgrade], Mapping[str, float]] | None = None
    encoders: dict[str, Embedder] = dataclasses.field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Where everything is computed."""
        return self.job.device.device

    @property
    def old_images(self) -> ImageSet:
        """The part of the training images that the old model saw."""
        return self.train_images.subset(self.old_indices)

    @property
    def setting(self) -> Setting:
        """What the method is to serve, as it was asked to accept."""
        return Setting(self.old_config, self.new_config, self.distance)

    def step(self, name: str, begin: float = 0.0, end: float = 1.0) -> Job:
        """The job of a named sub-step (``side``, ``map``) of the method's stage, with a checkpoint of its own.

        Its progress runs from ``begin`` to ``end`` of the stage's.
        """
        here = self.job.checkpoint
        file = None if here is None else here.with_name(f"{here.stem}@{name}{here.suffix}")
        reporter = PartReporter(self.job.reporter, begin, end)
        return Job(f"{self.job.name}/{name}", self.seed, self.job.device, reporter, file, stream=name)

    def old_emb(self) -> torch.Tensor:
        """The old model's embeddings of the whole new training set ``(N, D_old)``, computed once."""
        if "old" not in self.cache:
            self.cache["old"] = embed(self.old.embedder, self.train_images.images, self.device)
        return self.cache["old"]

    def old_centres(self) -> torch.Tensor:
        """Mean old embedding of every class over the new training set ``(K, D_old)``, un-normalised mean."""
        return class_means(self.old_emb(), self.train_images.labels, self.train_images.num_classes)

    def old_position(self) -> torch.Tensor:
        """For every class its row in the old classifier, or -1 where the old model never saw it ``(K,)``."""
        rows = torch.full((self.train_images.num_classes,), -1, device=self.device)
        rows[self.old.classes] = torch.arange(len(self.old.classes), device=self.device)
        return rows

    def train_new(
        self, term: Term | None = None, upgrade: Callable[[Embedder, Embedder], Upgrade] = Upgrade
    ) -> TrainedModel:
        """Train a new model with the method's ``term``.

        Initialisation, batches and augmentation are those of the paragon, so that a difference between the two is
        the term's doing and not the draw's.

        Args:
            term: the compatibility term.
            upgrade: makes the method's Upgrade of the old and the unfinished new embedder, to watch the training by.
        """

        def watched(embedder: Embedder) -> Mapping[str, float]:
            return self.watch(upgrade(self.old.embedder, embedder)) if self.watch else {}

        self.trained = train_version(
            self.new_config, self.train_images, self.augment, self.role, self.job, term, watched
        )
        return self.trained


def train_version(
    config: VersionConfig,
    images: ImageSet,
    augment: str,
    role: str,
    job: Job,
    term: Term | None = None,
    watch: Callable[[Embedder], Mapping[str, float]] | None = None,
) -> TrainedModel:
    """Train one model version on ``images`` (on the device).

    Args:
        config: architecture, loss and schedule.
        images: training images; classes without an image get no classifier row.
        augment: kind of augmentation.
        role: ``old`` or ``new``: names the random streams, so that two versions never share an initialisation while
            all new models of a seed do.
        job: seed, device, reporter, checkpoint.
        term: an added compatibility term.
        watch: what to report of the unfinished embedder after every epoch.
    """
    classes = images.labels.unique()  # sorted
    relabelled = ImageSet(
        images.images,
        torch.searchsorted(classes, images.labels),
        images.ids,
        tuple(images.class_names[index] for index in classes.tolist()),
    )
    with seeded(job.seed, role, "init"):
        embedder = Embedder(config.arch, config.dim, images.channels, images.size, config.pretrained, config.final_relu)
        head = build_loss(config.loss, config.dim, len(classes))
    training = EmbedderTraining(embedder, head, relabelled, augment, term)
    looked = functools.partial(watch, embedder) if watch else None
    train(training, config.train, dataclasses.replace(job, stream=role), looked)
    return TrainedModel(embedder.eval(), head.eval(), classes)


def class_means(emb: torch.Tensor, labels: torch.Tensor, num_classes: int, normalise: bool = False) -> torch.Tensor:
    """Mean embedding of each class; zero for a class without items.

    Args:
        emb: ``(N, D)``.
        labels: ``(N,)`` in [0, num_classes).
        normalise: normalise the items before, and the means after, averaging.

    Returns:
        ``(num_classes, D)``.
    """
    rows = F.normalize(emb) if normalise else emb
    # On the CPU, where sums run in order: a GPU would add in a different order every time.
    sums = torch.zeros(num_classes, emb.shape[1]).index_add_(0, labels.cpu(), rows.cpu()).to(emb.device)
    counts = torch.bincount(labels, minlength=num_classes).clamp_min(1)[:, None]
    means = sums / counts
    return F.normalize(means) if normalise else means
