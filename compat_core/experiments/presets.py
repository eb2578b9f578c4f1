"""Experiments by name, each with the sentence that says which paper's scenario it stands for."""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass
from typing import Any

from compat_core.data.config import DataConfig, ScenarioConfig
from compat_core.errors import unknown_name
from compat_core.experiments.config import ExperimentConfig, ProtocolConfig
from compat_core.registry import Registry
from compat_core.spec import Spec, parse_specs
from compat_core.training.config import TrainConfig, VersionConfig


@dataclass(frozen=True, slots=True)
class Preset:
    """A named experiment.

    Attributes:
        name, title: for people.
        summary: one sentence: the scenario, and what it shows.
        paper: paper and table it stands for; empty where none.
        config: the experiment.
    """

    name: str
    title: str
    summary: str
    paper: str
    config: ExperimentConfig


PRESETS: Registry[Preset] = Registry("preset")

PROTOCOLS = ("verification", "identification")
_BOTH_PROTOCOLS = ProtocolConfig(verification=True, identification=True)

_ALL_METHODS = parse_specs("independent,l2,lwf,bct,bct-sys,bct-kd,lce,fct")

# The demo has 1,347 training images of 8 × 8 pixels: a narrow mixer and small batches fit h to them in seconds.
_DEMO_FCT = Spec("fct", {"width": 256, "batch_size": 128, "epochs": 60, "lr": 2e-3, "side_dim": 32}, alias="fct")
_DEMO_TRAIN = TrainConfig(epochs=20, batch_size=64)
_DEMO_VERSION = VersionConfig(dim=64, loss=Spec("normsoftmax", {"scale": 8.0}), train=_DEMO_TRAIN)

PRESETS.add(
    Preset(
        name="demo",
        title="Digits, five classes to ten",
        summary="The bundled digits: an old model that knows 0–4, a new one that knows all ten, and the "
        f"{len(_ALL_METHODS)} methods of the BCT and FCT papers between.",
        paper="FCT's class split (arXiv 2112.02805, section 5) in small",
        config=ExperimentConfig(
            preset="demo",
            title="Demo: digits",
            scenario=ScenarioConfig(old_classes=0.5),
            old=_DEMO_VERSION,
            new=_DEMO_VERSION,
            methods=tuple(_DEMO_FCT if spec.name == "fct" else spec for spec in _ALL_METHODS),
            protocols=_BOTH_PROTOCOLS,
        ),
    )
)
PRESETS.add(
    Preset(
        name="half-classes",
        title="Half of the classes → all",
        summary="The old model saw the first half of the sorted classes; evaluation covers all of them.",
        paper="FCT, arXiv 2112.02805, Table 1: ImageNet 500 → 1000",
        config=ExperimentConfig(preset="half-classes", scenario=ScenarioConfig(old_classes=0.5), methods=_ALL_METHODS),
    )
)
PRESETS.add(
    Preset(
        name="half-data",
        title="Half of each class's images → all",
        summary="The old model saw every class but only half of its images.",
        paper="BCT, arXiv 2003.11942: more data of the same classes, where β, β-sys and β-kd are one method",
        config=ExperimentConfig(
            preset="half-data",
            scenario=ScenarioConfig(old_images=0.5),
            methods=_ALL_METHODS,
            protocols=_BOTH_PROTOCOLS,
        ),
    )
)


_BCT_METHODS = parse_specs("independent,bct,bct-sys,lce,fct")
_HALF = ScenarioConfig(old_images=0.5)
_BCT = "BCT, arXiv 2003.11942"

