"""Before any test imports torch: threads that wait should sleep, as ``compat_core/__main__.py`` has it."""

import errno
import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes that share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def closed(monkeypatch):
    """Close a folder as ``chmod 000`` does for everybody but root, whom tests may run as."""

    def close(folder):
        def guarded(real, itself):
            def call(path, *args, **named):
                if folder in path.parents or (path == folder and itself):
                    raise PermissionError(errno.EACCES, "Permission denied", str(path))
                return real(path, *args, **named)

            return call

        for name in ("stat", "open", "iterdir"):  # that there is such a folder can still be seen
            monkeypatch.setattr(Path, name, guarded(getattr(Path, name), itself=name == "iterdir"))

    return close


@pytest.fixture(params=["stand-in", pytest.param("real", marks=pytest.mark.gpu)])
def gpu(request):
    """A GPU, under the name ``cuda``: once the one that is not there (see ``stand_in.py``), once a real one."""
    import torch

    from tests.stand_in import stand_in

    if request.param == "stand-in":
        with stand_in():
            yield "cuda"
    elif torch.cuda.is_available():
        yield "cuda"
    else:
        pytest.skip("needs a CUDA device, none was found")
