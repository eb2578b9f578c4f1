"""A chain of versions v1 … vT: each compatible with the one before it alone, each searched in every earlier gallery."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from compat_core.data import Dataset, old_subset
from compat_core.data.config import ScenarioConfig
from compat_core.data.images import ImageSet
from compat_core.experiments.artefacts import write_arrays
from compat_core.experiments.evaluation import Means, SeedResults
from compat_core.experiments.stages import Stages
from compat_core.experiments.watch import Watch
from compat_core.methods import Context, TrainedModel, match_dim
from compat_core.metrics import METRICS, RetrievalScores, evaluate_retrieval, outcome_of
from compat_core.metrics.chain import chain_summary, chain_update_gains
from compat_core.spec import Spec
from compat_core.training.embedding import embed


def chain_seed(stages: Stages, seed: int, dataset: Dataset, train_images: ImageSet) -> SeedResults:
    """Train and evaluate every method's chain for one seed.

    Version t is trained on the t-th share of the images, with the method's constraint towards version t−1 only: vT
    never sees v1. The paragon of each step is trained freely on the same share, from streams of its own, so that two
    steps' free models share no initialisation.

    Rows have cells ``vI/vJ`` (query version / gallery version) and ``paragonT``; verdicts compare vI/vJ with vJ/vJ.
    """
    config, device = stages.config, stages.choice.device
    labels = train_images.labels.cpu()
    parts = [old_subset(labels, ScenarioConfig(old_images=share), seed) for share in config.scenario.chain]
    images = [train_images.subset(part) for part in parts]
    first = stages.version(seed, "v1", config.old, images[0], dataset.augment, "old")
    free: list[TrainedModel] = [first]
    for step in range(1, len(parts)):
        label, role = f"paragon{step + 1}", f"new{step + 1}"
        free.append(stages.version(seed, label, config.new, images[step], dataset.augment, role))
    results = SeedResults()
    chains = {
        spec.label: _versions(stages, seed, spec, free, images, parts, dataset.augment) for spec in config.methods
    }
    stages.begin(f"seed {seed}: evaluation")
    free_emb = [embed(model.embedder, dataset.test.images, device) for model in free]
    for method, versions in chains.items():
        vectors = [embed(model.embedder, dataset.test.images, device) for model in versions]
        _evaluate(results, stages, seed, method, dataset.test, vectors, free_emb)
    return results


def _versions(
    stages: Stages,
    seed: int,
    spec: Spec,
    free: list[TrainedModel],
    images: list[ImageSet],
    parts: list[np.ndarray],
    augment: str,
) -> list[TrainedModel]:
    """v1 and every later version of one method."""
    config, versions = stages.config, [free[0]]
    for step in range(1, len(images)):
        positions = np.searchsorted(parts[step], parts[step - 1])  # a smaller share is part of a larger one
        context = Context(
            seed=seed,
            train_images=images[step],
            augment=augment,
            old_indices=torch.as_tensor(positions, device=images[step].labels.device),
            old=versions[-1],
            paragon=free[step],
            new_config=config.new,
            old_config=config.old if step == 1 else config.new,
            job=stages.job(seed, f"{spec.label} v{step + 1}"),
            cache={},
            distance=config.distance,
            role=f"new{step + 1}",
            watch=Watch(images[step], stages.choice.device, config.distance, seed).method,
        )
        versions.append(stages.chained(context, spec, f"{spec.label} v{step + 1}"))
    return versions


def _evaluate(
    results: SeedResults,
    stages: Stages,
    seed: int,
    method: str,
    test: ImageSet,
    vectors: list[torch.Tensor],
    free: list[torch.Tensor],
) -> None:
    found: dict[str, RetrievalScores] = {}
    count = len(vectors)
    for later in range(count):
        for earlier in range(later + 1):
            found[f"v{later + 1}/v{earlier + 1}"] = _search(stages, test, vectors[later], vectors[earlier])
    for step in range(1, count):
        found[f"paragon{step + 1}"] = _search(stages, test, free[step], free[step])
    for cell, scores in found.items():
        per_query = {entry.name: entry.per_query(scores).astype(np.float32) for entry in METRICS}
        write_arrays(stages.files.ranking_file(seed, method, cell), per_query)
    valid = found["v1/v1"].per_query.valid
    results.num_queries, results.num_skipped = found["v1/v1"].num_queries, found["v1/v1"].num_skipped
    results.chance = found["v1/v1"].chance
    columns = {
        (cell, entry.name): entry.per_query(scores)[valid] for cell, scores in found.items() for entry in METRICS
    }
    means = Means(columns, stages.config.resamples)
    for cell, name in columns:
        results.row(method, seed, cell, name, means.of({(cell, name): 1.0}))
    for entry in METRICS:
        results.chain.append(_matrix(method, seed, entry.name, count, found, means))


def _search(stages: Stages, test: ImageSet, query: torch.Tensor, gallery: torch.Tensor) -> RetrievalScores:
    labels, ids = test.labels.numpy(), test.ids
    dim = max(query.shape[1], gallery.shape[1])
    return evaluate_retrieval(
        match_dim(query, dim), labels, match_dim(gallery, dim), labels, ids, ids,
        distance=stages.config.distance, device=str(stages.choice.device),
    )  # fmt: skip


def _matrix(
    method: str, seed: int, metric: str, count: int, found: dict[str, RetrievalScores], means: Means
) -> dict[str, Any]:
    entry = METRICS.get(metric)
    matrix = np.full((count, count), np.nan)
    pairs = []
    for later in range(count):
        for earlier in range(later + 1):
            cell = f"v{later + 1}/v{earlier + 1}"
            matrix[later, earlier] = entry.value(found[cell])
            if later > earlier:
                own = f"v{earlier + 1}/v{earlier + 1}"
                gap = means.of({(cell, metric): 1.0, (own, metric): -1.0})
                pairs.append({"cell": cell, "outcome": outcome_of(gap), "difference": gap.estimate}
                             | {"ci_low": gap.low, "ci_high": gap.high})  # fmt: skip
    paragons = np.array([np.nan, *(entry.value(found[f"paragon{step + 1}"]) for step in range(1, count))])
    summary = chain_summary(matrix)
    gains = chain_update_gains(matrix, paragons)
    return {
        "method": method,
        "seed": seed,
        "metric": metric,
        "matrix": [[None if np.isnan(value) else float(value) for value in row] for row in matrix],
        "paragons": [None if np.isnan(value) else float(value) for value in paragons],
        "AC": summary.compatibility,
        "AC_ties_count": chain_summary(matrix, strict=False).compatibility,
        "AM": summary.mean,
        "BC": summary.backward,
        "FC": summary.forward,
        "update_gains": {f"v{later}/v{earlier}": gain for (later, earlier), gain in gains.items()},
        "pairs": pairs,
    }
