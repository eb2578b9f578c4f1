"""``python -m compat_core``."""

import sys

from compat_core.cli import main

if __name__ == "__main__":
    sys.exit(main())
