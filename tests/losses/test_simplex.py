"""The fixed simplex: its geometry, its spare vertices, and that training leaves it alone."""

import math

import pytest
import torch

from compat_core.errors import CompatError
from compat_core.losses import build_loss
from compat_core.losses.simplex import simplex_vertices
from compat_core.spec import Spec


@pytest.mark.parametrize("dim", [2, 3, 16, 128])
def test_vertices_are_unit_and_equally_far_apart(dim):
    vertices = simplex_vertices(dim).double()
    expected = torch.full((dim + 1, dim + 1), -1 / dim, dtype=torch.float64).fill_diagonal_(1.0)
    torch.testing.assert_close(vertices @ vertices.T, expected, atol=1e-6, rtol=0)


def test_spare_vertices_repel():
    loss = build_loss(Spec("simplex", {"scale": 3.0}), 4, 2).double()
    emb = torch.tensor([[0.5, -1.0, 2.0, 0.25]], dtype=torch.float64)
    logits = [3 * sum(a * b for a, b in zip(row, emb[0].tolist(), strict=True)) for row in simplex_vertices(4).tolist()]
    expected = -logits[1] + math.log(sum(math.exp(value) for value in logits))
    assert loss(emb, torch.tensor([1])).item() == pytest.approx(expected, rel=1e-5)
    assert loss.logits(emb).shape == (1, 2)


def test_two_versions_share_the_rows_of_their_common_classes():
    old, new = build_loss(Spec("simplex"), 8, 3), build_loss(Spec("simplex"), 8, 6)
    assert torch.equal(old.weight, new.weight[:3])
    assert torch.equal(old.spare[:3], new.weight[3:])


def test_nothing_of_it_is_trained_and_all_of_it_is_kept():
    loss, again = build_loss(Spec("simplex"), 8, 3), build_loss(Spec("simplex"), 8, 3)
    assert not [parameter for parameter in loss.parameters() if parameter.requires_grad]
    emb = torch.randn(5, 8, requires_grad=True)
    loss(emb, torch.tensor([0, 1, 2, 0, 1])).backward()
    assert torch.isfinite(emb.grad).all()
    again.load_state_dict(loss.state_dict())


def test_too_many_classes_are_refused():
    build_loss(Spec("simplex"), 4, 5)
    with pytest.raises(CompatError, match="set dim to at least 5"):
        build_loss(Spec("simplex"), 4, 6)


def test_new_rows_take_the_place_of_spare_vertices():
    head = build_loss(Spec("simplex"), 4, 2)
    wider = head.with_rows(torch.cat([head.weight, torch.randn(2, 4)]))
    assert torch.equal(wider.spare, head.spare[2:])
    assert len(head.weight) == 2
