"""What a preset is: an experiment by name, with the sentence that says which paper's scenario it stands for.

:func:`configure` makes an experiment from one, :func:`command_line` the command that runs it.
"""

from __future__ import annotations

import dataclasses
import shlex
from dataclasses import dataclass
from typing import Any

from compat_core.errors import unknown_name
from compat_core.experiments.config import ExperimentConfig, ProtocolConfig
from compat_core.registry import Registry
from compat_core.spec import Spec


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


def register(preset: Preset) -> Preset:
    """Add ``preset`` to the list; its experiment is told the name. Raises ValueError for a name already taken."""
    return PRESETS.add(dataclasses.replace(preset, config=preset.config.replace(preset=preset.name)))


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
