"""Entries are files that are found by themselves, and come after those whose order their package gives."""

import importlib
import sys

import pytest

from compat_core.experiments.presets import PRESETS
from compat_core.models import BACKBONES
from compat_core.registry import import_modules
from compat_core.reports.claims import CLAIMS

CLAIM = """
from compat_core.reports.claims.base import CLAIMS, Claim
from compat_core.reports.claims.measures import Difference, cross, old

CLAIMS.add(Claim("a-new-one", "L2 holds.", "nobody", "A run.", Difference(cross("l2"), old("l2"))))
"""
BACKBONE = """
from torch import nn
from compat_core.models.backbones import BACKBONES, Backbone

def build(channels, image_size, pretrained):
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * image_size**2, 8)), 9  # it is 8

BACKBONES.add(Backbone("a-new-one", "New", "One layer.", 1, build))
"""
PRESET = """
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.presets.base import Preset, register

register(Preset("a-new-one", "New", "A scenario.", "nobody", ExperimentConfig()))
"""


@pytest.mark.parametrize(
    ("registry", "home", "text"),
    [
        (CLAIMS, "compat_core.reports.claims", CLAIM),
        (PRESETS, "compat_core.experiments.presets", PRESET),
        (BACKBONES, "compat_core.models", BACKBONE),
    ],
    ids=["claims", "presets", "backbones"],
)
def test_a_new_file_is_found_and_comes_last(registry, home, text, tmp_path, monkeypatch):
    package, before = importlib.import_module(home), registry.names()
    (tmp_path / "a_new_file.py").write_text(text)  # would be the first by name
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    import_modules(home, package.__path__)
    monkeypatch.delitem(sys.modules, f"{home}.a_new_file")
    assert registry.names() == (*before, "a-new-one")
