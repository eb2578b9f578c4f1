"""Random streams that depend only on names and numbers, so that a resumed run draws what an uninterrupted one draws."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def derive(*parts: int | str) -> int:
    """A 63-bit seed that is a function of ``parts`` alone (``derive(seed, "old", epoch)``)."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@contextmanager
def seeded(*parts: int | str) -> Iterator[None]:
    """Run a block under torch's global generator seeded from ``parts``; the outer state comes back afterwards."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(derive(*parts))
        yield


def generator(device: torch.device, *parts: int | str) -> torch.Generator:
    """A fresh generator on ``device`` seeded from ``parts``."""
    stream = torch.Generator(device=device)
    stream.manual_seed(derive(*parts))
    return stream
