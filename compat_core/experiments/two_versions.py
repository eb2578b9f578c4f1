"""An old model and a new one: every method's upgrade between them, fitted and evaluated for one seed."""

from __future__ import annotations

import numpy as np
import torch

from compat_core.data import Dataset, old_subset
from compat_core.data.images import ImageSet
from compat_core.experiments.evaluation import SeedEvaluation
from compat_core.experiments.exposure import exposure_groups
from compat_core.experiments.stages import Stages
from compat_core.experiments.watch import Watch
from compat_core.methods import Context, TrainedModel, Upgrade
from compat_core.training.embedding import embed


def two_version_seed(stages: Stages, seed: int, dataset: Dataset, train_images: ImageSet) -> SeedEvaluation:
    """Train old model and paragon, fit every method's upgrade, and evaluate all of them for one seed.

    Args:
        stages: the run's.
        seed: of the old model's share of the data, of every initialisation and of every order.
        dataset: its test images are what is searched.
        train_images: the new model's, on the device.
    """
    augment = dataset.augment
    chosen = old_subset(train_images.labels.cpu(), stages.config.scenario, seed)
    old_indices = torch.as_tensor(chosen, device=stages.choice.device)
    old = stages.version(seed, "old", stages.config.old, train_images.subset(old_indices), augment, "old")
    paragon = stages.version(seed, "paragon", stages.config.new, train_images, augment, "new")
    context = Context(
        seed=seed,
        train_images=train_images,
        augment=augment,
        old_indices=old_indices,
        old=old,
        paragon=paragon,
        new_config=stages.config.new,
        old_config=stages.config.old,
        job=stages.job(seed, "shared"),
        cache={},
        distance=stages.config.distance,
        watch=Watch(train_images, stages.choice.device, stages.config.distance, seed).method,
    )
    upgrades = {spec.label: stages.upgrade(context, spec) for spec in stages.config.methods}
    stages.begin(f"seed {seed}: evaluation")
    groups = exposure_groups(train_images, chosen, dataset.test)
    return _evaluate(stages, seed, dataset, upgrades, paragon, groups)


def _evaluate(
    stages: Stages,
    seed: int,
    dataset: Dataset,
    upgrades: dict[str, Upgrade],
    paragon: TrainedModel,
    groups: np.ndarray | None,
) -> SeedEvaluation:
    images, device = dataset.test.images, stages.choice.device
    first = next(iter(upgrades.values()))
    old_emb = embed(first.old, images, device)
    paragon_emb = embed(paragon.embedder, images, device)
    evaluation = SeedEvaluation(seed, dataset.test, stages.config, device, old_emb, paragon_emb, stages.files, groups)
    stages.keep(seed, "old", {"old": old_emb})
    stages.keep(seed, "paragon", {"new": paragon_emb})
    shared: dict[torch.nn.Module, torch.Tensor] = {paragon.embedder: paragon_emb}  # several methods' own, embedded once
    for done, (label, upgrade) in enumerate(upgrades.items()):
        new_emb = shared[upgrade.new] if upgrade.new in shared else embed(upgrade.new, images, device)
        if upgrade.side is not None and upgrade.side not in shared:
            shared[upgrade.side] = embed(upgrade.side, images, device)
        side = None if upgrade.side is None else shared[upgrade.side]
        with torch.no_grad():
            vectors = {
                "query": upgrade.query(new_emb),
                "gallery_new": upgrade.gallery_new(new_emb),
                "gallery_old": upgrade.gallery_old(old_emb, side),
            }
            unsure = upgrade.uncertainty(old_emb, side)
        stages.keep(seed, label, vectors | {"new": new_emb})
        row = evaluation.add(label, new_emb, **vectors, uncertainty=unsure)
        stages.tracker.event("result", seed=seed, method=label, values=row)
        stages.tracker.progress((done + 1) / len(upgrades))
        stages.tracker.check_cancelled()
    return evaluation
