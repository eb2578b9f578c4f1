import numpy as np
import pytest
import torch

from compat_core.adapters import Pairs
from compat_core.errors import CompatError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(10, 4)), RNG.normal(size=(10, 3))


def test_batches_are_the_rows_in_order():
    parts = list(Pairs(X, Y).batches(4))
    assert [len(source) for source, _ in parts] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([source for source, _ in parts]), X)
    np.testing.assert_array_equal(np.concatenate([target for _, target in parts]), Y)


@pytest.mark.parametrize(
    "convert", [lambda x: x.tolist(), torch.tensor, lambda x: x.astype(">f4"), lambda x: torch.tensor(x).bfloat16()]
)
def test_what_people_bring(convert):
    source, target, side = Pairs(convert(X), convert(Y)).rows(np.array([3, 1]))
    assert source.dtype == target.dtype == torch.float32 and side is None
    np.testing.assert_allclose(source, X[[3, 1]], rtol=1e-2)
    np.testing.assert_allclose(target, Y[[3, 1]], rtol=1e-2)


def test_take_and_swap_keep_items_together():
    pairs = Pairs(X, Y, labels=list("abcdefghij"), side=X[:, :2])
    chosen = pairs.take(np.array([7, 2]))
    assert chosen.labels.tolist() == ["h", "c"]
    np.testing.assert_array_equal(chosen.source, X[[7, 2]])
    np.testing.assert_array_equal(chosen.target, Y[[7, 2]])
    np.testing.assert_array_equal(chosen.side, X[[7, 2], :2])
    assert (pairs.source_dim, pairs.target_dim, pairs.side_dim, len(pairs)) == (4, 3, 2, 10)
    swapped = pairs.swapped()
    assert (swapped.source_dim, swapped.target_dim, swapped.side_dim) == (3, 4, 0)
    assert swapped.labels.tolist() == list("abcdefghij")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, Y[:9]), r"target vectors: got '9 rows'; must be as many .* \(10\)"),
        ((X, Y, None, X[:3]), "side-information: got '3 rows'"),
        ((X, Y, [1, 2]), "labels: got '2 rows'"),
        ((X, Y, RNG.normal(size=10)), "labels: .*one whole number or text per item"),
        ((X, Y, np.zeros((10, 1), int)), "labels: shape is"),
        ((X[0], Y), "source vectors: shape is .*two dimensions"),
        ((X[:0], Y[:0]), "source vectors: shape is .*at least one item"),
        ((X, Y[:, :0]), "target vectors: .*one dimension"),
        ((X.astype(str), Y), "source vectors: dtype is .*real numbers"),
        ((X, Y.astype(complex)), "target vectors: dtype is complex128"),
        (([[1.0], [1.0, 2.0]], Y), "source vectors: a list that cannot be read"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(CompatError, match=message):
        Pairs(*arguments)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_values_that_are_not_finite_in_float32(value):
    for name in ("source", "target", "side"):
        arrays = {"source": X.copy(), "target": Y.copy(), "side": X.copy()}
        arrays[name][6, 1] = value
        with pytest.raises(CompatError, match="in row 6"):
            list(Pairs(**arrays).batches(4))
