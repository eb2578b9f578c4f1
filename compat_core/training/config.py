"""One version of an embedding model: its architecture, its loss and its training schedule."""

from __future__ import annotations

from dataclasses import dataclass, field

from compat_core.config import check_ranges, param
from compat_core.spec import Spec


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Optimiser and schedule of one training run: linear warm-up, then cosine decay to zero."""

    epochs: int = param(10, "passes over the training images", unit="epochs", low=1, high=10_000)
    batch_size: int = param(128, "images per optimiser step", unit="images", low=2, high=65_536)
    optimiser: str = param("adamw", "update rule", choices=("adamw", "sgd"))
    lr: float = param(2e-3, "peak learning rate", low=0.0, high=100.0)
    weight_decay: float = param(5e-4, "weight decay (decoupled for adamw)", low=0.0, high=10.0)
    warmup: float = param(0.1, "share of all steps spent warming up linearly", low=0.0, high=0.9)

    def __post_init__(self) -> None:
        check_ranges(self, "train")


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
