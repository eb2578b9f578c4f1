"""What images an experiment uses, and which part of them the old model saw."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from compat_core.config import check_ranges, param
from compat_core.errors import CompatError


@dataclass(frozen=True, slots=True)
class DataConfig:
    """The images of one experiment: where they come from and how they are cut into training and evaluation parts."""

    dataset: str = param("digits", "data set name, or folder:PATH for a tree with one folder of images per class")
    eval_dataset: str = param(
        "", "evaluate on another data set's evaluation images (domain shift); empty: on the data set's own"
    )
    image_size: int = param(0, "side the images are resized to; 0 keeps the data set's own", unit="px", low=0, high=512)
    train_limit: int = param(0, "most training images used, spread evenly over classes; 0 = all", unit="images", low=0)
    test_limit: int = param(0, "most evaluation images used, spread evenly over classes; 0 = all", unit="images", low=0)
    eval_split: str = param(
        "auto",
        "how evaluation images are set aside: given (the data set's own), instances (a share of every class), classes "
        "(whole classes never trained on), auto (given where there is one, else instances)",
        choices=("auto", "given", "instances", "classes"),
    )
    test_share: float = param(
        0.25, "share of images (or classes) set aside where the split is ours", low=0.01, high=0.9
    )
    augment: str = param(
        "auto",
        "training augmentation: none, crop (random shifts), crop-flip (shifts, mirroring), auto (the data set's own)",
        choices=("auto", "none", "crop", "crop-flip"),
    )

    def __post_init__(self) -> None:
        check_ranges(self, "data")


@dataclass(frozen=True, slots=True)
class ScenarioConfig:
    """What the old model was trained on, as a part of the new model's training images."""

    old_classes: float = param(1.0, "share of the sorted classes the old model saw, the first ones", low=0.0, high=1.0)
    old_images: float = param(1.0, "share of each of those classes' images the old model saw", low=0.0, high=1.0)
    chain: tuple[float, ...] = param(
        (), "shares of each class's images that successive versions saw, e.g. 0.25, 0.5, 1; empty = two versions"
    )
    biased_classes: float = param(
        0.0, "share of the old model's classes, the last of them, that it saw far too little of", low=0.0, high=0.9
    )
    biased_images: float = param(
        0.1, "share of a biased class's images the old model saw, beside old_images", low=0.0, high=1.0
    )

    def __post_init__(self) -> None:
        check_ranges(self, "scenario")
        growing = all(0 < earlier < later for earlier, later in pairwise(self.chain))
        if self.chain and not (len(self.chain) >= 2 and growing and self.chain[-1] <= 1):
            rule = "must be at least two growing shares in (0, 1]"
            raise CompatError("scenario.chain", value=list(self.chain), rule=rule, fix="for example 0.25, 0.5, 1")
