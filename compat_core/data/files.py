"""Find the image files of a class-per-folder tree. Looks at names and sizes only; nothing is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

EXTENSIONS = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm"})

TRAIN_NAMES = ("train",)
TEST_NAMES = ("test", "val", "valid", "validation")


@dataclass(frozen=True, slots=True)
class ImageFile:
    """One file that should be an image.

    Attributes:
        path: where it is.
        id: its path below the data set's root with ``/`` between parts; unique and printable as UTF-8.
        stamp: (bytes, modified ns, changed ns): differs whenever the file's content was rewritten. Bytes is -1 for a
            file that is not there (a dangling link, an entry of a list).
    """

    path: str
    id: str
    stamp: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Tree:
    """The image files below a root.

    Attributes:
        train: class name → its files; all files where the tree has no split of its own.
        test: class name → its files; empty where the tree has no split of its own.
        test_folder: name of the folder that ``test`` was read from, or "".
        notes: what was left out and why.
    """

    train: dict[str, list[ImageFile]]
    test: dict[str, list[ImageFile]]
    test_folder: str
    notes: tuple[str, ...]


def image_file(path: str | Path, name: str) -> ImageFile:
    """The file at ``path`` as an :class:`ImageFile` called ``name``, whether or not it exists."""
    try:
        info = os.stat(path)
    except OSError:
        return ImageFile(os.fspath(path), printable(name), (-1, 0, 0))
    # The time of change catches a file swapped for another of equal length and (set or restored) modification time.
    return ImageFile(os.fspath(path), printable(name), (info.st_size, info.st_mtime_ns, info.st_ctime_ns))


def printable(name: str) -> str:
    """``name`` with bytes that are not UTF-8 (as file names may hold) written as ``\\xNN``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def scan_tree(root: Path) -> Tree:
    """Read the layout ``root/CLASS/**/*.ext``, or ``root/{train,test|val|valid|validation}/CLASS/**/*.ext``.

    Folders and files whose name starts with a dot are ignored, as are folders without images. A folder reached twice
    through links is read once per class, so that a link to a parent cannot loop; a class folder that links to another
    is a class of its own. The notes name these, and hidden class folders.

    Raises:
        OSError: when ``root`` cannot be listed.
    """
    folders = {entry.name.casefold(): entry for entry in _listed(root) if entry.is_dir()}
    train_entry = next((folders[name] for name in TRAIN_NAMES if name in folders), None)
    if train_entry is not None:
        train, notes = scan_classes(Path(train_entry.path), train_entry.name)
        for test_entry in (folders[name] for name in TEST_NAMES if train and name in folders):
            test, test_notes = scan_classes(Path(test_entry.path), test_entry.name)
            # An unlabelled test folder (as Tiny ImageNet's and many challenges') has no class folders: look further.
            if len(test) >= 2:
                unused = _unused(folders, train_entry.name, test_entry.name)
                return Tree(train, test, test_entry.name, (*notes, *test_notes, *unused))
        # "train" may be a class (of vehicles): a split's train folder holds class folders and no images of its own.
        if len(train) >= 2 and not any(is_image_name(entry.name) for entry in _listed(train_entry.path)):
            return Tree(train, {}, "", (*notes, *_unused(folders, train_entry.name)))
    classes, notes = scan_classes(root, "")
    return Tree(classes, {}, "", tuple(notes))


def scan_classes(root: Path, prefix: str) -> tuple[dict[str, list[ImageFile]], list[str]]:
    """The files of each class folder directly below ``root``, classes and files sorted by name; and notes."""
    above = {(info.st_dev, info.st_ino) for info in (folder.stat() for folder in [root, *root.resolve().parents])}
    classes: dict[str, list[ImageFile]] = {}
    homes: dict[str, list[str]] = {}  # where links lead -> the class folders that lead there
    empty, loose = [], []
    for entry in _listed(root):
        if not entry.is_dir():
            loose += [entry.name] if is_image_name(entry.name) else []
            continue
        name = f"{prefix}/{entry.name}" if prefix else entry.name
        files = sorted(_walk(entry, name, set(above)), key=lambda file: file.id)
        if files:
            classes[printable(entry.name)] = files
            homes.setdefault(os.path.realpath(entry.path), []).append(entry.name)
        else:
            empty.append(entry.name)
    notes = []
    if empty:
        notes.append(f"{len(empty)} folder(s) without images were ignored: {shortened(empty)}")
    if loose:
        notes.append(f"{len(loose)} image(s) outside class folders were ignored: {shortened(loose)}")
    hidden = [entry.name for entry in _listed(root, hidden=True) if _holds_images(entry, above)]
    if hidden:
        notes.append(f"{len(hidden)} hidden folder(s) with images were ignored: {shortened(hidden)}")
    same = [" = ".join(names) for names in homes.values() if len(names) > 1]
    if same:
        notes.append(f"{len(same)} folder(s) count as several classes with the same images: {shortened(same)}")
    return dict(sorted(classes.items())), notes


def is_image_name(name: str) -> bool:
    """True for a name with one of :data:`EXTENSIONS`, in any case."""
    return os.path.splitext(name)[1].lower() in EXTENSIONS


def shortened(names: list[str], most: int = 3) -> str:
    """The first names and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(printable(name) for name in names[:most]) + more


def _unused(folders: dict[str, os.DirEntry[str]], *used: str) -> list[str]:
    names = sorted(entry.name for entry in folders.values() if entry.name not in used)
    return [f"folder(s) beside the split were not used: {shortened(names)}"] if names else []


def _walk(folder: os.DirEntry[str], name: str, seen: set[tuple[int, int]]) -> Iterator[ImageFile]:
    info = os.stat(folder.path)  # DirEntry.stat() has no inode on Windows
    if (info.st_dev, info.st_ino) in seen:
        return
    seen.add((info.st_dev, info.st_ino))
    for entry in _listed(folder.path):
        if entry.is_dir():
            yield from _walk(entry, f"{name}/{entry.name}", seen)
        # A dangling link is neither a file nor a folder, and is reported as unreadable; a pipe or socket is no image.
        elif is_image_name(entry.name) and (entry.is_file() or not os.path.exists(entry.path)):
            yield image_file(entry.path, f"{name}/{entry.name}")


def _holds_images(entry: os.DirEntry[str], above: set[tuple[int, int]]) -> bool:
    try:
        return entry.is_dir() and next(_walk(entry, entry.name, set(above)), None) is not None
    except OSError:  # a hidden folder is left out anyway: one that may not be read, such as a trash, stops nothing
        return False


def _listed(folder: str | Path, hidden: bool = False) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        chosen = [entry for entry in entries if entry.name.startswith(".") == hidden]
    return sorted(chosen, key=lambda entry: entry.name)
