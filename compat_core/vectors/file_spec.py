"""``FILE`` or ``FILE:NAME``, as people write it: a file of arrays, and the array or column of it that is meant."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from compat_core.errors import CompatError
from compat_core.experiments.files import CLOSED

SUFFIXES = (".npy", ".npz", ".parquet", ".csv")
TABLES = (".parquet", ".csv")


@dataclass(frozen=True, slots=True)
class FileSpec:
    """A file that somebody named.

    Attributes:
        path: the file, or folder of pictures.
        column: the array or column that is meant; empty where none is named.
    """

    path: Path
    column: str = ""

    @classmethod
    def parse(cls, text: SpecLike) -> FileSpec:
        """The name stands after the first colon that follows one of SUFFIXES; any other colon is part of what it is in.

        A column may hold dots and colons (``items.csv:product.category``), and so may a path (``a:b.npy``).
        """
        if isinstance(text, FileSpec):
            return text
        written = str(text)
        for colon in re.finditer(":", written):
            path = Path(written[: colon.start()])
            if cls(path).kind in SUFFIXES:
                return cls(path, written[colon.end() :])
        return cls(Path(written))

    @property
    def kind(self) -> str:
        """The path's ending in lower case, such as ``.npy``: ``OLD.NPY`` is one too."""
        return self.path.suffix.lower()

    @property
    def is_table(self) -> bool:
        """Whether it has columns."""
        return self.kind in TABLES

    def existing(self) -> FileSpec:
        """Itself. Raises CompatError where there is no such file, it is a folder, or may not be read."""
        if os.path.isdir(self.path):
            raise CompatError(str(self.path), rule="is a folder; must be a file", fix="name a file in it")
        if not os.path.isfile(self.path):
            raise CompatError(str(self.path), rule="no such file")
        if not os.access(self.path, os.R_OK):
            raise CompatError(str(self.path), rule=CLOSED, fix="change its permissions")
        return self

    def of_arrays(self) -> FileSpec:
        """Itself. Raises CompatError as :meth:`existing`, and for a kind that is not among SUFFIXES."""
        if self.existing().kind not in SUFFIXES:
            rule = f"must end in one of {', '.join(SUFFIXES)}"
            raise CompatError(str(self.path), rule=rule, fix="convert it, e.g. numpy.save")
        return self

    def __str__(self) -> str:
        return f"{self.path}:{self.column}" if self.column else str(self.path)


SpecLike = str | Path | FileSpec  # what a reader takes
