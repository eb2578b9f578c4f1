"""Run races, one process each, then write the page: ``python -m benchmarks [RACE …]``."""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.page import PAGE, page

RACES = ("evaluation", "backfill", "verification", "search", "projection", "training", "transformation", "migration")


def main() -> int:
    """Exit status 1 when a race failed; the others still run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "races", nargs="*", metavar="RACE", help=f"which to run; all when none is named: {', '.join(RACES)}"
    )
    chosen = parser.parse_args().races or RACES
    if unknown := [name for name in chosen if name not in RACES]:
        parser.error(f"no such race: {', '.join(unknown)}; there are {', '.join(RACES)}")
    failed = [name for name in chosen if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode]
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
