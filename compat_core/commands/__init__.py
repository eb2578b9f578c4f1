"""The commands of ``python -m compat_core``: each module adds its own to the parser, and loads torch only when run."""
