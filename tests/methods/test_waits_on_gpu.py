"""How often a training step waits for the GPU, which idles from then on until it is asked for the next work."""

import pytest

from compat_core.losses import LOSSES
from compat_core.methods import METHODS
from compat_core.methods.bt2 import BasisTraining
from compat_core.methods.cross_model import CentreMapTraining
from compat_core.methods.fastfill import UncertainMapTraining
from compat_core.methods.fct import MapTraining
from compat_core.methods.side import AutoencoderTraining, SimClrTraining
from compat_core.training.embedding import EmbedderTraining
from tests.methods.test_methods_on_gpu import SPECS
from tests.methods.toy import make_context
from tests.stand_in import WAITS, stand_in

TRAININGS = (
    AutoencoderTraining, BasisTraining, CentreMapTraining, EmbedderTraining, MapTraining, SimClrTraining,
    UncertainMapTraining,
)  # fmt: skip
CHOOSES = {"bct": 1, "bct-kd": 2, "l2": 1, "lwf": 1}  # by method: some items of a batch are left out
PAIRS = {"contrastive": 4, "triplet": 4}  # by loss


@pytest.fixture
def waits(monkeypatch):
    """The numbers of waits in each step so far."""
    steps = []

    def watched(losses):
        def counted(*arguments):
            WAITS.clear()
            found = losses(*arguments)
            steps.append(len(WAITS))
            return found

        return counted

    for training in TRAININGS:
        monkeypatch.setattr(training, "losses", watched(training.losses))
    with stand_in():
        yield steps


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.name}-{spec.params.get('side', '')}")
def test_of_a_method(spec, waits):
    context = make_context(
        loss="simplex" if spec.name == "d-simplex" else "normsoftmax", device="cuda", epochs=1, per_class=6
    )
    waits.clear()
    method = METHODS.get(spec.name)
    method.fit(context, method.configure(spec))
    assert set(waits) <= {CHOOSES.get(spec.name, 0)}


@pytest.mark.parametrize("name", LOSSES.names())
def test_of_a_loss(name, waits):
    make_context(loss=name, device="cuda", epochs=1, per_class=6)
    assert set(waits) == {PAIRS.get(name, 0)}
    assert LOSSES.get(name).build.recordable == (name not in PAIRS)
