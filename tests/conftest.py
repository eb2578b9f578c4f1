"""Before any test imports torch: threads that wait should sleep, as ``compat_core/__main__.py`` has it."""

import os

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:  # one of several processes that share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")


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
