"""What to do about a failure: one line for the person who sees a failed run."""

from __future__ import annotations

import errno
import signal
import traceback
import urllib.error

from compat_core.errors import CompatError
from compat_core.experiments.status import RunError

LESS_MEMORY = (
    "use less memory: a smaller --batch-size or --image-size, fewer images (--train-limit, --test-limit), or resume it "
    "with other programs closed"
)
BUG = (
    "this looks like a bug: the log shows where; where that is in a file of your own, mend it and resume, else please "
    "report it with the log and config.json"
)
BAD_INPUT = (
    "mend what the message names: put a missing file or download in place and resume, or change the setting on Launch "
    "and start a new run"
)


def advise(error: BaseException, of_run: bool = True) -> RunError:
    """The message, the suggested fix and (for a bug only) the traceback of ``error``.

    Args:
        of_run: whether a run met it, which can be resumed and whose folder is ``--runs-dir``.
    """
    if isinstance(error, CompatError):
        return RunError(str(error), BAD_INPUT)
    line = " ".join(f"{type(error).__name__}: {error}".split())
    fix = _fix(error, of_run)
    if fix:
        return RunError(line[:500], fix)
    return RunError(line[:500], BUG, "".join(traceback.format_exception(error)))


def is_bug(error: BaseException) -> bool:
    """Whether nothing that the user gave, and no limit of the machine, explains ``error``."""
    return not isinstance(error, CompatError) and not _fix(error)


def advise_exit(returncode: int) -> RunError:
    """Message and fix for a worker process that ended without writing a final status.

    Args:
        returncode: as :mod:`subprocess` gives it: negative for a signal.
    """
    if returncode >= 0:
        return RunError(f"the worker ended with exit status {returncode} and left no word", BUG)
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    if name == "SIGKILL":
        fix = f"resume it; if the system ran out of memory, {LESS_MEMORY}"
    else:
        fix = "resume it; if it happens again, look at worker.log"
    return RunError(f"the worker was killed ({name})", fix)


def _fix(error: BaseException, of_run: bool = True) -> str:
    elsewhere = "use another --runs-dir" if of_run else "write to another folder"
    again = "resume" if of_run else "try again"
    text = str(error).lower()
    # torch.OutOfMemoryError is known by its name: this module must not load torch to look at an error.
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return LESS_MEMORY
    if isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text):
        return LESS_MEMORY
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full: {'delete old runs' if of_run else 'make room'}, or {elsewhere}; then {again}"
    if isinstance(error, OSError) and error.errno == errno.EROFS:
        return f"that place can only be read: {elsewhere}; then {again}"
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        return f"too many open files: raise the limit (ulimit -n 4096) and {again}"
    if isinstance(error, PermissionError):
        return f"give this user the right to read and write {error.filename}, or {elsewhere}"
    if isinstance(error, (urllib.error.URLError, ConnectionError)):
        return f"a download failed: check the network and {again}, or use a data set and a model without a download"
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("compat_core"):
        return f"install the missing package: pip install {str(error.name).split('.')[0]}"
    return ""
