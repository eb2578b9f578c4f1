"""Searched in another data set than the one trained on."""

from __future__ import annotations

from compat_core.data.config import DataConfig
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.presets.base import Preset, register
from compat_core.experiments.presets.shared import BCT, BCT_METHODS, HALF

register(
    Preset(
        name="domain-shift",
        title="Domain shift: trained on MNIST, gallery of the bundled digits",
        summary="Both models are trained on one data set and searched on another, which neither ever saw.",
        paper=f"{BCT}: IMDB-Face → IJB-C",
        config=ExperimentConfig(
            data=DataConfig(dataset="mnist", eval_dataset="digits", image_size=16, train_limit=10_000),
            scenario=HALF,
            methods=BCT_METHODS,
        ),
    )
)
