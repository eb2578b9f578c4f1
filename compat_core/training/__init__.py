"""The training loop, its configuration, random streams and checkpoints."""

from compat_core.training.config import TrainConfig

__all__ = ["TrainConfig"]
