"""The demo: the bundled digits, half of the classes to all of them."""

from __future__ import annotations

from compat_core.data.config import ScenarioConfig
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.presets.base import Preset, register
from compat_core.experiments.presets.shared import ALL_METHODS, BOTH_PROTOCOLS
from compat_core.spec import Spec
from compat_core.training.config import TrainConfig, VersionConfig

# The demo has 1,347 training images of 8 × 8 pixels: a narrow mixer and small batches fit h to them in seconds.
_DEMO_FCT = Spec("fct", {"width": 256, "batch_size": 128, "epochs": 60, "lr": 2e-3, "side_dim": 32}, alias="fct")
_DEMO_TRAIN = TrainConfig(epochs=20, batch_size=64)
DEMO_VERSION = VersionConfig(dim=64, loss=Spec("normsoftmax", {"scale": 8.0}), train=_DEMO_TRAIN)

register(
    Preset(
        name="demo",
        title="Digits, five classes to ten",
        summary="The bundled digits: an old model that knows 0–4, a new one that knows all ten, and the "
        f"{len(ALL_METHODS)} methods of the BCT, LCE and FCT papers between.",
        paper="FCT's class split (arXiv 2112.02805, section 5) in small",
        config=ExperimentConfig(
            title="Demo: digits",
            scenario=ScenarioConfig(old_classes=0.5),
            old=DEMO_VERSION,
            new=DEMO_VERSION,
            methods=tuple(_DEMO_FCT if spec.name == "fct" else spec for spec in ALL_METHODS),
            protocols=BOTH_PROTOCOLS,
        ),
    )
)
