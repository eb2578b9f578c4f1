"""Judged on classes that neither model was trained on."""

from __future__ import annotations

from compat_core.data.config import DataConfig, ScenarioConfig
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.presets.base import Preset, register
from compat_core.experiments.presets.shared import ALL_METHODS, BCT, BOTH_PROTOCOLS

register(
    Preset(
        name="open-set",
        title="Classes nobody trained on: verification and identification",
        summary="Half of the training classes → all, judged on classes held out of both: retrieval, 1:1, and 1:N.",
        paper=f"{BCT}, Tables 1–3: IMDB-Face → IJB-C, 1:1 verification and 1:N open-set identification",
        config=ExperimentConfig(
            data=DataConfig(eval_split="classes"),
            scenario=ScenarioConfig(old_classes=0.5),
            methods=ALL_METHODS,
            protocols=BOTH_PROTOCOLS,
        ),
    )
)
