"""Negative controls: upgrades that are known to break a method."""

from __future__ import annotations

from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.presets.base import Preset, register
from compat_core.experiments.presets.shared import BCT, HALF
from compat_core.spec import Spec, parse_specs
from compat_core.training.config import TrainConfig, VersionConfig

register(
    Preset(
        name="control-relu",
        title="Negative control: a ReLU on the new embedding",
        summary="The new embedding ends in a ReLU: its vectors cannot lie where half of the old ones do.",
        paper=f"{BCT}, Table 4: 34.70 against 77.86, not compatible",
        config=ExperimentConfig(
            scenario=HALF, new=VersionConfig(final_relu=True), methods=parse_specs("independent,bct,bct-sys")
        ),
    )
)
register(
    Preset(
        name="control-softmax-to-cosine",
        title="Negative control: softmax → cosine",
        summary="An old model trained with plain softmax, a new one on cosines: the old classifier misleads.",
        paper=f"{BCT}, Table 4: 67.11 against 77.86, not compatible",
        config=ExperimentConfig(
            scenario=HALF,
            old=VersionConfig(loss=Spec("softmax")),
            new=VersionConfig(loss=Spec("cosface", {"scale": 16.0, "margin": 0.2})),
            methods=parse_specs("independent,bct,bct-sys"),
        ),
    )
)
register(
    Preset(
        name="control-weaker-new",
        title="Negative control: a weaker new model",
        summary="The new model is trained for a single epoch and is worse than the old one: what does mapping do then?",
        paper="reported for FCT by third parties: new/migrated falls below old/old",
        config=ExperimentConfig(
            new=VersionConfig(train=TrainConfig(epochs=1)), methods=parse_specs("independent,bct-sys,fct")
        ),
    )
)
