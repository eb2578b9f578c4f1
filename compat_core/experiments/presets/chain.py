"""More than two versions, each trained against the one before."""

from __future__ import annotations

from compat_core.data.config import ScenarioConfig
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.presets.base import Preset, register
from compat_core.experiments.presets.demo import DEMO_VERSION
from compat_core.experiments.presets.shared import BCT
from compat_core.spec import parse_specs

register(
    Preset(
        name="chain",
        title="A chain of three versions",
        summary="v1, v2 and v3 see 25, 50 and 100 % of the images; v3 is trained against v2 and never sees v1.",
        paper=f"{BCT}, section 4.5: 25 → 50 → 100 %",
        config=ExperimentConfig(
            scenario=ScenarioConfig(chain=(0.25, 0.5, 1.0)),
            old=DEMO_VERSION,  # a quarter of the digits is 337 images: the default schedule would be 30 steps
            new=DEMO_VERSION,
            methods=parse_specs("independent,bct-sys,bct-sys:rows=all,lce"),
        ),
    )
)
