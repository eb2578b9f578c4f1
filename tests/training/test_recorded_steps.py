"""A recorded step does what the plain one does, batch after batch."""

import copy
import dataclasses

import pytest
import torch

from compat_core.data.augment import train_augment
from compat_core.errors import CompatError
from compat_core.losses import LOSSES
from compat_core.losses.normsoftmax import NormSoftmax, NormSoftmaxConfig
from compat_core.methods import METHODS
from compat_core.methods.base import train_version
from compat_core.models import Embedder
from compat_core.spec import Spec
from compat_core.training import graphs
from compat_core.training.config import TrainConfig
from compat_core.training.embedding import EmbedderTraining
from compat_core.training.graphs import REHEARSALS, RecordedSteps
from compat_core.training.loop import train
from tests.methods.test_methods_on_gpu import SPECS
from tests.methods.toy import job, make_context, stripes, version
from tests.stand_in import stand_in

NOTHING = {"independent", "d-simplex"}  # train no model beside the paragon
PLAIN = {"bct", "bct-kd", "l2", "lwf", "advbct", "bt2"}  # they wait for the GPU, or look at the progress


@pytest.fixture
def tape(monkeypatch):
    """The recordings made so far, each as the number of its replays; nothing is done when one is made."""
    replays = []

    def recorded(work, stream):
        replays.append(0)
        place = len(replays) - 1

        def replay():
            replays[place] += 1
            return work()

        return replay

    monkeypatch.setattr(graphs, "aside", lambda work, device: work())
    monkeypatch.setattr(graphs, "record", recorded)
    return replays


def doubled(indices, progress):
    return {"total": 2 * indices.sum()}


def test_a_kind_is_recorded_after_its_rehearsals_and_every_step_sees_its_own_batch(tape):
    steps = RecordedSteps(doubled, lambda: "a view", torch.Generator())
    for step in range(REHEARSALS + 4):
        assert int(steps(torch.tensor([step, 1]), 0.5)["total"]) == 2 * (step + 1)
    assert tape == [4]


def test_another_size_of_batch_and_another_view_are_other_kinds(tape):
    view = ["first"]
    steps = RecordedSteps(doubled, lambda: view[0], torch.Generator())
    for _ in range(REHEARSALS + 1):
        for view[0] in ("first", "second"):
            for size in (2, 3):
                assert int(steps(torch.ones(size, dtype=torch.int64), 0.0)["total"]) == 2 * size
    assert tape == [1, 1, 1, 1]


def test_what_cannot_be_recorded_is_done_step_by_step(tape):
    steps = RecordedSteps(doubled, lambda: None, torch.Generator())
    for step in range(REHEARSALS + 2):
        assert int(steps(torch.tensor([step]), 0.0)["total"]) == 2 * step
    assert not tape


@pytest.fixture
def both_ways(monkeypatch, gpu):
    """Calls a training twice, with recordings from the second step of a kind on and without; counts recordings."""
    made = []
    record = graphs.record
    monkeypatch.setattr(graphs, "record", lambda work, stream: made.append(1) or record(work, stream))
    real = type(torch.empty(0, device=gpu)) is torch.Tensor
    if real:
        monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)

    def call(training):
        ends = []
        for rehearsals in (10**9, 1):
            made.clear()
            monkeypatch.setattr(graphs, "REHEARSALS", rehearsals)
            ends.append({name: value.detach().cpu().clone() for name, value in training().items()})
        recordings = len(made)
        for name, plain in ends[0].items():
            off = float((ends[1][name].double() - plain.double()).norm())
            # a GPU may take another kernel while it records, and AdamW makes whole steps of rounding errors
            assert off <= (0.02 * float(plain.double().norm()) + 2e-3 if real else 0), name
        return recordings

    return call


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.name}-{spec.params.get('side', '')}")
def test_a_method_s_training(spec, gpu, both_ways):
    context = make_context(loss="simplex" if spec.name == "d-simplex" else "normsoftmax", device=gpu, epochs=3)
    context.augment = "crop-flip"  # draws from the step's own stream
    method = METHODS.get(spec.name)
    params = spec.params | ({"epochs": 3, "views": 1} if "views" in spec.params else {})

    def training():
        context.cache.clear()
        context.encoders.clear()
        return method.fit(context, method.configure(Spec(spec.name, params))).state_dict()

    recordings = both_ways(training)
    assert (recordings > 0) == (spec.name not in PLAIN | NOTHING)


@pytest.mark.parametrize("optimiser", ["adamw", "sgd"])
@pytest.mark.parametrize("name", LOSSES.names())
def test_a_model_s_training(name, optimiser, gpu, both_ways):
    images = stripes()
    images = dataclasses.replace(images, images=images.images.to(gpu), labels=images.labels.to(gpu))
    schedule = TrainConfig(epochs=3, batch_size=32, optimiser=optimiser, lr=1e-3 if optimiser == "adamw" else 0.1)

    def training():
        model = train_version(version(loss=Spec(name), train=schedule), images, "crop-flip", "new", job(device=gpu))
        return {
            **model.embedder.state_dict(),
            **{f"head.{key}": value for key, value in model.head.state_dict().items()},
        }

    assert (both_ways(training) > 0) == LOSSES.get(name).build.recordable


class Waiting(NormSoftmax):
    """Says that it may be recorded, and looks at a number."""

    def forward(self, emb, labels):
        return super().forward(emb, labels) * (1.0 if float(emb.detach().sum()) > 0 else 2.0)


class Replacing(NormSoftmax):
    """Says that it may be recorded, and puts another tensor in the place of one in every step."""

    def __init__(self, dim, num_classes, config):
        super().__init__(dim, num_classes, config)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, emb, labels):
        self.seen = self.seen + 1
        return super().forward(emb, labels)


@pytest.mark.parametrize(("head", "error", "says"), [
    (Waiting, RuntimeError, "waits for the GPU"), (Replacing, CompatError, "replaces one of its tensors"),
])  # fmt: skip
def test_what_only_says_that_it_may_be_recorded(head, error, says):
    with stand_in():
        images = stripes()
        images = dataclasses.replace(images, images=images.images.to("cuda"), labels=images.labels.to("cuda"))
        loss = head(16, 6, NormSoftmaxConfig())
        training = EmbedderTraining(Embedder("tiny-conv", 16, 1, 8), loss, images, "none")
        with pytest.raises(error, match=says):
            train(training, TrainConfig(epochs=2, batch_size=32), job(device="cuda"))


def test_a_trained_model_keeps_no_gradients():
    model = train_version(version(train=TrainConfig(epochs=1)), stripes(), "none", "new", job())
    assert all(parameter.grad is None for parameter in model.embedder.parameters())


@pytest.mark.gpu
def test_a_replay_draws_what_a_plain_step_would_draw():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device, none was found")
    stream = torch.Generator("cuda")
    images = torch.randint(0, 256, (16, 3, 32, 32), dtype=torch.uint8, device="cuda")

    def view(indices, progress):
        return {"total": train_augment(images[indices], "crop-flip", stream).clone()}

    steps = RecordedSteps(view, tuple, stream)
    batch = torch.arange(8, device="cuda")
    for epoch in range(3):
        stream.manual_seed(epoch)
        found = [copy.deepcopy(steps(batch, 0.0)["total"]) for _ in range(4)]
        stream.manual_seed(epoch)
        wanted = [view(batch, 0.0)["total"] for _ in range(4)]
        assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))
    assert len(steps.recordings) == 1
