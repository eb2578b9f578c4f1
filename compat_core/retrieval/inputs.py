"""What people hand in (numpy, torch, lists; any number type) checked and brought into one shape, or refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from compat_core.errors import CompatError


def check_embeddings(name: str, values: Any) -> torch.Tensor:
    """Embeddings as a contiguous float32 matrix, on the device they came from.

    Args:
        name: the argument, for messages (``"query_emb"``).
        values: numpy array, torch tensor or nested list of numbers, (N, D) with N, D >= 1; any real dtype. Half
            precision and float64 become float32.

    Returns:
        (N, D) float32, detached from any graph.

    Raises:
        CompatError: for a wrong shape, no rows, a dtype that is not a number, NaN or infinite entries (also a float64
            value beyond the float32 range).
    """
    if isinstance(values, torch.Tensor):
        if values.layout != torch.strided or values.is_complex():
            raise CompatError(name, rule=f"is {values.dtype}, {values.layout}; must be a dense, real tensor")
        check_matrix_shape(name, tuple(values.shape))
        tensor = values.detach().to(torch.float32).contiguous()
    else:
        array = _as_array(name, values)
        if array.dtype.kind not in "fiu":
            raise CompatError(name, rule=f"dtype is {array.dtype}; must hold real numbers", fix="save float32")
        check_matrix_shape(name, array.shape)
        with np.errstate(over="ignore"):  # a value beyond float32 becomes infinite and is refused, by row, below
            array = np.ascontiguousarray(array, dtype=np.float32)
        # A memory-mapped or frozen array cannot be shared with torch, which has no read-only tensors.
        tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
    if math.isfinite(
        float(tensor.sum())
    ):  # one pass; a sum of finite values may overflow, one of others is never finite
        return tensor
    bad_rows = (~torch.isfinite(tensor).all(dim=1)).nonzero().view(-1)
    if len(bad_rows):
        raise CompatError(
            name,
            rule=f"NaN or infinite values in {len(bad_rows)} of {len(tensor)} rows, first in row {int(bad_rows[0])}; "
            "every value must be finite in float32",
            fix="drop those rows or look at the model that produced them",
        )
    return tensor


def check_matrix_shape(name: str, shape: tuple[int, ...]) -> None:
    """Raise CompatError unless ``shape`` is (N, D) with N, D >= 1."""
    if len(shape) != 2:
        raise CompatError(name, rule=f"shape is {shape}; must have two dimensions: (items, embedding dimension)")
    if 0 in shape:
        raise CompatError(name, rule=f"shape is {shape}; must hold at least one item and one dimension")


def check_pair(query: torch.Tensor, gallery: torch.Tensor | np.ndarray) -> None:
    """Raise CompatError when query and gallery vectors differ in dimension."""
    if query.shape[1] != gallery.shape[1]:
        raise CompatError(
            "query and gallery embeddings",
            rule=f"{query.shape[1]} and {gallery.shape[1]} dimensions; both must live in one and the same space",
            fix="map one side into the other's space first",
        )


def check_keys(name: str, values: Any, length: int, of: str) -> np.ndarray:
    """Labels or ids as a one-dimensional array of whole numbers or of texts.

    Args:
        name: the argument, for messages (``"query_labels"``).
        values: (N,) whole numbers, booleans or texts; floats pass when every one of them is a whole number.
        length: the number of items there must be.
        of: the argument those items come from, for messages.

    Returns:
        (N,) int64, or uint64 where the numbers need it, or unicode.

    Raises:
        CompatError: for a wrong shape or length, an empty or blank text, or a type that cannot be compared exactly.
    """
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu().numpy() if values.dtype != torch.bfloat16 else values.detach().cpu().float()
    array = _as_array(name, values)
    if array.ndim != 1:
        raise CompatError(name, rule=f"shape is {array.shape}; must have one dimension: one entry per item")
    if len(array) != length:
        raise CompatError(name, rule=f"{len(array)} entries; must be as many as {of} has rows ({length})")
    if array.dtype.kind == "O" and all(isinstance(entry, str) for entry in array):
        array = array.astype(str)
    exact = _exact(name, array)
    if exact.dtype.kind == "U":
        refuse_empty(name, np.char.strip(exact) == "")
    return exact


def refuse_empty(name: str, empty: np.ndarray) -> None:
    """Raise CompatError when any of the items ``(N,)`` bool has no value: all of them would be one class or item."""
    rows = np.flatnonzero(empty)
    if len(rows):
        rule = f"{len(rows):,} empty, the first in row {rows[0]}; every item needs a value"
        raise CompatError(
            name, rule=rule, fix="fill each of them; those with the same value count as one class or item"
        )


def _exact(name: str, array: np.ndarray) -> np.ndarray:
    kind = array.dtype.kind
    if kind == "f":
        if not (np.isfinite(array).all() and (array == np.floor(array)).all() and (np.abs(array) < 2**53).all()):
            raise CompatError(name, rule=f"dtype is {array.dtype}; floats must all be whole numbers below 2^53")
        return array.astype(np.int64)
    if kind == "S":
        try:
            return np.char.decode(array, "utf-8")
        except UnicodeDecodeError as error:
            raise CompatError(name, rule=f"byte strings that are no UTF-8 ({error.reason})") from error
    if kind == "U":
        return array
    if kind in "biu":
        fits = kind != "u" or not len(array) or int(array.max()) <= np.iinfo(np.int64).max
        return array.astype(np.int64) if fits else array
    raise CompatError(name, rule=f"dtype is {array.dtype}; must hold whole numbers or texts")


def shared_codes(name: str, query: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Replace labels (or ids) of both sides by whole numbers that are equal exactly where the originals are.

    Args:
        name: what they are, in the plural, for messages (``"labels"``).
        query, gallery: outputs of :func:`check_keys`.

    Returns:
        (Nq,) int64 and (Ng,) int64, both in [0, number of distinct values).

    Raises:
        CompatError: when one side is texts and the other numbers, which would never be equal, or when numbers of 2^63
            or more stand on one side only, which have no integer type in common with the other.
    """
    if {query.dtype.kind, gallery.dtype.kind} == {"i", "u"}:  # uint64 comes out of check_keys only from 2^63 on
        raise CompatError(
            f"query and gallery {name}",
            rule=f"dtypes are {query.dtype} and {gallery.dtype}; numbers of 2^63 or more on one side only cannot be "
            "compared with int64",
            fix="save both sides as texts, or as whole numbers below 2^63",
        )
    if query.dtype.kind != gallery.dtype.kind:
        raise CompatError(
            f"query and gallery {name}",
            rule=f"dtypes are {query.dtype} and {gallery.dtype}; both must be texts or both whole numbers",
        )
    _, codes = np.unique(np.concatenate([query, gallery]), return_inverse=True)
    codes = codes.reshape(-1).astype(np.int64)
    return codes[: len(query)], codes[len(query) :]


def check_ids(
    query_ids: Any, gallery_ids: Any, num_query: int, num_gallery: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Identity codes of both sides, or None when no ids were given.

    Raises:
        CompatError: when only one side has ids, or they do not fit the embeddings.
    """
    if query_ids is None and gallery_ids is None:
        return None
    if query_ids is None or gallery_ids is None:
        missing = "query_ids" if query_ids is None else "gallery_ids"
        raise CompatError(missing, value=None, rule="ids exclude an item from its own search", fix="give both or none")
    query = check_keys("query_ids", query_ids, num_query, "query_emb")
    gallery = check_keys("gallery_ids", gallery_ids, num_gallery, "gallery_emb")
    return shared_codes("ids", query, gallery)


def _as_array(name: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:
        raise CompatError(name, rule=f"a {type(values).__name__} that cannot be read as an array ({error})") from error
