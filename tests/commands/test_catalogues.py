"""Every registry as a list, for people and as JSON."""

from __future__ import annotations

import json

import pytest

from compat_core.cli import main
from compat_core.commands import catalogue


@pytest.mark.parametrize("command", list(catalogue.CATALOGUES))
def test_catalogues(command, capsys):
    assert main([command]) == 0
    text = capsys.readouterr().out
    assert main([command, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert entries
    for entry in entries:
        assert entry["name"] in text and entry["title"]
        for parameter in entry.get("parameters", []):
            assert parameter["help"] and {"unit", "low", "high", "choices", "paper", "default"} <= set(parameter)
