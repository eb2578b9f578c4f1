"""d-simplex (CoReS): both versions learn the same fixed class rows, and meet there without ever having met."""

from __future__ import annotations

from typing import Any

import torch

from compat_core.errors import CompatError
from compat_core.methods.base import METHODS, Context, Method, NoConfig, Setting, equal_dimensions
from compat_core.methods.upgrade import Upgrade


def shared_rows(setting: Setting, config: Any) -> None:
    """Accepts versions whose class rows are the same vertices. Raises CompatError for other losses or dimensions."""
    losses = (setting.old.loss.name, setting.new.loss.name)
    if losses != ("simplex", "simplex"):
        raise CompatError(
            "loss",
            value=f"old {losses[0]}, new {losses[1]}",
            rule="both versions must be trained with the fixed classifier",
            fix="set old.loss and new.loss to simplex, or leave this method out",
        )
    equal_dimensions(setting, config)  # simplices of two dimensions share no vertices


def fit(context: Context, config: NoConfig) -> Upgrade:
    """The paragon as it is: under this loss independent training is the method.

    Raises:
        CompatError: as :func:`shared_rows`, and when the old model's classes are not the first of the new ones.
    """
    shared_rows(context.setting, config)
    classes = context.old.classes
    if not torch.equal(classes, torch.arange(len(classes), device=classes.device)):
        raise CompatError(
            "method d-simplex",
            value=f"old classes {classes.tolist()[:10]}",
            rule="the old model's classes must be the first of the new ones, to stand at the same vertices",
        )
    return Upgrade(context.old.embedder, context.paragon.embedder)


METHODS.add(
    Method(
        name="d-simplex",
        title="d-simplex (CoReS)",
        family="backward-compatible training",
        summary="Old and new model are trained apart on the same fixed class rows, with room for classes to come.",
        paper="Biondi et al. 2021, arXiv 2111.07632",
        formula=r"W_{\mathrm{old}}=W_{\mathrm{new}}=V\ \text{fixed},\;v_i\cdot v_j=-\tfrac1D",
        config=NoConfig,
        needs=("labels", "both versions trained with the loss simplex", "equal dimensions"),
        departs=(
            "The paper reserves vertices for a stated number of future classes and sets the dimension by it; here the "
            "dimension comes first and every vertex that no class uses is reserved. The paragon of such a run is "
            "itself trained on the fixed rows."
        ),
        fit=fit,
        accepts=shared_rows,
    )
)
