"""Classification losses: one class per file, which registers itself when it is imported."""

from compat_core.losses.base import LOSSES, ClassificationLoss, CosineLoss, Loss, LossConfig
from compat_core.registry import import_modules
from compat_core.spec import Spec

import_modules(__name__, __path__)

__all__ = ["LOSSES", "ClassificationLoss", "CosineLoss", "Loss", "LossConfig", "build_loss"]


def build_loss(spec: Spec, dim: int, num_classes: int) -> ClassificationLoss:
    """The loss module named by ``spec``, freshly initialised from torch's global generator.

    Raises:
        CompatError: for an unknown loss or a parameter it does not have.
    """
    entry = LOSSES.get(spec.name)
    return entry.build(dim, num_classes, entry.configure(spec))
