"""The README says what is true: its Python runs, its commands and methods exist."""

import re
from pathlib import Path

from compat_core.cli import main
from compat_core.methods import available

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


COMMANDS = ("run", "demo", "table", "report", "reproduction", "evaluate", "runs", "claims", "decide", "gate", "check",
            "fit-map", "migrate", "stamp", "mixed-search")  # fmt: skip


def test_python_blocks_run():
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


def test_every_method_is_in_the_table():
    for name in available():
        assert f"`{name}`" in README, name


def test_every_command_and_option_exists(capsys):
    options = ""
    for command in COMMANDS:
        assert main([command, "--help"]) == 0
        options += capsys.readouterr().out
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README))
    assert "--methods" in named
    for option in named:
        assert option in options, option


def test_local_links_and_pictures_exist():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if not target.startswith("http"):
            assert (ROOT / target).exists(), target


def test_opens_with_the_two_commands():
    head = README[:400]
    assert "make app" in head and "make test" in head
