"""Before any test imports torch: threads that wait should sleep, as ``compat_core/__main__.py`` has it."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
