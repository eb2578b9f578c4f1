"""No method at all: the new model is trained freely. Its own search is the paragon, its cross search the naive swap."""

from __future__ import annotations

from compat_core.methods.base import METHODS, Context, Method, NoConfig
from compat_core.methods.upgrade import Upgrade


def fit(context: Context, config: NoConfig) -> Upgrade:
    """The paragon as it is: nothing is trained again."""
    return Upgrade(context.old.embedder, context.paragon.embedder)


METHODS.add(
    Method(
        name="independent",
        title="Independent (naive swap)",
        family="backward-compatible training",
        summary="The new model knows nothing of the old one: what happens when one simply swaps models.",
        paper="baseline of Shen et al. 2020, arXiv 2003.11942",
        formula=r"\mathcal L_{\mathrm{new}}",
        config=NoConfig,
        needs=("labels",),
        departs="",
        fit=fit,
    )
)
