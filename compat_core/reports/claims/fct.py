"""Claims of FCT: the forward transformation, and what side-information adds to it."""

from __future__ import annotations

from compat_core.reports.claims.base import CLAIMS, Claim
from compat_core.reports.claims.measures import Difference, cross, no_control
from compat_core.reports.claims.papers import FCT, SYS
from compat_core.reports.evidence import Side

CLAIMS.add(
    Claim(
        "fct-untouched",
        "FCT leaves the new model exactly as it is.",
        f"{FCT}, section 3",
        "A run in which a single query's average precision differs between new/new and the paragon.",
        Difference(Side("fct", "new/new"), Side("fct", "paragon")),
        exact=True,
    )
)
CLAIMS.add(
    Claim(
        "fct-beats-bct",
        "FCT's cross test beats BCT's by a wide margin (here: more than 5 points of top-1, the paper's smallest).",
        f"{FCT}, abstract: +18.1 % ImageNet, +5.4 % Places-365, +8.3 % VGG-Face2",
        "A run in which the interval of fct − bct-sys in new/migrated (CMC@1) lies at or below 0.05.",
        Difference(cross("fct", side="simclr"), cross("bct-sys", **SYS), ("CMC@1",), where=(no_control,)),
        margin=0.05,
    )
)
CLAIMS.add(
    Claim(
        "side-information-helps",
        "Side-information makes the transformation better.",
        f"{FCT}, Table 1",
        "A run in which fct with SimCLR side-information is not above fct without any (mAP).",
        Difference(cross("fct", side="simclr"), cross("fct", side="none")),
    )
)
CLAIMS.add(
    Claim(
        "simclr-beats-autoencoder",
        "SimCLR side-information helps more than an autoencoder's.",
        f"{FCT}, section 4",
        "A run in which fct with SimCLR is not above fct with an autoencoder (mAP).",
        Difference(cross("fct", side="simclr"), cross("fct", side="autoencoder")),
    )
)