for _preset in (
    Preset(
        name="both",
        title="Half of the classes and of their images → all",
        summary="The old model saw half of the classes, and half of the images of those.",
        paper=f"{_BCT}: 25 % → 100 % of the data; openBCT's ImageNet runs",
        config=ExperimentConfig(scenario=ScenarioConfig(old_classes=0.5, old_images=0.5), methods=_ALL_METHODS),
    ),
    Preset(
        name="open-set",
        title="Classes nobody trained on: verification and identification",
        summary="Half of the training classes → all, judged on classes held out of both: retrieval, 1:1, and 1:N.",
        paper=f"{_BCT}, Tables 1–3: IMDB-Face → IJB-C, 1:1 verification and 1:N open-set identification",
        config=ExperimentConfig(
            data=DataConfig(eval_split="classes"),
            scenario=ScenarioConfig(old_classes=0.5),
            methods=_ALL_METHODS,
            protocols=_BOTH_PROTOCOLS,
        ),
    ),
    Preset(
        name="other-architecture",
        title="Another architecture",
        summary="Half of the data → all, and a deeper network for the new model.",
        paper=f"{_BCT}, Table 4: deeper net",
        config=ExperimentConfig(
            data=DataConfig(image_size=32), scenario=_HALF, new=VersionConfig(arch="resnet18"), methods=_BCT_METHODS
        ),
    ),
    Preset(
        name="dimension-up",
        title="Dimension up: 128 → 256",
        summary="Half of the data → all, and twice the embedding dimension.",
        paper=f"{_BCT}, Table 4: 128 → 256-d",
        config=ExperimentConfig(
            scenario=_HALF,
            new=VersionConfig(dim=256),
            methods=parse_specs("independent,bct,bct-sys,lce,lce-transformed,fct"),
        ),
    ),
    Preset(
        name="dimension-down",
        title="Dimension down: 256 → 128",
        summary="Half of the data → all, and half the embedding dimension: the new vectors are padded with zeros.",
        paper=f"{_BCT}, section 4.4; LCE, arXiv 2108.01958",
        config=ExperimentConfig(
            scenario=_HALF,
            old=VersionConfig(dim=256),
            methods=parse_specs("independent,bct,bct-sys,lce,lce-transformed,fct"),
        ),
    ),
    Preset(
        name="loss-changed",
        title="Loss changed: normalised softmax → CosFace",
        summary="Half of the data → all, and the new model is trained with an additive cosine margin.",
        paper=f"{_BCT}, Table 4: normalised softmax → cosine margin",
        config=ExperimentConfig(
            scenario=_HALF,
            new=VersionConfig(loss=Spec("cosface", {"scale": 16.0, "margin": 0.2})),
            methods=_BCT_METHODS,
        ),
    ),
    Preset(
        name="domain-shift",
        title="Domain shift: trained on MNIST, gallery of the bundled digits",
        summary="Both models are trained on one data set and searched on another, which neither ever saw.",
        paper=f"{_BCT}: IMDB-Face → IJB-C",
        config=ExperimentConfig(
            data=DataConfig(dataset="mnist", eval_dataset="digits", image_size=16, train_limit=10_000),
            scenario=_HALF,
            methods=_BCT_METHODS,
        ),
    ),
    Preset(
        name="chain",
        title="A chain of three versions",
        summary="v1, v2 and v3 see 25, 50 and 100 % of the images; v3 is trained against v2 and never sees v1.",
        paper=f"{_BCT}, section 4.5: 25 → 50 → 100 %",
        config=ExperimentConfig(
            scenario=ScenarioConfig(chain=(0.25, 0.5, 1.0)),
            old=_DEMO_VERSION,  # a quarter of the digits is 337 images: the default schedule would be 30 steps
            new=_DEMO_VERSION,
            methods=parse_specs("independent,bct-sys,bct-sys:rows=all,lce"),
        ),
    ),
    Preset(
        name="lambda-sweep",
        title="How strong should the compatibility loss be?",
        summary="BCT (β-sys) with λ from 0.1 to 10 and LCE with its alignment's weight from 0.05 to 5: compatibility "
        "bought with the new model's own accuracy.",
        paper=f"{_BCT} gives no λ, its released code uses 1; LCE's code uses 0.049 where training is long",
        config=ExperimentConfig(
            scenario=ScenarioConfig(old_classes=0.5),
            methods=parse_specs(
                "independent,bct-sys:weight=0.1,bct-sys:weight=0.3,bct-sys,bct-sys:weight=3,bct-sys:weight=10,"
                "lce:align=0.05,lce:align=0.2,lce:align=0.5,lce,lce:align=5"
            ),
        ),
    ),
    Preset(
        name="biased-old",
        title="A biased old model",
        summary="The old model saw far too little of a quarter of its classes; look at the classes along the backfill.",
        paper="FastFill, arXiv 2303.04766, section 5.4",
        config=ExperimentConfig(
            scenario=ScenarioConfig(old_classes=1.0, biased_classes=0.25, biased_images=0.05),
            methods=parse_specs("independent,bct-sys,fct,fastfill"),
        ),
    ),
    Preset(
        name="control-relu",
        title="Negative control: a ReLU on the new embedding",
        summary="The new embedding ends in a ReLU: its vectors cannot lie where half of the old ones do.",
        paper=f"{_BCT}, Table 4: 34.70 against 77.86, not compatible",
        config=ExperimentConfig(
            scenario=_HALF, new=VersionConfig(final_relu=True), methods=parse_specs("independent,bct,bct-sys")
        ),
    ),
    Preset(
        name="control-softmax-to-cosine",
        title="Negative control: softmax → cosine",
        summary="An old model trained with plain softmax, a new one on cosines: the old classifier misleads.",
        paper=f"{_BCT}, Table 4: 67.11 against 77.86, not compatible",
        config=ExperimentConfig(
            scenario=_HALF,
            old=VersionConfig(loss=Spec("softmax")),
            new=VersionConfig(loss=Spec("cosface", {"scale": 16.0, "margin": 0.2})),
            methods=parse_specs("independent,bct,bct-sys"),
        ),
    ),
    Preset(
        name="control-weaker-new",
        title="Negative control: a weaker new model",
        summary="The new model is trained for a single epoch and is worse than the old one: what does mapping do then?",
        paper="reported for FCT by third parties: new/migrated falls below old/old",
        config=ExperimentConfig(
            new=VersionConfig(train=TrainConfig(epochs=1)), methods=parse_specs("independent,bct-sys,fct")
        ),
    ),
):
    PRESETS.add(dataclasses.replace(_preset, config=_preset.config.replace(preset=_preset.name)))


