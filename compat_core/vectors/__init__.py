"""Vectors that are already in production: what to do with them when a better model arrives, and what it costs."""
