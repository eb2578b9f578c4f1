"""The vectors of a finished run, brought to a decision: adapters beside the run's own methods, on the same queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from compat_core.adapters import Pairs
from compat_core.data import load_dataset
from compat_core.device import DeviceChoice, pick_device
from compat_core.errors import CompatError
from compat_core.experiments.artefacts import Artefacts
from compat_core.experiments.run import Run
from compat_core.models import load_module
from compat_core.training.embedding import embed
from compat_core.vectors.given import Candidate, Given
from compat_core.vectors.pictures import ItemPictures, as_picture

NAIVE_METHOD = "independent"  # is the naive swap, which every decision holds anyway


@dataclass(frozen=True, slots=True)
class RunVectors:
    """What a run leaves for a decision.

    Attributes:
        old, new: ``(N, D_old)``, ``(N, D_new)`` float32 of the evaluation images, under the old model and the paragon.
        labels, ids: ``(N,)`` of the evaluation images.
        fit_old, fit_new, fit_labels: the same of training images, for fitting adapters on.
    """

    old: np.ndarray
    new: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    fit_old: np.ndarray
    fit_new: np.ndarray
    fit_labels: np.ndarray


def run_vectors(run: Run, seed: int, pairs: int, device: DeviceChoice | None = None) -> RunVectors:
    """Read the vectors of the evaluation images, and embed some training images with both models.

    Args:
        run: a finished run without a chain.
        seed: one of its seeds.
        pairs: most training images embedded; chosen by ``seed``.
        device: where to embed; None: the CPU.

    Raises:
        CompatError: for a seed the run does not have, a run without vectors, or images that are gone.
    """
    if seed not in run.config.seeds:
        raise CompatError("seed", value=seed, rule=f"this run has {', '.join(map(str, run.config.seeds))}")
    files, where = Artefacts(run.path), (device or pick_device("cpu")).device
    gallery = files.gallery()
    train = load_dataset(run.config.data).train
    chosen = np.sort(np.random.default_rng(seed).permutation(len(train))[:pairs])
    images = train.images[torch.from_numpy(chosen)]
    old, new = (load_module(files.model_dir(seed, label), where) for label in ("old", "paragon"))
    return RunVectors(
        np.array(files.embedding(seed, "old", "old")),
        np.array(files.embedding(seed, "paragon", "new")),
        np.array(gallery.labels),
        np.array(gallery.ids).astype(str),
        embed(old, images, where).cpu().numpy(),
        embed(new, images, where).cpu().numpy(),
        train.labels.numpy()[chosen],
    )


def given_from_run(run: Run, seed: int, pairs: int, device: DeviceChoice | None = None) -> Given:
    """The run's vectors as a decision wants them, its methods among the options.

    Status quo, naive swap, full backfill and every method then have the values of the run's own pages, when all
    evaluation images are judged.

    Raises:
        CompatError: as :func:`run_vectors`.
    """
    found = run_vectors(run, seed, pairs, device)
    files = Artefacts(run.path)
    candidates = []
    for spec in run.config.methods:
        if spec.name == NAIVE_METHOD:
            continue
        upgrade = files.finished_upgrade(seed, spec.label)
        query, rows = (np.array(files.embedding(seed, spec.label, kind)) for kind in ("query", "gallery_old"))
        free = np.array_equal(files.embedding(seed, spec.label, "new"), found.new)
        how = "maps the old rows" if upgrade.maps_old else "leaves the old rows as they are"
        summary = f"{spec.label} of this run: {'the new model is untouched' if free else 'a model of its own'}; {how}."
        # The forward transformations are fitted on images, not on pairs alone, but train no embedding model again.
        candidates.append(Candidate(spec.label, query, rows, summary, upgrade.maps_old, not free))
    gallery = files.gallery()
    names = np.array(gallery.class_names)  # training and evaluation images are numbered alike
    fit = Pairs(found.fit_old, found.fit_new, names[found.fit_labels])
    pictures = ItemPictures(
        lambda row: as_picture(gallery.images[row]), lambda row: gallery.class_names[int(gallery.labels[row])]
    )
    return Given(
        found.old, found.new, names[found.labels], found.ids, fit=fit, candidates=tuple(candidates), pictures=pictures
    )
