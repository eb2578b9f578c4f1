"""Every loss and every method trains on a GPU: nothing in it was left on the CPU."""

import pytest
import torch

from compat_core.losses import LOSSES
from compat_core.methods import METHODS
from compat_core.methods.fct import SIDES
from compat_core.spec import Spec
from compat_core.training.embedding import embed
from tests.methods.toy import make_context

QUICK_MAP = {"width": 16, "batch_size": 64, "epochs": 1, "side_dim": 8, "side_epochs": 1, "views": 1}
QUICK = {
    "fastfill": QUICK_MAP, "lce-cross": {"batch_size": 64, "epochs": 1, "views": 0}, "bt2": {"extra": 8},
}  # fmt: skip
SPECS = [
    *(Spec(name, QUICK.get(name, {})) for name in METHODS.names() if name != "fct"),
    *(Spec("fct", QUICK_MAP | {"side": side}) for side in SIDES),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.name}-{spec.params.get('side', '')}")
def test_a_method_fits_and_maps(spec, gpu):
    context = make_context(
        loss="simplex" if spec.name == "d-simplex" else "normsoftmax", device=gpu, epochs=1, per_class=6
    )
    method = METHODS.get(spec.name)
    upgrade = method.fit(context, method.configure(spec)).to(context.device).eval()
    assert {tensor.device.type for tensor in upgrade.state_dict().values()} == {"cuda"}
    images = context.train_images.images[:8].cpu()
    with torch.no_grad():
        old, new = embed(upgrade.old, images, context.device), embed(upgrade.new, images, context.device)
        side = None if upgrade.side is None else embed(upgrade.side, images, context.device)
        for emb in (upgrade.gallery_old(old, side), upgrade.gallery_new(new), upgrade.query(new)):
            assert emb.device.type == "cuda" and bool(torch.isfinite(emb).all())


@pytest.mark.parametrize("name", LOSSES.names())
def test_a_loss_trains(name, gpu):
    context = make_context(loss=name, device=gpu, epochs=1, per_class=6)
    assert {tensor.device.type for tensor in context.paragon.head.state_dict().values()} <= {"cuda"}
