"""Fixtures of the data tests: a cache of their own, image trees, and the real images where they are present."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Never touch the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("COMPATBENCH_CACHE", str(folder))
    monkeypatch.setenv("COMPATBENCH_DATA", str(folder / "data"))
    return folder


@pytest.fixture
def make_tree(tmp_path: Path) -> Callable[..., Path]:
    """``make_tree({"cat": 3, "dog": 2}, under="train")`` writes random images; gives the root."""

    def make(classes: dict[str, int], under: str = "", suffix: str = ".png", size: int = 12, mode: str = "RGB") -> Path:
        root = tmp_path / "tree"
        for number, (name, count) in enumerate(classes.items()):
            folder = root / under / name
            folder.mkdir(parents=True, exist_ok=True)
            rng = np.random.default_rng([number, len(under)])
            for index in range(count):
                shape = (size, size, 3) if mode == "RGB" else (size, size)
                pixels = rng.integers(0, 256, shape, dtype=np.uint8)
                Image.fromarray(pixels).convert(mode).save(folder / f"{index:03d}{suffix}")
        return root

    return make


@pytest.fixture(scope="session")
def omniglot_small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real characters of the shared data folder, unpacked once per session."""
    if not (SHARED / "omniglot-small.tar.xz").is_file():
        pytest.skip(f"no real images in {SHARED}")
    if shutil.which("tar") is None or shutil.which("xz") is None:
        pytest.skip("unpacking needs tar and xz")
    folder = tmp_path_factory.mktemp("shared")
    for archive in SHARED.glob("*.tar.xz"):  # the script leaves what is already there alone: only the small one
        if not archive.name.startswith("omniglot"):
            (folder / archive.name.removesuffix(".tar.xz")).mkdir()
    subprocess.run(["bash", str(SHARED / "unpack"), str(folder)], check=True, capture_output=True)
    return folder / "omniglot-small"
