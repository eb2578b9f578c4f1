"""Whether a data set's own evaluation images were prepared as its training images were."""

from __future__ import annotations

import numpy as np
import torch

from compat_core.data.images import ImageSet

LOOKED_AT = 1_000  # images of each part
UNLIKE = 1.15
STANDARD_ERRORS = 5.0


def sharpness(images: ImageSet, classes: np.ndarray) -> np.ndarray:
    """Mean absolute difference of neighbouring pixels of up to ``LOOKED_AT`` images of ``classes``, evenly spread.

    Returns:
        ``(M,)`` float64, in grey levels.
    """
    rows = np.flatnonzero(np.isin(images.labels.cpu().numpy(), classes))
    rows = rows[np.linspace(0, len(rows) - 1, min(LOOKED_AT, len(rows))).astype(np.int64)]
    pixels = images.images[torch.from_numpy(rows).to(images.labels.device)].float()
    across, down = ((pixels.diff(dim=axis)).abs().mean(dim=(1, 2, 3)) for axis in (2, 3))
    return ((across + down) / 2).double().cpu().numpy()


def relative_sharpness(train: ImageSet, test: ImageSet) -> float | None:
    """How many times as sharp evaluation images are as training images of the same classes.

    Networks learn the filter that images were resized with, too: a few tenths more sharpness cost every model some of
    its accuracy, and a transformation fitted on the training images more than that.

    Returns:
        the ratio of the means; None where the two do not differ clearly, or too little is there to tell.
    """
    shared = np.intersect1d(train.present, test.present)
    if not shared.size:
        return None
    ours, theirs = sharpness(train, shared), sharpness(test, shared)
    if min(len(ours), len(theirs)) < 2 or not ours.mean() * theirs.mean():
        return None
    ratio = float(theirs.mean() / ours.mean())
    error = np.hypot(*(part.std(ddof=1) / part.mean() / np.sqrt(len(part)) for part in (ours, theirs)))
    return ratio if abs(np.log(ratio)) >= max(np.log(UNLIKE), STANDARD_ERRORS * error) else None


def shift_note(ratio: float) -> str:
    """What to say of it."""
    return (
        f"evaluation images are {ratio:.2f} times as sharp as training images of the same classes (mean difference of "
        "neighbouring pixels): probably resized or compressed another way, a shift that every result here contains; "
        "eval_split instances pools both parts and splits them anew"
    )
