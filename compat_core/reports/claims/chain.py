"""Claims on chains of versions, each trained against the one before."""

from __future__ import annotations

from compat_core.reports.claims.base import CLAIMS, Claim
from compat_core.reports.claims.measures import Difference, three_versions
from compat_core.reports.claims.papers import BCT, SYS
from compat_core.reports.evidence import Side

CLAIMS.add(
    Claim(
        "chain-two-steps",
        "A chain stays compatible two steps apart: v3, trained against v2 alone, searches v1's gallery.",
        f"{BCT}, 25 → 50 → 100 % of the training data",
        "A chain in which β-sys' v3/v1 is not above v1/v1 (mAP).",
        Difference(Side("bct-sys", "v3/v1", SYS), Side("bct-sys", "v1/v1", SYS), where=(three_versions,)),
    )
)
