"""Growing training sets: more classes, more images of each, or both."""

from __future__ import annotations

from compat_core.data.config import ScenarioConfig
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.presets.base import Preset, register
from compat_core.experiments.presets.shared import ALL_METHODS, BCT, BOTH_PROTOCOLS

register(
    Preset(
        name="half-classes",
        title="Half of the classes → all",
        summary="The old model saw the first half of the sorted classes; evaluation covers all of them.",
        paper="FCT, arXiv 2112.02805, Table 1: ImageNet 500 → 1000",
        config=ExperimentConfig(scenario=ScenarioConfig(old_classes=0.5), methods=ALL_METHODS),
    )
)
register(
    Preset(
        name="half-data",
        title="Half of each class's images → all",
        summary="The old model saw every class but only half of its images.",
        paper="BCT, arXiv 2003.11942: more data of the same classes, where β, β-sys and β-kd are one method",
        config=ExperimentConfig(
            scenario=ScenarioConfig(old_images=0.5),
            methods=ALL_METHODS,
            protocols=BOTH_PROTOCOLS,
        ),
    )
)
register(
    Preset(
        name="both",
        title="Half of the classes and of their images → all",
        summary="The old model saw half of the classes, and half of the images of those.",
        paper=f"{BCT}: 25 % → 100 % of the data; openBCT's ImageNet runs",
        config=ExperimentConfig(scenario=ScenarioConfig(old_classes=0.5, old_images=0.5), methods=ALL_METHODS),
    )
)
