"""Claims of BCT: backward-compatible training, its synthesised classifier rows, and what does not suffice."""

from __future__ import annotations

from compat_core.reports.claims.base import CLAIMS, Claim
from compat_core.reports.claims.measures import Difference, cross, new_classes, no_control, old, trained_apart
from compat_core.reports.claims.papers import BCT, BETA, FCT, SYS
from compat_core.reports.evidence import Side

_COMPATIBLE_MEANS = "A run in which the interval of new/migrated − old/old (mAP) lies at or below zero."

CLAIMS.add(
    Claim(
        "independent-incompatible",
        "Independently trained models are incompatible: new queries cannot search the old gallery.",
        f"{BCT}, Table 1",
        "A run in which the naive swap does not fall below old/old (mAP).",
        Difference(old("independent"), Side("independent", "new/old"), where=(trained_apart,)),
    )
)
CLAIMS.add(
    Claim(
        "bct-compatible",
        "BCT's new model searches the old gallery better than the old model does, without backfilling.",
        f"{BCT}, Table 1",
        _COMPATIBLE_MEANS,
        Difference(cross("bct", **BETA), old("bct", **BETA), where=(no_control,)),
    )
)
CLAIMS.add(
    Claim(
        "bct-sys-compatible",
        "BCT with synthesised classifier rows (β-sys) is compatible without backfilling.",
        f"{BCT}, Table 1",
        _COMPATIBLE_MEANS,
        Difference(cross("bct-sys", **SYS), old("bct-sys", **SYS), where=(no_control,)),
    )
)
CLAIMS.add(
    Claim(
        "bct-costs",
        "Backward-compatible training costs the new model some of its own accuracy.",
        f"{BCT}, Table 1; {FCT}, section 1",
        "A run in which the interval of paragon − new/new of β-sys (mAP) lies at or below zero.",
        Difference(Side("bct-sys", "paragon", SYS), Side("bct-sys", "new/new", SYS), where=(no_control,)),
    )
)
CLAIMS.add(
    Claim(
        "sys-beats-beta",
        "Synthesising classifier rows for new classes beats using the old classes alone.",
        f"{BCT}, Table 1",
        "A run with new classes in which the interval of β-sys − β in new/old (mAP) lies at or below zero.",
        Difference(cross("bct-sys", **SYS), cross("bct", **BETA), where=(no_control, new_classes)),
    )
)
CLAIMS.add(
    Claim(
        "l2-fails",
        "Pulling new embeddings onto old ones (ℓ2) does not make the models compatible.",
        f"{BCT}, Table 1",
        "A run in which ℓ2's new/old is not below old/old (mAP).",
        Difference(old("l2"), cross("l2"), where=(no_control, trained_apart)),
    )
)
CLAIMS.add(
    Claim(
        "lwf-fails",
        "Learning without Forgetting does not make the models compatible.",
        f"{BCT}, Table 1",
        "A run in which LwF's new/old is not below old/old (mAP).",
        Difference(old("lwf"), cross("lwf"), where=(no_control, trained_apart)),
    )
)
