"""One experiment from configuration to results: train what is missing, embed, evaluate, write.

Every stage leaves an artefact that is complete or absent, so a run can be killed at any moment and executed again:
finished stages are loaded, the interrupted one continues from its checkpoint, and the numbers are the same.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch

from compat_core.data import Dataset, load_dataset, old_subset
from compat_core.data.distant import DistantPixels, placed
from compat_core.data.images import ImageSet
from compat_core.device import DeviceChoice, cpu_threads, for_small_images, pick_device
from compat_core.errors import CompatError
from compat_core.experiments.artefacts import Artefacts, write_array
from compat_core.experiments.chain import chain_seed
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.estimate import works
from compat_core.experiments.evaluation import SeedEvaluation, SeedResults
from compat_core.experiments.exposure import exposure_groups
from compat_core.experiments.files import write_json
from compat_core.experiments.results import RESULTS_FILE
from compat_core.experiments.run import Run
from compat_core.experiments.store import RunStore
from compat_core.experiments.tracker import NullTracker, RunTracker, Tracker
from compat_core.experiments.watch import Watch
from compat_core.losses import LOSSES, build_loss
from compat_core.methods import METHODS, Context, TrainedModel, Upgrade, train_version
from compat_core.methods.base import Setting
from compat_core.metrics import check_metrics
from compat_core.models import BACKBONES, check_image_size
from compat_core.spec import Spec
from compat_core.training.config import VersionConfig
from compat_core.training.embedding import embed
from compat_core.training.loop import Job

LOOKED_AT = 2  # images that a method's maps are tried on; a run has at least as many
Loaded = TypeVar("Loaded")


def check_names(config: ExperimentConfig) -> None:
    """Refuse unknown methods, losses, backbones and parameters, versions that a method cannot serve, and images set to
    a size below a backbone's smallest, before anything is trained.

    Raises:
        CompatError: naming what is unknown, and the nearest known name, or the method, or the backbone.
    """
    setting = Setting(config.old, config.new, config.distance)
    for spec in config.methods:
        method = METHODS.get(spec.name)
        own = method.configure(spec)
        if config.scenario.chain and method.upgrade is not Upgrade:
            raise CompatError(
                "scenario.chain",
                value=spec.label,
                rule="a chain needs methods that leave old vectors as they are",
                fix="leave it out, or use bct, bct-sys, lce …",
            )
        try:
            method.accepts(setting, own)
        except CompatError as error:
            raise CompatError(f"method {spec.label}", rule=str(error)) from None
    for version in (config.old, config.new):
        BACKBONES.get(version.arch)
        if config.data.image_size:  # 0: the data set's own, known once it is loaded
            check_image_size(version.arch, config.data.image_size)
        LOSSES.get(version.loss.name).configure(version.loss)


def run_experiment(
    config: ExperimentConfig,
    store: RunStore | None = None,
    echo: Callable[[str], None] | None = None,
    resume: Run | None = None,
) -> Run:
    """Run ``config`` in this process and return its run folder.

    Args:
        config: what to run.
        store: where the run folder is made; None: the default store.
        echo: called with every log line.
        resume: an unfinished run to continue; ``config`` is then that run's own.

    Raises:
        CompatError: bad input; the run is marked failed.
        Cancelled: the user stopped it.
    """
    check_names(config)
    run = resume or (store or RunStore()).create(config)
    with RunTracker(run, echo) as tracker:
        if resume is not None:
            run.clear_cancel()  # what ended it before
        execute(run, tracker)
        tracker.finish()
    return run


def execute(run: Run, tracker: Tracker | None = None) -> dict[str, Any]:
    """Do all the work of ``run`` that is not done yet and write ``results.json``.

    Returns:
        the results as written.
    """
    return Execution(run, tracker or NullTracker()).execute()


class Execution:
    """The state of one execution: configuration, device, data, and what was trained so far."""

    def __init__(self, run: Run, tracker: Tracker) -> None:
        self.run, self.tracker = run, tracker
        self.config = run.config
        check_names(self.config)
        self.files = Artefacts(run.path)
        self.choice: DeviceChoice = pick_device(self.config.device, self.config.precision)
        steps = max(1, len(self.config.scenario.chain) - 1)
        self.stages_total = 1 + len(self.config.seeds) * (2 + steps * (1 + len(self.config.methods)))
        self.stage_index = 0

    def execute(self) -> dict[str, Any]:
        started = time.monotonic()
        self.tracker.start(str(self.choice.device), self.choice.reason)
        if self.choice.device.type == "cuda":  # the same seed must give the same numbers twice
            cudnn: Any = torch.backends.cudnn
            cudnn.deterministic, cudnn.benchmark = True, False
            if self.choice.autocast is None:  # float32 was asked for: not TF32, which is torch's default
                cudnn.conv.fp32_precision = "ieee"
        check_metrics()
        self.stage("load images")
        dataset = self.files.keep_unreadable(load_dataset(self.config.data, progress=self._loaded))
        for note in dataset.notes:
            self.tracker.log(f"note: {note}")
        self.files.save_gallery(dataset.test, self.config.data.dataset)
        self.tracker.expect(works(self.config, len(dataset.train), len(dataset.test)))
        train_images = compact(dataset.train, self.choice.device)
        if isinstance(train_images.images, DistantPixels):
            size = f"{train_images.images.nbytes / 2**30:.1f} GiB"
            self.tracker.log(f"note: training images of {size} do not fit {self.choice.device}: read batch by batch")
        self.check_classifiers(train_images.labels.cpu())
        self.choice = for_small_images(self.choice, train_images.size, self.config.precision)
        with cpu_threads(self.choice.device, train_images.size) as threads:
            if self.choice.device.type == "cpu":
                precision = "float32" if self.choice.autocast is None else "bfloat16 autocast"
                self.tracker.log(f"CPU threads: {threads}, {precision} (images of {train_images.size} px)")
                self.tracker.computes_with(threads, precision)
            one_seed = functools.partial(chain_seed, self) if self.config.scenario.chain else self._seed
            evaluations = [one_seed(seed, dataset, train_images) for seed in self.config.seeds]
        results = self._results(dataset, evaluations, time.monotonic() - started)
        write_json(self.run.path / RESULTS_FILE, results)
        return results

    def check_classifiers(self, labels: torch.Tensor) -> None:
        """Refuse a loss that cannot serve as many classes as there are, before the first model is trained."""
        scenario = self.config.scenario
        seen = labels if scenario.chain else labels[old_subset(labels, scenario, 0)]
        for version, classes in ((self.config.old, seen.unique()), (self.config.new, labels.unique())):
            with torch.device("meta"):  # nothing is allocated
                build_loss(version.loss, version.dim, len(classes))

    def stage(self, name: str) -> None:
        """Begin the next stage."""
        self.tracker.check_cancelled()
        self.tracker.stage(name, self.stage_index, self.stages_total)
        self.stage_index += 1

    def _loaded(self, done: int, total: int) -> None:
        self.tracker.progress(done / max(total, 1))
        self.tracker.check_cancelled()

    def job(self, seed: int, label: str) -> Job:
        """Name, device, reporter and checkpoint of a stage."""
        return Job(f"seed {seed}: {label}", seed, self.choice, self.tracker, self.files.checkpoint(seed, label))

    # -- one seed ------------------------------------------------------------------------------------------------

    def _seed(self, seed: int, dataset: Dataset, train_images: ImageSet) -> SeedResults:
        augment = dataset.augment
        chosen = old_subset(train_images.labels.cpu(), self.config.scenario, seed)
        old_indices = torch.as_tensor(chosen, device=self.choice.device)
        old = self.version(seed, "old", self.config.old, train_images.subset(old_indices), augment, "old")
        paragon = self.version(seed, "paragon", self.config.new, train_images, augment, "new")
        context = Context(
            seed=seed,
            train_images=train_images,
            augment=augment,
            old_indices=old_indices,
            old=old,
            paragon=paragon,
            new_config=self.config.new,
            old_config=self.config.old,
            job=self.job(seed, "shared"),
            cache={},
            distance=self.config.distance,
            watch=Watch(train_images, self.choice.device, self.config.distance, seed).method,
        )
        upgrades = {spec.label: self.upgrade(context, spec) for spec in self.config.methods}
        self.stage(f"seed {seed}: evaluation")
        groups = exposure_groups(train_images, chosen, dataset.test)
        return self._evaluate(seed, dataset, upgrades, paragon, groups)

    def version(
        self, seed: int, label: str, config: VersionConfig, images: ImageSet, augment: str, role: str
    ) -> TrainedModel:
        """The model version ``label``, frozen: loaded where it is finished, else trained."""
        self.stage(f"seed {seed}: {label}")
        saved = self.finished(label, lambda: self.files.load_version(seed, label, config.loss, self.choice.device))
        if saved is not None:
            return frozen(saved)
        job = self.job(seed, label)
        watch = Watch(images, self.choice.device, self.config.distance, seed)
        model = train_version(config, images, augment, role, job, watch=functools.partial(watch.alone, role=role))
        self.files.save_version(seed, label, model)
        self.forget_checkpoints(seed, label)
        return frozen(model)

    def upgrade(self, context: Context, spec: Spec) -> Upgrade:
        """The method's upgrade: loaded where it is finished, else fitted."""
        seed, device = context.seed, self.choice.device
        self.stage(f"seed {seed}: {spec.label}")
        upgrade = self.finished(spec.label, lambda: self.files.load_upgrade(seed, spec.label, device))
        if upgrade is None:
            method = METHODS.get(spec.name)
            context.job = self.job(seed, spec.label)
            upgrade = method.fit(context, method.configure(spec))
            if isinstance(upgrade, torch.nn.Module):
                upgrade = upgrade.to(device).eval()
            method.check(upgrade, context.train_images.images[torch.arange(LOOKED_AT, device=device)])
            self.files.save_upgrade(seed, spec, upgrade, context.paragon)
            self.forget_checkpoints(seed, spec.label)
        return upgrade

    def chained(self, context: Context, spec: Spec, label: str) -> TrainedModel:
        """A method's new version in a chain, with the classifier that the next version needs."""
        self.stage(f"seed {context.seed}: {label}")
        loss, device = self.config.new.loss, self.choice.device
        saved = self.finished(label, lambda: self.files.load_version(context.seed, label, loss, device))
        if saved is not None:
            return frozen(saved)
        method = METHODS.get(spec.name)
        context.trained = context.paragon  # what a method that trains nothing leaves in place
        method.fit(context, method.configure(spec))
        self.files.save_version(context.seed, label, context.trained)
        self.forget_checkpoints(context.seed, label)
        return frozen(context.trained)

    def finished(self, label: str, load: Callable[[], Loaded | None]) -> Loaded | None:
        """What ``load`` reads of a finished stage; None where the stage has to be done (again)."""
        try:
            return load()
        except CompatError as error:  # a machine lost power while it wrote
            self.tracker.log(f"{label} is made anew: {error}")
            return None

    def forget_checkpoints(self, seed: int, label: str) -> None:
        """A finished stage is loaded from its model; its checkpoints (and those of its sub-steps) only take space."""
        file = self.files.checkpoint(seed, label)
        for path in [file, *file.parent.glob(f"{file.stem}@*")]:
            path.unlink(missing_ok=True)

    def _evaluate(
        self,
        seed: int,
        dataset: Dataset,
        upgrades: dict[str, Upgrade],
        paragon: TrainedModel,
        groups: np.ndarray | None,
    ) -> SeedEvaluation:
        images, device = dataset.test.images, self.choice.device
        first = next(iter(upgrades.values()))
        old_emb = embed(first.old, images, device)
        paragon_emb = embed(paragon.embedder, images, device)
        evaluation = SeedEvaluation(seed, dataset.test, self.config, device, old_emb, paragon_emb, self.files, groups)
        self.keep(seed, "old", {"old": old_emb})
        self.keep(seed, "paragon", {"new": paragon_emb})
        for done, (label, upgrade) in enumerate(upgrades.items()):
            new_emb = embed(upgrade.new, images, device)
            side = embed(upgrade.side, images, device) if upgrade.side is not None else None
            with torch.no_grad():
                vectors = {
                    "query": upgrade.query(new_emb),
                    "gallery_new": upgrade.gallery_new(new_emb),
                    "gallery_old": upgrade.gallery_old(old_emb, side),
                }
                unsure = upgrade.uncertainty(old_emb, side)
            self.keep(seed, label, vectors | {"new": new_emb})
            row = evaluation.add(label, new_emb, **vectors, uncertainty=unsure)
            self.tracker.event("result", seed=seed, method=label, values=row)
            self.tracker.progress((done + 1) / len(upgrades))
            self.tracker.check_cancelled()
        return evaluation

    def keep(self, seed: int, label: str, arrays: dict[str, torch.Tensor]) -> None:
        """Store embedding matrices."""
        for kind, tensor in arrays.items():
            write_array(self.files.embedding_file(seed, label, kind), tensor.float().cpu().numpy())

    # -- all seeds -----------------------------------------------------------------------------------------------

    def _results(self, dataset: Dataset, evaluations: list[SeedResults], elapsed_s: float) -> dict[str, Any]:
        merged: dict[str, list[dict[str, Any]]] = {
            key: [entry for evaluation in evaluations for entry in getattr(evaluation, key)]
            for key in ("rows", "verdicts", "curves", "per_class", "backfill", "chain", "protocols", "subgroups")
        }
        named = {"run": self.run.id, "dataset": dataset.name}
        merged["rows"] = [named | row for row in merged["rows"]]
        first = evaluations[0]
        return {
            "schema_version": 1,
            **named,
            "distance": self.config.distance,
            "num_queries": first.num_queries,
            "num_skipped": first.num_skipped,
            "chance": first.chance,
            "metric_versions": first.metric_versions,
            "dataset_card": dataset.card(),
            "elapsed_s": round(elapsed_s, 3),
            "stages": self.tracker.stage_seconds(),
            **merged,
        }


def frozen(model: TrainedModel) -> TrainedModel:
    """``model`` with gradients switched off."""
    model.embedder.requires_grad_(False)
    model.head.requires_grad_(False)
    return model


def compact(images: ImageSet, device: torch.device) -> ImageSet:
    """``images`` on ``device`` with labels renumbered to the classes that occur, in sorted order."""
    classes, labels = np.unique(images.labels.numpy(), return_inverse=True)
    return dataclasses.replace(
        images,
        images=placed(images.images, device),
        labels=torch.as_tensor(labels, device=device),
        class_names=tuple(images.class_names[index] for index in classes),
    )
