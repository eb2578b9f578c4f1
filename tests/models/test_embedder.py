"""A backbone that is not what its entry says is refused by its name, not by the layer behind it."""

import dataclasses

import pytest
import torch
from torch import nn

from compat_core.errors import CompatError
from compat_core.models import BACKBONES, Embedder


@pytest.mark.parametrize(
    ("built", "message"),
    [
        (lambda net: net, "backbone mine: got 'Sequential'; build must return .module, width."),
        (lambda net: (net, 9), r"backbone mine: got \(2, 12\); must give features of shape \(B, 9\)"),
        (lambda net: (nn.Identity(), 12), r"got \(2, 3, 2, 2\); must give features of shape \(B, 12\)"),
    ],
    ids=["no width", "another width", "no vectors"],
)
def test_a_backbone_of_another_shape_is_refused_by_its_name(built, message, monkeypatch):
    monkeypatch.setattr(BACKBONES, "_entries", dict(BACKBONES._entries))
    entry = dataclasses.replace(BACKBONES.get("tiny-conv"), name="mine", min_image_px=1)
    BACKBONES.add(dataclasses.replace(entry, build=lambda *_: built(nn.Sequential(nn.Flatten()))))
    with pytest.raises(CompatError, match=message):
        Embedder("mine", 4, 3, 2)(torch.zeros(2, 3, 2, 2))
