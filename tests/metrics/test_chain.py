"""Chain summaries by hand."""

import numpy as np
import pytest

from compat_core.errors import CompatError
from compat_core.metrics.chain import chain_summary, chain_update_gains

MATRIX = np.array([[0.4, 9, 9], [0.5, 0.6, 9], [0.45, 0.6, 0.8]])


def test_by_hand():
    summary = chain_summary(MATRIX)
    assert summary.compatibility == pytest.approx(2 / 3)  # (2,1) and (3,1); (3,2) is a tie
    assert chain_summary(MATRIX, strict=False).compatibility == 1
    assert summary.mean == pytest.approx((0.4 + 0.5 + 0.6 + 0.45 + 0.6 + 0.8) / 6)
    assert summary.backward == pytest.approx(((0.45 - 0.4) + (0.6 - 0.6)) / 2)
    assert summary.forward == pytest.approx(((0.5 - 0.6) + (0.6 - 0.8)) / 2)


def test_bcts_sequential_gains():
    """(3,1) against the paragon of step 2, (3,2) against that of step 3."""
    gains = chain_update_gains(MATRIX, np.array([np.nan, 0.65, 0.9]))
    assert gains[2, 1] == pytest.approx(0.1 / 0.25)
    assert gains[3, 1] == pytest.approx(0.05 / 0.25)
    assert gains[3, 2] is None


def test_errors():
    with pytest.raises(CompatError, match="T × T"):
        chain_summary(np.zeros((2, 3)))
