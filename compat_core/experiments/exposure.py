"""Subgroups of the evaluation images by how much of their class the old model saw: whom it served badly."""

from __future__ import annotations

import numpy as np

from compat_core.data.images import ImageSet

UNSEEN, RARE, SEEN = "classes the old model never saw", "classes it saw little of", "classes it saw"
RARELY = 0.5  # of the share of the class it saw most of


def exposure_groups(train: ImageSet, chosen: np.ndarray, test: ImageSet) -> np.ndarray | None:
    """The subgroup of every evaluation image, or None where they would all be in one.

    Args:
        train: the new model's training images.
        chosen: positions in ``train`` of the images the old model saw.
        test: the evaluation images; classes are matched by name.

    Returns:
        (N,) texts: never seen; seen in less than half the share of the best-covered class; or seen.
    """
    labels = train.labels.cpu().numpy()
    count = len(train.class_names)
    shares = np.bincount(labels[chosen], minlength=count) / np.maximum(np.bincount(labels, minlength=count), 1)
    share_of = dict(zip(train.class_names, shares.tolist(), strict=True))
    best = float(shares.max())
    groups = []
    for name in test.class_names:
        share = share_of.get(name, 0.0)
        groups.append(UNSEEN if share == 0 else RARE if share < RARELY * best else SEEN)
    found = np.array(groups)[test.labels.cpu().numpy()]
    return found if len(np.unique(found)) > 1 else None
