"""Run every race, one process each, then write the page: ``python -m benchmarks``."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.page import PAGE, page

RACES = ("evaluation", "backfill", "verification", "search", "projection", "training", "transformation", "migration")


def main() -> int:
    """Exit status 1 when a race failed; the others still run."""
    failed = [name for name in RACES if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode]
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
