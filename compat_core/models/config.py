"""One version of an embedding model: its architecture, its loss and its training."""

from __future__ import annotations

from dataclasses import dataclass, field

from compat_core.config import check_ranges, param
from compat_core.spec import Spec
from compat_core.training.config import TrainConfig


@dataclass(frozen=True, slots=True)
class VersionConfig:
    """Everything that makes one model version, old or new."""

    arch: str = param("tiny-conv", "backbone; see the models registry")
    dim: int = param(128, "dimension of the embedding", unit="dimensions", low=2, high=4096)
    pretrained: bool = param(False, "start from torchvision's ImageNet weights (downloaded once)")
    final_relu: bool = param(False, "end the embedding in a ReLU; breaks BCT, a negative control", paper="false (BCT)")
    loss: Spec = field(
        default_factory=lambda: Spec("normsoftmax"), metadata={"help": "classification loss the model is trained with"}
    )
    train: TrainConfig = field(default_factory=TrainConfig, metadata={"help": "its optimiser and schedule"})

    def __post_init__(self) -> None:
        check_ranges(self)
