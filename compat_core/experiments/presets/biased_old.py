"""An old model that hardly knows some of its classes."""

from __future__ import annotations

from compat_core.data.config import ScenarioConfig
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.presets.base import Preset, register
from compat_core.spec import parse_specs

register(
    Preset(
        name="biased-old",
        title="A biased old model",
        summary="The old model saw far too little of a quarter of its classes; look at the classes along the backfill.",
        paper="FastFill, arXiv 2303.04766, section 5.4",
        config=ExperimentConfig(
            scenario=ScenarioConfig(old_classes=1.0, biased_classes=0.25, biased_images=0.05),
            methods=parse_specs("independent,bct-sys,fct,fastfill"),
        ),
    )
)
