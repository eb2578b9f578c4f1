"""``python -m compat_core``: the command line, also the program that the app launches."""

import os
import sys

# Read when torch loads its thread library, so before anything imports torch. Threads that wait by spinning make
# training several times slower as soon as another program wants a core; sleeping ones cost nothing to speak of.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from compat_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
