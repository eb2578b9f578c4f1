"""Claims on the negative controls: upgrades that are known to break a method."""

from __future__ import annotations

from compat_core.reports.claims.base import CLAIMS, Claim
from compat_core.reports.claims.measures import Difference, cross, final_relu, old, softmax_to_cosine
from compat_core.reports.claims.papers import BCT, SYS
from compat_core.reports.evidence import Evidence, Measurement, Side

# What was published at a strict operating point may show in one of them only.
_BOTH_METRICS = ("mAP", "CMC@1")


def _weaker_new(evidence: Evidence) -> list[Measurement]:
    """old/old − new/migrated of FCT, in runs whose new model is worse than the old one."""
    if evidence.config.scenario.chain:
        return []
    before, after = (evidence.mean(Side("fct", cell), "mAP") for cell in ("old/old", "paragon"))
    if before is None or after is None or after >= before:
        return []
    return evidence.differences(old("fct"), cross("fct"), "mAP")


CLAIMS.add(
    Claim(
        "weaker-new-drags-fct",
        "A new model that is weaker than the old one drags FCT's cross test below the status quo.",
        "reported by third parties for FCT's released code",
        "A run whose paragon is below old/old and in which fct's new/migrated is not (mAP).",
        _weaker_new,
    )
)
CLAIMS.add(
    Claim(
        "relu-breaks-bct",
        "A ReLU at the end of the new embedding breaks BCT.",
        f"{BCT}, Table 4",
        "A run with a final ReLU in which β-sys is not below old/old (mAP, or CMC@1).",
        Difference(old("bct-sys", **SYS), cross("bct-sys", **SYS), _BOTH_METRICS, where=(final_relu,)),
    )
)
CLAIMS.add(
    Claim(
        "softmax-to-cosine-breaks-bct",
        "Changing from a plain softmax (old) to a cosine loss (new) breaks BCT.",
        f"{BCT}, Table 4",
        "A run from softmax to a cosine loss in which β-sys is not below old/old (mAP, or CMC@1).",
        Difference(old("bct-sys", **SYS), cross("bct-sys", **SYS), _BOTH_METRICS, where=(softmax_to_cosine,)),
    )
)
