"""An .npy file that grows piece by piece and gets its name when it is whole.

Beside it grows a journal with the SHA-256 of every piece that is safely on disk. Going on, each of them is held
against its digest: what a power cut or a bad disk left behind is written again, from the first piece that differs on.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from compat_core.errors import CompatError
from compat_core.experiments.files import write_json

READ_BYTES = 2**24


class GrowingFile:
    """Float32 rows ``(N, D)`` on their way into ``out``; a context manager that holds the unfinished file open.

    Args:
        out: the file's name once it is whole; until then it is ``out.part`` beside ``out.journal``.
        rows, dim: N and D.
        piece_rows: rows of a piece, the last one may be shorter: what a cut costs at most.
        work: JSON types that say what the rows come from; an unfinished file of other work is begun anew.

    Attributes:
        done: rows that are on disk, as the journal knows them; a multiple of ``piece_rows``.
    """

    def __init__(self, out: Path, rows: int, dim: int, piece_rows: int, work: dict[str, Any]) -> None:
        self.part, self.journal = out.with_name(f"{out.name}.part"), out.with_name(f"{out.name}.journal")
        self.out, self.rows, self.dim, self.piece_rows = out, rows, dim, piece_rows
        self.work = work | {"rows": rows, "dim": dim, "piece_rows": piece_rows}
        self._header = _header(rows, dim)
        self._digests = self._sound_pieces()
        self._piece, self._in_piece = hashlib.sha256(), 0

    @property
    def done(self) -> int:
        return min(len(self._digests) * self.piece_rows, self.rows)

    def __enter__(self) -> GrowingFile:
        self._file: BinaryIO = self.part.open("r+b" if self._digests else "wb")
        if not self._digests:
            self._file.write(self._header)
        self._file.seek(self._offset(len(self._digests)))
        self._file.truncate()
        self._note()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def append(self, rows: np.ndarray) -> None:
        """Write the next rows ``(B, D)`` float32; a batch must not cross the end of a piece."""
        content = rows.tobytes()
        self._file.write(content)
        self._piece.update(content)
        self._in_piece += len(rows)
        if self._in_piece == self.piece_rows or self.done + self._in_piece == self.rows:
            self._file.flush()
            os.fsync(self._file.fileno())  # the journal must not know of rows that the disk does not have
            self._digests.append(self._piece.hexdigest())
            self._piece, self._in_piece = hashlib.sha256(), 0
            self._note()

    def checked(self) -> str:
        """The SHA-256 of the whole file, read back. Raises CompatError where it is not what was written."""
        whole = hashlib.sha256()
        with self.part.open("rb") as file:
            whole.update(file.read(len(self._header)))
            for number, digest in enumerate(self._digests):
                if self._digest(file, number, whole) != digest:
                    first = number * self.piece_rows
                    rule = (
                        f"rows from {first:,} on are not what was written: the disk, or another program, changed them"
                    )
                    raise CompatError(str(self.part), rule=rule, fix="run it again: what differs is written again")
            if file.read(1) or self.done != self.rows:
                rule = "has another size than its rows take"
                raise CompatError(str(self.part), rule=rule, fix="delete it and migrate again")
        return whole.hexdigest()

    def give_name(self) -> None:
        """The file gets its name, and the journal goes."""
        os.replace(self.part, self.out)
        self.journal.unlink(missing_ok=True)

    def _sound_pieces(self) -> list[str]:
        """Digests of the pieces on disk up to the first that differs; none where there is no journal of this work."""
        try:
            noted = json.loads(self.journal.read_text(encoding="utf-8"))
            digests = list(noted["sha256"]) if noted["work"] == self.work else []
            with self.part.open("rb") as file:
                if file.read(len(self._header)) != self._header:
                    return []
                for number, digest in enumerate(digests):
                    if self._digest(file, number) != digest:
                        return digests[:number]
        except (FileNotFoundError, ValueError, KeyError, TypeError):  # a journal that is not ours says nothing
            return []
        return digests

    def _digest(self, file: BinaryIO, number: int, whole: Any = None) -> str:
        """Of the next piece of the open file, which is ``number``; ``whole`` is updated too."""
        piece, left = hashlib.sha256(), self._offset(number + 1) - self._offset(number)
        while left and (content := file.read(min(left, READ_BYTES))):
            left -= len(content)
            piece.update(content)
            if whole is not None:
                whole.update(content)
        return piece.hexdigest()

    def _offset(self, number: int) -> int:
        return len(self._header) + min(number * self.piece_rows, self.rows) * self.dim * 4

    def _note(self) -> None:
        write_json(self.journal, {"work": self.work, "done": self.done, "sha256": self._digests}, fsync=True)


def _header(rows: int, dim: int) -> bytes:
    """What numpy.save writes before float32 rows."""
    buffer = io.BytesIO()
    described = {"descr": "<f4", "fortran_order": False, "shape": (rows, dim)}
    np.lib.format.write_array_header_1_0(buffer, described)
    return buffer.getvalue()
