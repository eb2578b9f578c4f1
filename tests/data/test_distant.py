"""Images that do not fit the device: read by rows, ahead of time, and the same in every respect."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
import torch

from compat_core.data import distant
from compat_core.data.distant import AHEAD, DistantPixels, announced, placed, whole
from compat_core.data.images import ImageSet

CPU = torch.device("cpu")


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.randint(0, 256, (40, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_rows_parts_and_chunks_are_those_of_the_tensor(pixels: torch.Tensor) -> None:
    far = DistantPixels(pixels, CPU)
    rows = torch.tensor([7, 3, 3, 39])
    assert torch.equal(far[rows], pixels[rows])
    part = far.part(torch.arange(10, 30)).part(torch.tensor([5, 0]))
    assert torch.equal(part[torch.tensor([0, 1])], pixels[[15, 10]])
    assert (part.shape, part.nbytes, len(part)) == ((2, 3, 4, 4), 2 * 48, 2)
    assert [len(chunk) for chunk in far.split(16)] == [16, 16, 8]
    assert torch.equal(whole(far), pixels)
    with pytest.raises(IndexError):
        far[torch.tensor([40])]


def test_announced_batches_come_in_any_order_and_unannounced_ones_too(pixels: torch.Tensor) -> None:
    far = DistantPixels(pixels, CPU)
    batches = list(torch.randperm(40, generator=torch.Generator().manual_seed(1)).split(7))
    announced(far, batches)
    for batch in (batches[0], torch.tensor([1, 2]), batches[1], batches[4], *batches[2:]):
        assert torch.equal(far[batch], pixels[batch])
    announced(far, [])
    assert torch.equal(far[batches[0]], pixels[batches[0]])


def test_batches_are_read_before_they_are_asked_for(pixels: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    readers: list[int] = []
    read = DistantPixels._read

    def noted(self: DistantPixels, indices: np.ndarray, memory: torch.Tensor) -> torch.Tensor:
        readers.append(threading.get_ident())
        return read(self, indices, memory)

    monkeypatch.setattr(DistantPixels, "_read", noted)
    far = DistantPixels(pixels, CPU)
    batches = torch.arange(40).split(4)
    far.announce(batches)
    for done, batch in enumerate(batches, 1):
        far[batch]
        assert len(readers) <= done + AHEAD  # no more than that is held in memory
    assert len(readers) == len(batches)
    assert threading.get_ident() not in readers


def test_readers_leave_memory_to_the_thread_that_asks(pixels: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pinned memory is got from CUDA, which a thread must not call while another one records a graph."""
    callers: set[int] = set()
    empty = torch.empty

    def noted(*args: Any, **kwargs: Any) -> torch.Tensor:
        callers.add(threading.get_ident())
        return empty(*args, **kwargs)

    monkeypatch.setattr(torch, "empty", noted)
    assert torch.equal(whole(DistantPixels(pixels, CPU)), pixels)
    assert callers == {threading.get_ident()}


def test_room_decides(pixels: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    for room, where in ((None, torch.Tensor), (pixels.nbytes, torch.Tensor), (pixels.nbytes - 1, DistantPixels)):
        monkeypatch.setattr(distant, "room_for_images", lambda device, room=room: room)
        assert isinstance(placed(pixels, CPU), where)


def test_a_set_of_distant_images_has_subsets_that_share_them(pixels: torch.Tensor) -> None:
    images = ImageSet(
        DistantPixels(pixels, CPU), torch.arange(40) % 2, np.array([str(index) for index in range(40)]), ("a", "b")
    )
    some = images.subset([4, 2])
    assert isinstance(some.images, DistantPixels)
    assert some.images.source is pixels
    assert torch.equal(whole(some.images), pixels[[4, 2]])
    assert (some.channels, some.size, some.ids.tolist()) == (3, 4, ["4", "2"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU, and no stand-in for pinned memory")
def test_batches_reach_a_gpu(pixels: torch.Tensor) -> None:
    far = DistantPixels(pixels, torch.device("cuda:0"))
    batches = torch.arange(40, device="cuda:0").split(7)
    announced(far, batches)
    for batch in batches:
        read = far[batch]
        assert read.device.type == "cuda"
        assert torch.equal(read.cpu(), pixels[batch.cpu()])
    assert torch.equal(whole(far).cpu(), pixels)
