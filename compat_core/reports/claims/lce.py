"""Claims of LCE: what its two losses cost, how well they cross, and across embedding dimensions."""

from __future__ import annotations

import dataclasses

from compat_core.methods.lce import LceConfig
from compat_core.reports.claims.base import CLAIMS, Claim
from compat_core.reports.claims.measures import Difference, cross, dimension_changed, no_control, old
from compat_core.reports.claims.papers import LCE, SYS
from compat_core.reports.evidence import Side

# LCE's published parameters are its defaults here: another weight is another experiment.
OFFERED = dataclasses.asdict(LceConfig())

CLAIMS.add(
    Claim(
        "lce-costs-less",
        "LCE costs the new model less than BCT does.",
        f"{LCE}, Tables 2–4",
        "A run in which new/new of LCE, its weights as they are offered here, is not above that of β-sys (mAP).",
        Difference(Side("lce", "new/new", OFFERED), Side("bct-sys", "new/new", SYS), where=(no_control,)),
    )
)
CLAIMS.add(
    Claim(
        "lce-crosses-better",
        "LCE searches the old gallery better than BCT does.",
        f"{LCE}, Tables 2–4",
        "A run in which new/old of LCE, its weights as they are offered here, is not above that of β-sys (mAP).",
        Difference(cross("lce", **OFFERED), cross("bct-sys", **SYS), where=(no_control,)),
    )
)
CLAIMS.add(
    Claim(
        "lce-crosses-dimensions",
        "LCE with a transformation stays compatible when the embedding dimension changes.",
        f"{LCE}, experiments across embedding dimensions",
        "A run with two dimensions in which lce-transformed's new/migrated is not above old/old (mAP).",
        Difference(cross("lce-transformed"), old("lce-transformed"), where=(dimension_changed,)),
    )
)
