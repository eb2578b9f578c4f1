"""Vectors, labels and ids that people bring as ``.npy`` files, read without unpickling anything."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from compat_core.errors import CompatError
from compat_core.retrieval.inputs import check_embeddings, check_keys


def load_vectors(path: str | Path) -> np.ndarray:
    """Embeddings from an ``.npy`` file: (N, D) float32, finite.

    Raises:
        CompatError: for a missing or truncated file, one that is not .npy, an object dtype, another shape, or NaN.
    """
    return check_embeddings(str(path), _load(path)).numpy()


def load_labels(path: str | Path) -> np.ndarray:
    """Labels from an ``.npy`` file: (N,) int64 or unicode.

    Raises:
        CompatError: as :func:`load_vectors`, or for numbers that are not whole and texts that are empty or blank.
    """
    return _load_keys(path)


def load_ids(path: str | Path) -> np.ndarray:
    """Item ids from an ``.npy`` file: (N,) int64 or unicode. Raises CompatError as :func:`load_labels`."""
    return _load_keys(path)


def _load_keys(path: str | Path) -> np.ndarray:
    array = _load(path)
    if array.ndim != 1:
        raise CompatError(str(path), rule=f"shape is {array.shape}; must have one dimension: one entry per item")
    if not len(array):
        raise CompatError(str(path), rule=f"shape is {array.shape}; must hold at least one entry")
    return check_keys(str(path), array, len(array), str(path))


def _load(path: str | Path) -> np.ndarray:
    path = Path(path)
    if not path.is_file():
        raise CompatError(str(path), rule="no such file")
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise CompatError(str(path), rule=_reason(str(error)), fix="write it with numpy.save") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise CompatError(str(path), rule="is an archive of several arrays (.npz)", fix="save the one array as .npy")
    return array


def _reason(message: str) -> str:
    """Why numpy could not read a file, in words that say what to do."""
    if "Object arrays" in message:
        return "holds Python objects, which only unpickling could read, and that is refused"
    if any(word in message.lower() for word in ("pickle", "magic", "zip file")):
        return "is not an .npy file"
    return f"cannot be read as .npy, truncated perhaps ({message})"
