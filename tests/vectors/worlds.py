"""Small worlds of stored vectors whose answer is known."""

import numpy as np

from compat_core.vectors.decision_config import DecisionConfig
from compat_core.vectors.given import Given

QUICK = {"resamples": 300, "judged": 200, "queries": 100}
CLOSED_FORMS = ("mean-shift", "procrustes", "ridge")


def quick(**changes) -> DecisionConfig:
    return DecisionConfig(**({"adapters": CLOSED_FORMS} | QUICK | changes))


def clustered(rng, count=500, classes=12, dim=8, noise=0.25):
    """``(labels, vectors)``: noisy items around random class centres."""
    labels = np.arange(count) % classes
    centres = rng.standard_normal((classes, dim))
    return labels, (centres[labels] + noise * rng.standard_normal((count, dim))).astype(np.float32)


def rotation(rng, dim=8):
    return np.linalg.qr(rng.standard_normal((dim, dim)))[0].astype(np.float32)


def better_new(seed=0, noise=0.9, **more) -> Given:
    """The old vectors are the new ones, turned and blurred: a map recovers the turn, only a backfill the blur."""
    rng = np.random.default_rng(seed)
    labels, new = clustered(rng)
    old = new @ rotation(rng) + noise * rng.standard_normal(new.shape).astype(np.float32)
    return Given(old, new, labels, **more)


def rotated(seed=0) -> Given:
    rng = np.random.default_rng(seed)
    labels, new = clustered(rng, noise=0.8)
    return Given(new @ rotation(rng), new, labels)


def unrelated(seed=0, labels=True) -> Given:
    rng = np.random.default_rng(seed)
    old, new = (rng.standard_normal((500, 8)).astype(np.float32) for _ in range(2))
    return Given(old, new, np.arange(500) % 10 if labels else None)
