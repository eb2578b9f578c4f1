"""A small gallery before and after its backfill, with everything an ordering can ask for."""

import dataclasses

import numpy as np

from compat_core.retrieval.orderings import ORDERINGS, Gallery


def whole_gallery(count=60, **changes) -> Gallery:
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 6
    new = np.eye(6)[labels] + 0.3 * rng.normal(size=(count, 6))
    old = np.eye(6)[labels] + 1.5 * rng.normal(size=(count, 6))
    gallery = Gallery(old.astype(np.float32), labels, new.astype(np.float32), rng.random(count), rng.random(count))
    return dataclasses.replace(gallery, **changes)


def ordered(name: str, gallery: Gallery) -> list[int]:
    return ORDERINGS.get(name).order(gallery).tolist()


def by_falling(keys: list[float]) -> list[int]:
    return sorted(range(len(keys)), key=lambda row: -keys[row])
