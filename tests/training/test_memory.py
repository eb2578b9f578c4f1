"""Freed memory is kept within a block and returned after it."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from compat_core.training import memory
from compat_core.training.memory import kept_memory

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
NUMBERS = 12 * 2**20  # float32: 48 MiB, more than glibc would keep by itself
PAGE = resource.getpagesize()


@pytest.fixture
def glibc(monkeypatch):
    for variable in memory.CHOSEN:
        monkeypatch.delenv(variable, raising=False)
    if memory._glibc() is None:
        pytest.skip("needs glibc, which this system does not use")


def resident():
    """MiB of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 2**20


# in a program of its own: where tensors go depends on the room that other work has left
COUNTS = """
import resource, torch
from compat_core.training.memory import kept_memory

def pages(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(12 * 2**20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

print(pages(8))
with kept_memory(torch.device("cpu")):
    pages(16)  # small tensors take the ends of the first places, until one is large enough with them
    print(pages(8))
print(pages(8))
"""


def test_a_block_asks_for_its_memory_once(glibc):
    done = subprocess.run([sys.executable, "-c", COUNTS], capture_output=True, text=True, check=True, cwd=ROOT)
    before, within, after = (int(pages) for pages in done.stdout.split())
    assert within < before / 4
    assert after > before / 8


def test_the_outermost_block_returns_what_is_free(glibc):
    with kept_memory(CPU):
        with kept_memory(CPU):
            below = [torch.ones(NUMBERS) for _ in range(4)]
            above = torch.ones(2**20)
            del below
        held = resident()
        assert memory._inside == 1
    assert resident() < held - 2 * NUMBERS * 4 / 2**20
    assert above.sum() == 2**20
    assert memory._inside == 0


def test_a_failure_within_ends_the_block(glibc):
    with pytest.raises(ZeroDivisionError), kept_memory(CPU):
        _ = 1 / 0
    assert memory._inside == 0


@pytest.mark.parametrize(("device", "variable"), [("cuda", ""), ("cpu", "MALLOC_TRIM_THRESHOLD_")])
def test_it_stays_out_of_what_is_not_its_own(device, variable, monkeypatch):
    if variable:
        monkeypatch.setenv(variable, "1000000")
    with kept_memory(torch.device(device)):
        assert memory._inside == 0


def test_another_system_changes_nothing(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    with kept_memory(CPU):
        assert memory._inside == 0
