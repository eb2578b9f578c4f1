"""ImageSet and Dataset: what they refuse, what they tell."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from compat_core.data.images import Dataset, ImageSet
from compat_core.errors import CompatError


def image_set(labels: list[int], prefix: str = "a", classes: int = 3, size: int = 4) -> ImageSet:
    images = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None].expand(-1, 1, size, size).clone()
    ids = np.array([f"{prefix}{index}" for index in range(len(labels))])
    return ImageSet(images, torch.tensor(labels), ids, tuple(f"class {index}" for index in range(classes)))


def test_properties_and_subset() -> None:
    images = image_set([0, 2, 2])
    assert (len(images), images.num_classes, images.channels, images.size) == (3, 3, 1, 4)
    assert images.present.tolist() == [0, 2]
    for indices in ([2, 0], np.array([2, 0]), torch.tensor([2, 0])):
        part = images.subset(indices)
        assert part.labels.tolist() == [2, 0]
        assert part.ids.tolist() == ["a2", "a0"]
        assert part.images[:, 0, 0, 0].tolist() == [2, 0]
    assert len(images.subset([])) == 0


@pytest.mark.parametrize("indices", [[3], [-1], [0, 0]])
def test_subset_refuses_what_is_not_there_or_twice(indices: list[int]) -> None:
    with pytest.raises(CompatError):
        image_set([0, 1, 2]).subset(indices)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"images": torch.zeros(2, 1, 4, 4)}, "images"),
        ({"images": torch.zeros(2, 2, 4, 4, dtype=torch.uint8)}, "images"),
        ({"images": torch.zeros(2, 1, 4, 5, dtype=torch.uint8)}, "images"),
        ({"labels": torch.tensor([0, 1], dtype=torch.int32)}, "labels"),
        ({"labels": torch.tensor([0])}, "labels"),
        ({"labels": torch.tensor([0, 2])}, "labels"),
        ({"labels": torch.tensor([-1, 0])}, "labels"),
        ({"ids": np.array(["a", "a"])}, "ids"),
        ({"ids": np.array([1, 2])}, "ids"),
        ({"class_names": ("x", "x")}, "class_names"),
    ],
)
def test_image_set_refuses(change: dict[str, object], named: str) -> None:
    good = {
        "images": torch.zeros(2, 1, 4, 4, dtype=torch.uint8),
        "labels": torch.tensor([0, 1]),
        "ids": np.array(["a", "b"]),
        "class_names": ("x", "y"),
    }
    ImageSet(**good)  # type: ignore[arg-type]
    with pytest.raises(CompatError, match=f"^{named}:"):
        ImageSet(**{**good, **change})  # type: ignore[arg-type]


def test_dataset_card_and_open_set() -> None:
    closed = Dataset("toy", "toy", "Toy", image_set([0, 0, 1]), image_set([1, 2, 2], "b"), "crop", ("a note",))
    card = json.loads(json.dumps(closed.card()))
    assert card["train_images"] == card["test_images"] == 3
    assert (card["train_classes"], card["test_classes"], card["shared_classes"]) == (2, 2, 1)
    assert card["test_classes_with_one_image"] == 1
    assert card["image_shape"] == [1, 4, 4]
    assert card["notes"] == ["a note"]
    assert not card["open_set"]
    assert Dataset("toy", "toy", "Toy", image_set([0, 1]), image_set([2, 2], "b")).open_set


def test_checksum_sees_every_change() -> None:
    def checksum(train: ImageSet) -> str:
        return Dataset("toy", "toy", "Toy", train, image_set([1, 2], "b")).checksum()

    base = image_set([0, 1, 2])
    pixel = base.images.clone()
    pixel[0, 0, 0, 0] += 1
    others = [
        ImageSet(pixel, base.labels, base.ids, base.class_names),
        ImageSet(base.images, base.labels.flip(0), base.ids, base.class_names),
        ImageSet(base.images, base.labels, base.ids[::-1], base.class_names),
        base.subset([2, 1, 0]),
    ]
    sums = {checksum(images) for images in [base, *others]}
    assert len(sums) == 5
    assert checksum(image_set([0, 1, 2])) == checksum(base)


def test_dataset_refuses_parts_that_do_not_fit() -> None:
    with pytest.raises(CompatError, match="size"):
        Dataset("toy", "toy", "Toy", image_set([0, 1]), image_set([0, 1], size=5))
    with pytest.raises(CompatError, match="class_names"):
        Dataset("toy", "toy", "Toy", image_set([0, 1]), image_set([0, 1], classes=4))
    with pytest.raises(CompatError, match="no images"):
        Dataset("toy", "toy", "Toy", image_set([0, 1]), image_set([0, 1]).subset([]))
    with pytest.raises(CompatError, match="augment"):
        Dataset("toy", "toy", "Toy", image_set([0, 1]), image_set([0, 1]), augment="flip")
