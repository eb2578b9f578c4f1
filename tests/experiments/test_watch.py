"""Watching a training: what is measured on which images, and that the training does not notice."""

import functools

import numpy as np
import pytest
import torch

from compat_core.experiments.reporting import NullTracker
from compat_core.experiments.watch import FEWEST_IMAGES, MOST_IMAGES, PER_CLASS, Watch, watched_rows
from compat_core.methods import METHODS, Upgrade
from compat_core.methods.base import train_version
from compat_core.metrics.evaluate import evaluate_retrieval
from compat_core.training.embedding import EmbedderTraining, embed
from compat_core.training.loop import Job, train
from tests.methods.toy import job, make_context, stripes, version

CPU = torch.device("cpu")


class Recorder(NullTracker):
    def __init__(self):
        self.events = []

    def event(self, kind, **fields):
        self.events.append((kind, fields))


def test_the_sample_is_small_fixed_and_has_answers_for_its_queries():
    labels = np.arange(20_000) % 1_000
    rows = watched_rows(labels, 3)
    assert len(rows) == MOST_IMAGES and (np.diff(rows) > 0).all()
    np.testing.assert_array_equal(rows, watched_rows(labels, 3))
    assert rows.tolist() != watched_rows(labels, 4).tolist()
    assert set(np.bincount(labels[rows])) == {0, PER_CLASS}
    assert len(watched_rows(labels[: 8 * FEWEST_IMAGES - 1])) == 0
    assert len(watched_rows(np.zeros(4_000, dtype=int))) == PER_CLASS


def test_what_is_measured_is_the_metric_of_these_images():
    images, context = stripes(), make_context(epochs=1)
    model = context.paragon.embedder
    watch = Watch(images, CPU, "cosine", seed=1)
    rows = watched_rows(images.labels.numpy(), 1)
    new, old = (embed(net, images.images[torch.as_tensor(rows)], CPU) for net in (model, context.old.embedder))
    labels = images.labels.numpy()[rows]

    def by_hand(query, gallery):
        return evaluate_retrieval(query, labels, gallery, labels, rows, rows, device="cpu").mean_ap

    assert watch.method(Upgrade(context.old.embedder, model)) == {
        "new/new": by_hand(new, new), "new/old": by_hand(new, old), "old/old": by_hand(old, old)
    }  # fmt: skip
    assert watch.alone(model, "old") == {"old/old": by_hand(new, new)}


def test_too_few_images_and_a_model_that_has_diverged_give_nothing():
    context = make_context(epochs=1)
    model = context.paragon.embedder
    upgrade = Upgrade(context.old.embedder, model)
    few = Watch(stripes(per_class=4), CPU)
    assert few.alone(model, "new") == few.method(upgrade) == {}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(torch.nan)
    watch = Watch(stripes(), CPU)
    assert watch.alone(model, "new") == watch.method(upgrade) == {}


def test_a_watched_training_ends_in_the_same_weights():
    def trained(watched):
        context = make_context(epochs=1)
        torch.manual_seed(0)
        model = context.paragon.embedder.requires_grad_(True)
        training = EmbedderTraining(model, context.paragon.head.requires_grad_(True), stripes(), "crop")
        upgrade, watch = Upgrade(context.old.embedder, model), Watch(stripes(), CPU)
        train(training, version().train, job(), (lambda: watch.method(upgrade)) if watched else None)
        return model.state_dict()

    one, other = trained(False), trained(True)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_every_epoch_of_a_model_is_reported():
    recorder, config = Recorder(), version()
    watch = functools.partial(Watch(stripes(), CPU).alone, role="old")
    train_version(config, stripes(), "none", "old", Job("seed 0: old", 0, job().device, recorder), watch=watch)
    seen = [fields for kind, fields in recorder.events if kind == "watch"]
    assert [one["epoch"] for one in seen] == list(range(1, config.train.epochs + 1))
    steps = [fields["step"] for kind, fields in recorder.events if kind == "train"]
    assert seen[-1]["step"] == steps[-1]
    assert all(set(one["values"]) == {"old/old"} and 0 < one["values"]["old/old"] <= 1 for one in seen)


@pytest.mark.parametrize("name", ["bct", "lce-transformed"])
def test_a_method_is_watched_in_the_space_it_is_searched_in(name):
    context, recorder = make_context(), Recorder()
    context.job = Job(name, 0, job().device, recorder)
    watch = Watch(context.train_images, CPU)
    context.watch = watch.method
    method = METHODS.get(name)
    upgrade = method.fit(context, method.config()).eval()
    seen = [fields["values"] for kind, fields in recorder.events if kind == "watch"]
    assert set(seen[-1]) == {"new/new", "new/old", "old/old"}
    assert len({values["old/old"] for values in seen}) == 1
    assert seen[-1] == pytest.approx(watch.method(upgrade), abs=1e-6)
