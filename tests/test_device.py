"""Device and precision: what is chosen, what is said, and where half precision stops."""

import pytest
import torch
import torch.nn.functional as F

from compat_core.device import for_small_images, pick_device
from compat_core.errors import CompatError
from compat_core.losses import LOSSES
from compat_core.spec import Spec


def has_bfloat16(monkeypatch, able):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": able})


@pytest.mark.parametrize(
    ("able", "precision", "expected"),
    [
        (True, "auto", torch.bfloat16),
        (False, "auto", None),
        (True, "float32", None),
        (False, "bfloat16", torch.bfloat16),
    ],
)
def test_a_cpu_trains_in_bfloat16_where_it_multiplies_it_or_is_told_to(monkeypatch, able, precision, expected):
    has_bfloat16(monkeypatch, able)
    choice = pick_device("cpu", precision)
    assert choice.autocast is expected
    assert ("bfloat16" in choice.reason) is (expected is not None)


def test_small_images_stay_in_float32_unless_told_otherwise(monkeypatch):
    has_bfloat16(monkeypatch, True)
    choice = pick_device("cpu")
    assert for_small_images(choice, 8, "auto").autocast is None
    assert for_small_images(choice, 32, "auto").autocast is torch.bfloat16
    assert for_small_images(pick_device("cpu", "bfloat16"), 8, "bfloat16").autocast is torch.bfloat16


def test_unknown_precision():
    with pytest.raises(CompatError, match="float32"):
        pick_device("cpu", "float23")


@pytest.mark.parametrize("name", ["softmax", "normsoftmax", "cosface", "arcface", "triplet", "centre", "simplex"])
def test_logits_are_computed_in_float32_under_autocast(name):
    loss = LOSSES.get(name)
    head = loss.build(24, 10, loss.configure(Spec(name)))
    emb = torch.randn(16, 24, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = head.logits(emb)
        rounded = F.linear(emb, head.weight)
    assert torch.equal(found, head.logits(emb)) and found.dtype == torch.float32
    assert rounded.dtype == torch.bfloat16  # the block above does round where nothing stops it
