"""``folder:PATH``: the user's own images, one folder per class, with or without train and test folders above them."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import numpy as np

from compat_core.data.assemble import About, from_files
from compat_core.data.base import DATASETS, DatasetEntry, Progress
from compat_core.data.config import DataConfig
from compat_core.data.files import EXTENSIONS, printable, scan_tree
from compat_core.data.images import Dataset
from compat_core.errors import CompatError

PREFIX = "folder:"
_LAYOUT = "PATH/CLASS/*.jpg, or PATH/train/CLASS/*.jpg and PATH/test/CLASS/*.jpg"


def load(config: DataConfig, progress: Progress | None = None) -> Dataset:
    """Read ``PATH/CLASS/**/*.ext`` or ``PATH/{train,test|val|valid|validation}/CLASS/**/*.ext``.

    Files that cannot be read as an image are skipped and counted in the notes. With ``image_size`` 0, equal squares up
    to 128 px keep their size and anything else becomes 64 px. Images stay grey when a sample of them is all grey.

    Raises:
        CompatError: when the folder is missing, cannot be listed, holds fewer than two class folders with images, or
            when more than half of its files are unreadable.
    """
    given = config.dataset.removeprefix(PREFIX).strip()
    if not given or not config.dataset.startswith(PREFIX):
        raise CompatError("data set", value=config.dataset, rule="needs a path", fix="write folder:PATH")
    root = Path(given).expanduser()
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "no such folder"
        raise CompatError("data set folder", value=given, rule=what, fix=f"expected {_LAYOUT}")
    try:
        tree = scan_tree(root)
    except OSError as error:
        raise CompatError("data set folder", value=given, rule=f"cannot be listed ({error})") from error
    class_names = sorted(tree.train.keys() | tree.test.keys())
    if len(class_names) < 2:
        found = "1 class folder with images" if class_names else "no class folders with images"
        rule = f"has {found} ({' '.join(sorted(EXTENSIONS))}) and needs at least 2"
        raise CompatError("data set folder", value=given, rule=rule, fix=f"expected {_LAYOUT}")
    number = {name: label for label, name in enumerate(class_names)}
    parts = [(name, part[name], is_test) for part, is_test in ((tree.train, False), (tree.test, True)) for name in part]
    files = list(chain.from_iterable(found for _, found, _ in parts))
    counts = [len(found) for _, found, _ in parts]
    labels = np.repeat(np.array([number[name] for name, _, _ in parts], dtype=np.int64), counts)
    is_test = np.repeat(np.array([flag for _, _, flag in parts]), counts) if tree.test else None
    name = printable(root.resolve().name) or "folder"
    notes = list(tree.notes)
    only_test = sorted(tree.test.keys() - tree.train.keys())
    if only_test:
        notes.append(f"{len(only_test)} class(es) of {tree.test_folder} do not occur in training")
    if tree.test:
        notes.append(f"read from its folders train and {tree.test_folder}")
    about = About(name, f"Folder {name}", notes=tuple(notes))
    return from_files(files, labels, class_names, is_test, root, config, about, progress)


DATASETS.add(
    DatasetEntry(
        name="folder",
        title="Your own folder of images",
        summary="folder:PATH reads one folder of images per class, with or without train and test folders above them.",
        offline=True,
        source="a folder on this machine",
        load=load,
        takes="PATH",
    )
)
