"""Room for vectors that need not be in memory: in a file without a name, gone when nothing reads it any more."""

from __future__ import annotations

import errno
import os
import tempfile

import numpy as np

from compat_core.errors import CompatError


def scratch(option: str, shape: tuple[int, int], dtype: np.dtype, what: str) -> np.ndarray:
    """An array in a file where temporary files lie (``TMPDIR``), whose room is taken at once.

    A file that only grows when it is written to ends the process, without a word, when the disk is full by then.

    Args:
        option: names the input for messages.
        shape, dtype: of the array.
        what: what is kept in it, for messages.

    Raises:
        CompatError: where there is no room for it.
    """
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    with tempfile.TemporaryFile(prefix="compatbench-") as file:  # the mapping keeps it alive
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except AttributeError:  # not on every system
            pass
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # not by every file system
                rule = f"there is no room for {size / 1e9:.1f} GB of {what} in {tempfile.gettempdir()}"
                raise CompatError(option, rule=rule, fix="set TMPDIR to a larger disk") from None
        return np.memmap(file, dtype, "w+", shape=shape)
