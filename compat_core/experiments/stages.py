"""The stages of a run: each is loaded where it is finished, else done, and leaves an artefact that is whole or absent.

That is why a run can be killed at any moment and executed again: the interrupted stage continues from its checkpoint,
and the numbers are the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import torch

from compat_core.data.images import ImageSet
from compat_core.device import DeviceChoice, pick_device
from compat_core.errors import CompatError
from compat_core.experiments.artefacts import Artefacts, write_array
from compat_core.experiments.run import Run
from compat_core.experiments.tracker import Tracker
from compat_core.experiments.watch import Watch
from compat_core.methods import METHODS, Context, TrainedModel, Upgrade, train_version
from compat_core.spec import Spec
from compat_core.training.config import VersionConfig
from compat_core.training.loop import Job

Loaded = TypeVar("Loaded")


class Stages:
    """A run's configuration, device, files, and what one stage after another makes of them.

    Args:
        run: the run whose folder holds the artefacts.
        tracker: hears of every stage.

    Raises:
        CompatError: for a device or a precision that this machine lacks.
    """

    def __init__(self, run: Run, tracker: Tracker) -> None:
        self.tracker = tracker
        self.config = run.config
        self.files = Artefacts(run.path)
        self.choice: DeviceChoice = pick_device(self.config.device, self.config.precision)
        steps = max(1, len(self.config.scenario.chain) - 1)
        self.total = 1 + len(self.config.seeds) * (2 + steps * (1 + len(self.config.methods)))
        self.index = 0

    def begin(self, name: str) -> None:
        """Begin the next stage."""
        self.tracker.check_cancelled()
        self.tracker.stage(name, self.index, self.total)
        self.index += 1

    def job(self, seed: int, label: str) -> Job:
        """Name, device, reporter and checkpoint of a stage."""
        return Job(f"seed {seed}: {label}", seed, self.choice, self.tracker, self.files.checkpoint(seed, label))

    def version(
        self, seed: int, label: str, config: VersionConfig, images: ImageSet, augment: str, role: str
    ) -> TrainedModel:
        """The model version ``label``, frozen: loaded where it is finished, else trained."""
        self.begin(f"seed {seed}: {label}")
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
        seed = context.seed
        self.begin(f"seed {seed}: {spec.label}")
        upgrade = self.finished(spec.label, lambda: self.files.load_upgrade(seed, spec.label, self.choice.device))
        if upgrade is None:
            context.job = self.job(seed, spec.label)
            upgrade = METHODS.get(spec.name).fitted(context, spec)
            self.files.save_upgrade(seed, spec, upgrade, context.paragon)
            self.forget_checkpoints(seed, spec.label)
        return upgrade

    def chained(self, context: Context, spec: Spec, label: str) -> TrainedModel:
        """A method's new version in a chain, with the classifier that the next version needs.

        Raises:
            CompatError: as :meth:`~compat_core.methods.Method.fitted`, and for a new model without a known classifier.
        """
        self.begin(f"seed {context.seed}: {label}")
        loss, device = self.config.new.loss, self.choice.device
        saved = self.finished(label, lambda: self.files.load_version(context.seed, label, loss, device))
        if saved is not None:
            return frozen(saved)
        new = METHODS.get(spec.name).fitted(context, spec).new
        known = [model for model in (context.trained, context.paragon) if model and model.embedder is new]
        if not known:
            rule = "a chain needs the classifier of every version, and that of its new model is not known"
            fix = "train with context.train_new, or set context.trained to the TrainedModel"
            raise CompatError(f"method {spec.name}", rule=rule, fix=fix)
        self.files.save_version(context.seed, label, known[0])
        self.forget_checkpoints(context.seed, label)
        return frozen(known[0])

    def keep(self, seed: int, label: str, arrays: dict[str, torch.Tensor]) -> None:
        """Store embedding matrices."""
        for kind, tensor in arrays.items():
            write_array(self.files.embedding_file(seed, label, kind), tensor.float().cpu().numpy())

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


def frozen(model: TrainedModel) -> TrainedModel:
    """``model`` with gradients switched off."""
    model.embedder.requires_grad_(False)
    model.head.requires_grad_(False)
    return model
