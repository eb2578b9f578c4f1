"""Decide, before a single image is decoded, which items train and which evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compat_core.data.config import DataConfig
from compat_core.data.splits import class_split, held_out_classes, instance_split, stratified_limit
from compat_core.errors import CompatError


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """Where the items of a data set go.

    Attributes:
        train, test: indices into the items, ascending, without an item in common.
        split: given, instances or classes.
        notes: how it was done, for people.
    """

    train: np.ndarray
    test: np.ndarray
    split: str
    notes: tuple[str, ...]


def plan_parts(
    labels: np.ndarray, class_names: Sequence[str], is_test: np.ndarray | None, config: DataConfig, where: str
) -> Plan:
    """Split N items as ``config.eval_split`` says, then apply both limits.

    Args:
        labels: ``(N,)`` int64, indices into the sorted ``class_names``.
        class_names: the names of the classes.
        is_test: ``(N,)`` bool, the data set's own evaluation part; None where it has none.
        config: split, share and limits.
        where: what to call the data set in an error.

    Raises:
        CompatError: for a split the data set does not have, too few classes, or a limit that would lose classes.
    """
    split = config.eval_split if config.eval_split != "auto" else "instances" if is_test is None else "given"
    if len(np.unique(labels)) < 2:
        raise CompatError(where, value=list(class_names), rule="needs images of at least 2 classes")
    if split == "given":
        train, test, notes = _given(class_names, is_test, where)
    elif split == "instances":
        train, test, notes = _instances(labels, is_test, config)
    else:
        train, test, notes = _classes(labels, class_names, is_test, config)
    for part, chosen in (("training", train), ("evaluation", test)):
        count = len(np.unique(labels[chosen]))
        if count < 2:
            fix = "give it at least two class folders, or use eval_split instances" if split == "given" else ""
            raise CompatError(where, value=f"{count} class(es)", rule=f"the {part} part needs at least 2", fix=fix)
    train, train_notes = _limited(labels, train, config.train_limit, "train_limit", 1)
    test, test_notes = _limited(labels, test, config.test_limit, "test_limit", 2)
    return Plan(train, test, split, (*notes, *train_notes, *test_notes))


def _given(
    class_names: Sequence[str], is_test: np.ndarray | None, where: str
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    if is_test is None:
        raise CompatError(
            "data.eval_split",
            value="given",
            rule=f"{where} has no split of its own",
            fix="use eval_split instances or classes, or put the classes below a train and a test folder",
        )
    return np.flatnonzero(~is_test), np.flatnonzero(is_test), ["evaluation images: the data set's own split"]


def _instances(
    labels: np.ndarray, is_test: np.ndarray | None, config: DataConfig
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    train, test = instance_split(labels, config.test_share)
    notes = [f"evaluation images: a fixed random {config.test_share:g} of every class, the same for every seed"]
    if is_test is not None:
        notes.append("the data set's own two parts were pooled before they were split anew")
    single = int((np.unique(labels, return_counts=True)[1] == 1).sum())
    if single:
        notes.append(f"{single} class(es) with a single image are used for training only")
    return train, test, notes


def _classes(
    labels: np.ndarray, class_names: Sequence[str], is_test: np.ndarray | None, config: DataConfig
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    if is_test is None:
        train, test = class_split(labels, config.test_share)
        held_out = np.unique(labels[test])
    else:
        held_out = held_out_classes(labels, config.test_share)
        unseen = np.isin(labels, held_out)
        train, test = np.flatnonzero(~unseen & ~is_test), np.flatnonzero(unseen & is_test)
    first = class_names[held_out[0]]
    notes = [f"evaluation images: the last {len(held_out)} sorted classes, from {first!r} on, never trained on"]
    if is_test is not None:
        notes.append("of the other classes the given training part is used, of these classes the given evaluation part")
    return train, test, notes


def _limited(
    labels: np.ndarray, chosen: np.ndarray, limit: int, key: str, per_class: int
) -> tuple[np.ndarray, list[str]]:
    if not limit or limit >= len(chosen):
        return chosen, []
    classes = len(np.unique(labels[chosen]))
    if limit < per_class * classes:
        raise CompatError(
            f"data.{key}",
            value=limit,
            rule=f"must leave {per_class} image(s) for each of {classes} classes",
            fix=f"use 0 (all) or at least {per_class * classes}",
        )
    kept = chosen[stratified_limit(labels[chosen], limit)]
    part = "training" if key == "train_limit" else "evaluation"
    return kept, [f"{key}: {len(kept)} of {len(chosen)} {part} images, spread evenly over {classes} classes"]
