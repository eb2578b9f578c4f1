"""What several presets have in common."""

from __future__ import annotations

from compat_core.data.config import ScenarioConfig
from compat_core.experiments.config import ProtocolConfig
from compat_core.spec import parse_specs

ALL_METHODS = parse_specs("independent,l2,lwf,bct,bct-sys,bct-kd,lce,fct")
BCT_METHODS = parse_specs("independent,bct,bct-sys,lce,fct")
BOTH_PROTOCOLS = ProtocolConfig(verification=True, identification=True)
HALF = ScenarioConfig(old_images=0.5)
BCT = "BCT, arXiv 2003.11942"
