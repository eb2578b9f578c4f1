"""CompatBench: train, fit and measure embedding models that stay compatible with the gallery they replace."""

__version__ = "0.1.0"
