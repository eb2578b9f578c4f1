"""The training loop, its configuration, random streams and checkpoints."""

from compat_core.training.config import TrainConfig, VersionConfig

__all__ = ["TrainConfig", "VersionConfig"]
