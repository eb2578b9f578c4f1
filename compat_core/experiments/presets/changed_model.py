"""More data, and a new model of another make: architecture, dimension or loss."""

from __future__ import annotations

from compat_core.data.config import DataConfig
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.presets.base import Preset, register
from compat_core.experiments.presets.shared import BCT, BCT_METHODS, HALF
from compat_core.spec import Spec, parse_specs
from compat_core.training.config import VersionConfig

register(
    Preset(
        name="other-architecture",
        title="Another architecture",
        summary="Half of the data → all, and a deeper network for the new model.",
        paper=f"{BCT}, Table 4: deeper net",
        config=ExperimentConfig(
            data=DataConfig(image_size=32), scenario=HALF, new=VersionConfig(arch="resnet18"), methods=BCT_METHODS
        ),
    )
)
register(
    Preset(
        name="dimension-up",
        title="Dimension up: 128 → 256",
        summary="Half of the data → all, and twice the embedding dimension.",
        paper=f"{BCT}, Table 4: 128 → 256-d",
        config=ExperimentConfig(
            scenario=HALF,
            new=VersionConfig(dim=256),
            methods=parse_specs("independent,bct,bct-sys,lce,lce-transformed,fct"),
        ),
    )
)
register(
    Preset(
        name="dimension-down",
        title="Dimension down: 256 → 128",
        summary="Half of the data → all, and half the embedding dimension: the new vectors are padded with zeros.",
        paper=f"{BCT}, section 4.4; LCE, arXiv 2108.01958",
        config=ExperimentConfig(
            scenario=HALF,
            old=VersionConfig(dim=256),
            methods=parse_specs("independent,bct,bct-sys,lce,lce-transformed,fct"),
        ),
    )
)
register(
    Preset(
        name="loss-changed",
        title="Loss changed: normalised softmax → CosFace",
        summary="Half of the data → all, and the new model is trained with an additive cosine margin.",
        paper=f"{BCT}, Table 4: normalised softmax → cosine margin",
        config=ExperimentConfig(
            scenario=HALF,
            new=VersionConfig(loss=Spec("cosface", {"scale": 16.0, "margin": 0.2})),
            methods=BCT_METHODS,
        ),
    )
)
