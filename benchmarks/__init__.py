"""Races against peers and against what the hardware allows; ``python -m benchmarks`` runs all of them."""

import os

# As in compat_core/__main__.py, and before torch is imported: a matrix product's threads that wait by spinning would
# keep the counting kernel's threads off the processor.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