def configure(
    preset: str | None = None,
    base: ExperimentConfig | None = None,
    *,
    dataset: str | None = None,
    methods: tuple[Spec, ...] | None = None,
    epochs: int | None = None,
    train_limit: int | None = None,
    test_limit: int | None = None,
    image_size: int | None = None,
    eval_split: str | None = None,
    arch: str | None = None,
    batch_size: int | None = None,
    seeds: tuple[int, ...] | None = None,
    device: str | None = None,
    precision: str | None = None,
    distance: str | None = None,
    title: str | None = None,
    protocols: tuple[str, ...] | None = None,
) -> ExperimentConfig:
    """A preset (or ``base``) with the given values in place of its own; None keeps what is there.

    A method named without parameters takes the preset's own parameters for it, where the preset has some.
    ``protocols`` names those beside retrieval (``verification``, ``identification``); an empty tuple switches both off.

    Raises:
        CompatError: for an unknown preset or protocol, or a value out of range.
    """
    config = base if base is not None else PRESETS.get(preset or "demo").config
    own = {spec.label: spec for spec in config.methods}
    if methods is not None:
        methods = tuple(own.get(spec.label, spec) for spec in methods)
    train = {"epochs": epochs, "batch_size": batch_size}
    versions: dict[str, Any] = {
        role: _changed(version, arch=arch, train=_changed(version.train, **train))
        for role, version in (("old", config.old), ("new", config.new))
    }
    data = {
        "dataset": dataset, "train_limit": train_limit, "test_limit": test_limit, "image_size": image_size,
        "eval_split": eval_split,
    }  # fmt: skip
    return _changed(
        config,
        data=_changed(config.data, **data),
        methods=methods,
        seeds=seeds,
        device=device,
        precision=precision,
        distance=distance,
        title=title,
        protocols=None if protocols is None else _with_protocols(config.protocols, protocols),
        **versions,
    )


def _with_protocols(config: ProtocolConfig, names: tuple[str, ...]) -> ProtocolConfig:
    for name in names:
        if name not in PROTOCOLS:
            raise unknown_name("protocol", name, [*PROTOCOLS, "none"])
    switched: dict[str, Any] = {name: name in names for name in PROTOCOLS}
    return dataclasses.replace(config, **switched)


def command_line(config: ExperimentConfig) -> str:
    """A shell command that runs the same experiment; exact when the config differs from its preset only by options.

    Anything else is named in a trailing comment: save the configuration and run the file instead.
    """
    if config.preset not in PRESETS:
        return "python -m compat_core run config.json"
    start = PRESETS.get(config.preset).config
    options: dict[str, Any] = {}
    for name in ("dataset", "train_limit", "test_limit", "image_size", "eval_split"):
        if getattr(config.data, name) != getattr(start.data, name):
            options[name] = getattr(config.data, name)
    if config.methods != start.methods:
        options["methods"] = tuple(config.methods)
    for name in ("seeds", "device", "precision", "distance", "title"):
        if getattr(config, name) != getattr(start, name):
            options[name] = getattr(config, name)
    if config.protocols != start.protocols:
        options["protocols"] = tuple(name for name in PROTOCOLS if getattr(config.protocols, name))
    if config.old.arch == config.new.arch != start.old.arch:
        options["arch"] = config.old.arch
    for name in ("epochs", "batch_size"):
        value = getattr(config.old.train, name)
        if value == getattr(config.new.train, name) != getattr(start.old.train, name):
            options[name] = value
    if configure(config.preset, **options) != config:
        return "python -m compat_core run config.json  # with values no option covers: use the saved configuration"
    words = ["python", "-m", "compat_core", "run", "--preset", config.preset]
    for name, value in options.items():
        words.append("--" + name.replace("_", "-"))
        if name == "methods":
            words.append(",".join(spec.text for spec in value))
        elif name == "protocols":
            words.append(",".join(value) or "none")
        else:
            words += [str(item) for item in value] if isinstance(value, tuple) else [str(value)]
    return shlex.join(words)


def _changed(config: Any, **changes: Any) -> Any:
    """``config`` with every change that is not None."""
    kept = {key: value for key, value in changes.items() if value is not None}
    return dataclasses.replace(config, **kept) if kept else config


__all__ = ["PRESETS", "Preset", "command_line", "configure"]
