"""Strict configuration: unknown keys, wrong types and ranges are refused with a line that helps."""

import dataclasses
import importlib
import json
import pkgutil
import sys

import pytest

from compat_core.config import digest, from_dict
from compat_core.data.config import DataConfig, ScenarioConfig
from compat_core.errors import CompatError, unknown_name
from compat_core.experiments.config import ExperimentConfig
from compat_core.registry import Registry, import_modules
from compat_core.spec import Spec, parse_specs
from compat_core.training.config import TrainConfig, VersionConfig


def test_experiment_survives_json():
    config = ExperimentConfig(methods=(Spec("fct", {"side": "none"}, "plain"), Spec("bct")), seeds=(3, 4))
    assert ExperimentConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"metods": []}, ["metods", "methods"]),
        ({"old": {"train": {"epoch": 3}}}, ["old.train", "epochs"]),
        ({"old": {"train": {"epochs": 0}}}, ["old.train.epochs", "0", "from 1"]),
        ({"data": {"eval_split": "instance"}}, ["data.eval_split", "instances"]),
        ({"seeds": [1, 1]}, ["seeds", "twice"]),
        ({"seeds": []}, ["seeds"]),
        ({"methods": []}, ["methods"]),
        ({"seeds": [-1]}, ["seeds"]),
        ({"seeds": [2**63]}, ["seeds", str(2**63 - 1)]),
        ({"old": {"dim": "wide"}}, ["old.dim", "whole number"]),
        ({"old": {"dim": True}}, ["old.dim", "whole number"]),
        ({"old": 3}, ["old", "object"]),
        ({"schema_version": 99}, ["schema_version", "99"]),
    ],
)
def test_bad_values_are_named_in_one_line(values, words):
    with pytest.raises(CompatError) as caught:
        ExperimentConfig.from_dict(values)
    line = str(caught.value)
    assert "\n" not in line
    for word in words:
        assert word in line


def test_ranges_hold_for_direct_construction_too():
    with pytest.raises(CompatError, match=r"train\.epochs"):
        TrainConfig(epochs=0)


def test_whole_floats_are_integers_and_integers_are_floats():
    config = from_dict(TrainConfig, {"epochs": 3.0, "lr": 1})
    assert config.epochs == 3
    assert config.lr == 1.0


def test_digest_changes_with_any_value():
    assert digest(TrainConfig()) == digest(TrainConfig())
    assert digest(TrainConfig()) != digest(TrainConfig(lr=1e-3))


@pytest.mark.parametrize("cls", [DataConfig, ScenarioConfig, VersionConfig, TrainConfig, ExperimentConfig])
def test_every_field_is_documented(cls):
    for field in dataclasses.fields(cls):
        assert field.metadata.get("help"), f"{cls.__name__}.{field.name} has no help text"


def test_config_file_errors(tmp_path):
    with pytest.raises(CompatError, match="no such file"):
        ExperimentConfig.from_file(tmp_path / "none.json")
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    with pytest.raises(CompatError, match="not valid JSON"):
        ExperimentConfig.from_file(broken)


def test_specs_read_and_write():
    specs = parse_specs("independent,fct:side=none,epochs=40,as=plain, lce")
    assert [spec.label for spec in specs] == ["independent", "plain", "lce"]
    assert specs[1].params == {"side": "none", "epochs": 40}
    assert parse_specs(",".join(spec.text for spec in specs)) == specs
    with pytest.raises(CompatError, match="key=value"):
        Spec.parse("fct:side")


def test_registry_suggests_and_refuses_doubles():
    registry: Registry[Spec] = Registry("fruit")
    registry.add(Spec("apple"))
    with pytest.raises(CompatError, match="'apple'"):
        registry.get("aple")
    with pytest.raises(ValueError, match="twice"):
        registry.add(Spec("apple"))


def test_a_file_put_into_a_package_is_found(tmp_path, monkeypatch):
    (tmp_path / "fruits").mkdir()
    for name in ("__init__", "pear", "apple"):
        (tmp_path / "fruits" / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    package = importlib.import_module("fruits")
    import_modules("fruits", package.__path__)
    assert [name for name in sys.modules if name.startswith("fruits.")] == ["fruits.apple", "fruits.pear"]
    for name in ("methods", "losses", "adapters", "data"):
        folder = importlib.import_module(f"compat_core.{name}").__path__
        assert all(f"compat_core.{name}.{module.name}" in sys.modules for module in pkgutil.iter_modules(folder))


def test_errors_are_one_short_line():
    error = CompatError("x", value="y" * 1000, rule="two\nlines")
    assert "\n" not in str(error)
    assert len(str(error)) < 200
    assert "did you mean" not in str(unknown_name("method", "zzzzzz", ["bct"]))
