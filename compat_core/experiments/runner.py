"""One experiment from configuration to results: what cannot work is refused, the rest is trained and evaluated."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from compat_core.data import Dataset, dataset_entry, load_dataset, old_subset
from compat_core.data.distant import DistantPixels, placed
from compat_core.data.images import ImageSet
from compat_core.device import DeviceChoice, cpu_threads, for_small_images
from compat_core.errors import CompatError
from compat_core.experiments.chain import chain_seed
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.estimate import Size, memory_of_run, works
from compat_core.experiments.evaluation import SeedResults
from compat_core.experiments.files import write_json
from compat_core.experiments.results import RESULTS_FILE
from compat_core.experiments.run import Run
from compat_core.experiments.stages import Stages
from compat_core.experiments.store import RunStore
from compat_core.experiments.tracker import NullTracker, RunTracker, Tracker
from compat_core.experiments.two_versions import two_version_seed
from compat_core.losses import LOSSES, build_loss
from compat_core.methods import METHODS, Upgrade
from compat_core.methods.base import Setting
from compat_core.metrics import FEWEST, check_metrics
from compat_core.models import BACKBONES, check_image_size


def check_names(config: ExperimentConfig) -> None:
    """Refuse unknown data sets, methods, losses, backbones and parameters, versions that a method cannot serve, and
    images set to a size below a backbone's smallest, before anything is trained. Nothing is looked for on disk.

    Raises:
        CompatError: naming what is unknown, and the nearest known name, or the method, or the backbone.
    """
    for written in filter(None, (config.data.dataset, config.data.eval_dataset)):
        dataset_entry(written)
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
    started = time.monotonic()
    config, tracker = run.config, tracker or NullTracker()
    check_names(config)
    stages = Stages(run, tracker)
    tracker.start(str(stages.choice.device), stages.choice.reason)
    repeatable(stages.choice)
    check_metrics()
    stages.begin("load images")
    dataset, train_images = _images(stages)
    tracker.expect(works(config, len(dataset.train), len(dataset.test)))
    check_classifiers(config, train_images.labels.cpu())
    _tell_of_memory(stages, Size(len(dataset.train), len(dataset.test), train_images.channels, train_images.size))
    stages.choice = for_small_images(stages.choice, train_images.size, config.precision)
    one_seed = chain_seed if config.scenario.chain else two_version_seed
    with cpu_threads(stages.choice.device, train_images.size) as threads:
        if stages.choice.device.type == "cpu":
            precision = "float32" if stages.choice.autocast is None else "bfloat16 autocast"
            tracker.log(f"CPU threads: {threads}, {precision} (images of {train_images.size} px)")
            tracker.computes_with(threads, precision)
        found = [one_seed(stages, seed, dataset, train_images) for seed in config.seeds]
    if found[0].num_queries < FEWEST:
        tracker.log(
            f"note: too few queries for an interval or a verdict: {found[0].num_queries}, {FEWEST} at the least"
        )
    results = _results(run, dataset, found) | {
        "elapsed_s": round(time.monotonic() - started, 3),
        "stages": tracker.stage_seconds(),
    }
    write_json(run.path / RESULTS_FILE, results)
    return results


def _tell_of_memory(stages: Stages, size: Size) -> None:
    memory = memory_of_run(stages.config, size, stages.choice)
    if memory.lack:
        stages.tracker.log(
            f"note: about {memory} of memory are needed, and there are {memory.lack}: if it ends for that, take a "
            "smaller batch or backbone"
        )


def repeatable(choice: DeviceChoice) -> None:
    """Have a GPU compute the same numbers for the same seed, and float32 where float32 was asked for."""
    if choice.device.type != "cuda":
        return
    cudnn: Any = torch.backends.cudnn
    cudnn.deterministic, cudnn.benchmark = True, False
    if choice.autocast is None:  # not TF32, which is torch's default
        cudnn.conv.fp32_precision = "ieee"


def check_classifiers(config: ExperimentConfig, labels: torch.Tensor) -> None:
    """Refuse a loss that cannot serve as many classes as there are, before the first model is trained.

    Args:
        config: what is run.
        labels: of the new model's training images ``(N,)``.

    Raises:
        CompatError: by the loss.
    """
    seen = labels if config.scenario.chain else labels[old_subset(labels, config.scenario, 0)]
    for version, classes in ((config.old, seen.unique()), (config.new, labels.unique())):
        with torch.device("meta"):  # nothing is allocated
            build_loss(version.loss, version.dim, len(classes))


def _images(stages: Stages) -> tuple[Dataset, ImageSet]:
    """The data set, and its training images on the device."""
    tracker, files, data = stages.tracker, stages.files, stages.config.data

    def loaded(done: int, total: int) -> None:
        tracker.progress(done / max(total, 1))
        tracker.check_cancelled()

    dataset = files.keep_unreadable(load_dataset(data, progress=loaded))
    for note in dataset.notes:
        tracker.log(f"note: {note}")
    files.save_gallery(dataset.test, data.dataset)
    train_images = compact(dataset.train, stages.choice.device)
    if isinstance(train_images.images, DistantPixels):
        size = f"{train_images.images.nbytes / 2**30:.1f} GiB"
        tracker.log(f"note: training images of {size} do not fit {stages.choice.device}: read batch by batch")
    return dataset, train_images


def _results(run: Run, dataset: Dataset, found: Sequence[SeedResults]) -> dict[str, Any]:
    """All seeds' results as one."""
    merged: dict[str, list[dict[str, Any]]] = {
        key: [entry for one in found for entry in getattr(one, key)]
        for key in ("rows", "verdicts", "curves", "per_class", "backfill", "chain", "protocols", "subgroups")
    }
    named = {"run": run.id, "dataset": dataset.name}
    merged["rows"] = [named | row for row in merged["rows"]]
    first = found[0]
    return {
        "schema_version": 1,
        **named,
        "distance": run.config.distance,
        "num_queries": first.num_queries,
        "num_skipped": first.num_skipped,
        "chance": first.chance,
        "metric_versions": first.metric_versions,
        "dataset_card": dataset.card(),
        **merged,
    }


def compact(images: ImageSet, device: torch.device) -> ImageSet:
    """``images`` on ``device`` with labels renumbered to the classes that occur, in sorted order."""
    classes, labels = np.unique(images.labels.numpy(), return_inverse=True)
    return dataclasses.replace(
        images,
        images=placed(images.images, device),
        labels=torch.as_tensor(labels, device=device),
        class_names=tuple(images.class_names[index] for index in classes),
    )
