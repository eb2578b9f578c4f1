"""The weight of the compatibility loss."""

from __future__ import annotations

from compat_core.data.config import ScenarioConfig
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.presets.base import Preset, register
from compat_core.experiments.presets.shared import BCT
from compat_core.spec import parse_specs

register(
    Preset(
        name="lambda-sweep",
        title="How strong should the compatibility loss be?",
        summary="BCT (β-sys) with λ from 0.1 to 10 and LCE with its alignment's weight from 0.05 to 5: compatibility "
        "bought with the new model's own accuracy.",
        paper=f"{BCT} gives no λ, its released code uses 1; LCE's code uses 0.049 where training is long",
        config=ExperimentConfig(
            scenario=ScenarioConfig(old_classes=0.5),
            methods=parse_specs(
                "independent,bct-sys:weight=0.1,bct-sys:weight=0.3,bct-sys,bct-sys:weight=3,bct-sys:weight=10,"
                "lce:align=0.05,lce:align=0.2,lce:align=0.5,lce,lce:align=5"
            ),
        ),
    )
)
