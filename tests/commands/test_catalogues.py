"""Every registry as a list, for people and as JSON."""

from __future__ import annotations

import json

import pytest

from compat_core.cli import main
from compat_core.commands import catalogue
from compat_core.reports.claims import CLAIMS
from tests.commands.stage import one_error_line


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


def test_claims_are_listed_with_their_sources(capsys):
    assert main(["claims", "--list", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in entries] == list(CLAIMS.names())
    assert main(["claims", "--list"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for entry in entries:
        assert f"{entry['name']} {entry['statement']} {entry['source']} refuted by: {entry['refuted_by']}" in shown


@pytest.mark.parametrize(
    ("arguments", "said"), [([], "ids of finished runs, or --list"), (["x", "--list"], "not both")]
)
def test_claims_are_put_to_runs_or_listed(arguments, said, capsys):
    assert main(["claims", *arguments]) == 2
    assert said in one_error_line(capsys)
