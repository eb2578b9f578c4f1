"""torchreid's Cython evaluation, as FastReID's package carries it: built where that package and Cython are installed.

Only that source file is taken from the installed package; the package, which wants much else, is not imported.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

NAME = "torchreid's Cython (from FastReID)"


def load() -> Any:
    """The compiled module with ``evaluate_cy``; None where the package, Cython or a C compiler is missing."""
    try:
        from Cython.Build import cythonize
        from setuptools import Distribution, Extension

        files = importlib.metadata.files("fastreid") or []
    except (ImportError, importlib.metadata.PackageNotFoundError):
        return None
    source = next(file for file in files if file.name == "rank_cy.pyx")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "rank_cy.pyx"
        copy.write_text(Path(str(source.locate())).read_text(encoding="utf-8"), encoding="utf-8")
        module = Extension("rank_cy", [str(copy)], include_dirs=[np.get_include()])
        built = Distribution({"ext_modules": cythonize([module], quiet=True, language_level=3)})
        command = built.get_command_obj("build_ext")
        command.build_lib = command.build_temp = folder  # type: ignore[union-attr]
        try:
            built.run_command("build_ext")
        except SystemExit:  # how setuptools says that there is no compiler
            return None
        spec = importlib.util.spec_from_file_location("rank_cy", next(Path(folder).glob("rank_cy*.so")))
        if spec is None or spec.loader is None:
            raise ImportError("rank_cy was built but cannot be loaded")
        loaded = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(loaded)
    return loaded


def evaluate(module: Any, emb: np.ndarray, labels: np.ndarray) -> float:
    """mAP of self-retrieval, each item left out of its own ranking: its own 'camera' is itself alone."""
    ids = np.arange(len(emb))
    return float(np.mean(module.evaluate_cy(1 - emb @ emb.T, labels, labels, ids, ids, 10)[1]))
