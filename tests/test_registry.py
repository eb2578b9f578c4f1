"""Registries refuse, with the entry's name, what forms, command lines and pages could not be made from."""

import dataclasses
from dataclasses import dataclass

import pytest

from compat_core.config import param
from compat_core.methods import METHODS
from compat_core.registry import Registry


@dataclass(frozen=True)
class Plain:
    width: int = 3


@dataclass(frozen=True)
class Documented:
    width: int = param(3, "a width")


@dataclass(frozen=True)
class Entry:
    name: str = "mine"
    title: str = "Mine"
    summary: str = "It is mine."
    config: type = Documented


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"title": None}, "thing 'mine': its title must be a text"),
        ({"summary": 3}, "its summary must be a text"),
        ({"name": "my loss"}, "thing 'my loss': its name must have no space, comma, colon or equals sign"),
        ({"name": "mine:x=1"}, "its name must have no"),
        ({"config": dict}, "must be a dataclass, not dict"),
        ({"config": Plain}, "make width of its config with param"),
    ],
)
def test_an_entry_that_pages_cannot_show_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Registry("thing").add(dataclasses.replace(Entry(), **changes))


def test_a_good_entry_is_taken_once():
    things = Registry("thing")
    assert things.add(Entry()) is things.get("mine")
    with pytest.raises(ValueError, match="registered twice"):
        things.add(Entry())


def test_a_method_of_no_family_is_refused():
    with pytest.raises(ValueError, match="its family must be one of"):
        dataclasses.replace(METHODS.get("bct"), family="bakward")
