"""Weights on disk are whole or absent, and may be read by whom the rest of the folder may be read by."""

import os

import pytest
import torch

from compat_core.models import Embedder, load_module, save_module
from compat_core.models.saved import write_weights


def test_all_files_of_a_module_have_the_rights_that_new_files_have(tmp_path):
    net = Embedder("tiny-conv", 4, 1, 8)
    save_module(net, tmp_path / "net")
    (tmp_path / "plain").write_text("")
    modes = {path.stat().st_mode & 0o777 for path in [*(tmp_path / "net").iterdir(), tmp_path / "plain"]}
    assert len(modes) == 1 and {path.name for path in (tmp_path / "net").iterdir()} == {
        "model.json",
        "model.safetensors",
    }
    again = load_module(tmp_path / "net")
    assert all(
        torch.equal(one, other)
        for one, other in zip(net.state_dict().values(), again.state_dict().values(), strict=True)
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a disk without room")
def test_a_full_disk_is_an_os_error(tmp_path):
    (tmp_path / "w.safetensors.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        write_weights({"w": torch.zeros(100_000)}, tmp_path / "w.safetensors")
    assert not (tmp_path / "w.safetensors").exists()
