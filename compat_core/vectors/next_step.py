"""What to run once an option was decided on: the command that carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

FORWARD, BACKWARD, JOINED = " old→new", " new→old", " + "
PAIR = ("old", "new", "labels", "ids", "new-ids")  # options of decide that a fit takes too


def migration(option: str, files: Mapping[str, str], map_folder: Path, out: Path) -> list[str]:
    """The words after ``compat_core`` that fit an adapter on all pairs and migrate the old vectors with it.

    Args:
        option: an option's name, such as ``ridge old→new``, with what is backfilled beside it or not.
        files: option of ``decide`` -> file; ``old`` and ``new`` among them.
        map_folder, out: where the map and the new vectors go.
    """
    adapter, _, more = option.partition(JOINED)[0].partition(FORWARD)
    side = bool(more) and "side" in files
    pair = [
        word for name in (*PAIR, *(["side"] if side else [])) if name in files for word in (f"--{name}", files[name])
    ]
    beside = ["--vectors-side", files["side"]] if side else []
    return [
        "migrate", "--map", str(map_folder), "--adapter", adapter, *pair, "--vectors", files["old"], *beside,
        "--out", str(out),
    ]  # fmt: skip


def next_command(option: str, files: Mapping[str, str], folder: Path) -> list[str]:
    """The words after ``compat_core`` that carry an option out; empty where no command of this program does.

    Args:
        option: the name of one, or empty.
        files: as for :func:`migration`.
        folder: where the map and the new vectors go.
    """
    if not {"old", "new"} <= set(files):
        return []
    if FORWARD in option:
        return migration(option, files, folder / "map", folder / "migrated.npy")
    if BACKWARD in option:
        pair = [word for name in PAIR if name in files for word in (f"--{name}", files[name])]
        adapter = option.partition(BACKWARD)[0]
        return ["fit-map", *pair, "--adapter", adapter, "--to-old", "--out", str(folder / "map")]
    return []
