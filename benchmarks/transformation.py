"""FCT's h against the published loop, and closed-form adapters on a million pairs against doing it in one go."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.race import ON_GPU, PeakAbove, Race, race, write
from benchmarks.training import digit_files, placed, settings
from compat_core.adapters import ADAPTERS, Pairs
from compat_core.data.augment import train_augment
from compat_core.device import pick_device
from compat_core.experiments.reporting import NullTracker
from compat_core.methods.base import Context, train_version
from compat_core.methods.fct import FctConfig, MapTraining, stored_views
from compat_core.methods.side import train_side
from compat_core.metrics.evaluate import evaluate_retrieval
from compat_core.models.transformation import FctTransformation
from compat_core.training.config import TrainConfig
from compat_core.training.embedding import embed
from compat_core.training.loop import Job, train
from compat_core.training.seeding import seeded

PAIRS, DIM = 1_000_000, 128
PUBLISHED = "published loop"


def adapters() -> Race:
    """Ridge by numpy in memory is the yardstick: the same normal equations, every vector loaded."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rng = np.random.default_rng(0)
        turn = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0].astype(np.float32)
        for side in ("old", "new"):
            np.lib.format.open_memmap(folder / f"{side}.npy", "w+", np.float32, (PAIRS, DIM)).flush()
        old, new = (np.load(folder / f"{side}.npy", mmap_mode="r+") for side in ("old", "new"))
        for begin in range(0, PAIRS, 100_000):
            part = rng.standard_normal((100_000, DIM), dtype=np.float32)
            old[begin : begin + 100_000] = part
            new[begin : begin + 100_000] = part @ turn + 0.1 * rng.standard_normal(part.shape, dtype=np.float32)
        old.flush()
        new.flush()

        def in_memory() -> None:
            source, target = (np.array(np.load(folder / f"{side}.npy")) for side in ("old", "new"))
            source, target = source - source.mean(axis=0), target - target.mean(axis=0)
            np.linalg.solve(source.T @ source + np.eye(DIM, dtype=np.float32), source.T @ target)

        def fit(name: str) -> None:
            pairs = Pairs(*(np.load(folder / f"{side}.npy", mmap_mode="r") for side in ("old", "new")))
            ADAPTERS.get(name).fit(pairs)

        names = [adapter.name for adapter in ADAPTERS if adapter.closed_form]
        contestants = {"ridge by numpy, everything in memory": in_memory}
        contestants |= {f"{name}, streaming": lambda name=name: fit(name) for name in names}  # type: ignore[misc]
        found = race(
            f"Closed-form adapters on {PAIRS:,} pairs × {DIM}, float64 sums", contestants,
            "ridge by numpy, everything in memory", 2, target="seconds, streaming",
        )  # fmt: skip
        with PeakAbove() as peak:
            fit("ridge")
        what = "memory above the start while ridge streams, MiB, the 977 MiB of mapped files among it"
        found.facts[what] = round(peak.mib)
    return found


class PublishedLoop(MapTraining):
    """FCT's training as released: every step augments its batch and runs all three frozen networks on it."""

    def __init__(self, context: Context, encoders: Sequence[nn.Module], transformation: nn.Module) -> None:
        self.context, self.encoders, self.module = context, encoders, transformation
        self.bn_eval_at = FctConfig().bn_eval_at
        self.num_items = len(context.train_images)
        self.old = torch.empty(1)  # one view, made anew in every step
        self.begin = torch.zeros((), dtype=torch.int64)

    def recording(self) -> None:
        """As released: nothing is recorded."""

    def losses(self, indices: torch.Tensor, stream: torch.Generator, progress: float) -> dict[str, torch.Tensor]:
        """Mean squared error of one batch."""
        images = train_augment(self.context.train_images.images[indices], self.context.augment, stream)
        with torch.no_grad():
            old, new, side = (encoder(images).float() for encoder in self.encoders)
        return {"total": F.mse_loss(self.module(old, side).float(), new)}


def map_race(folder: Path, arch: str, count: int, published_epochs: int = 80, network_epochs: int = 4) -> Race:
    """Both ways to fit h with the same three frozen networks, to the mAP that they end with.

    Args:
        folder: of class folders of 32 px images.
        arch: of all three networks.
        count: images; as many as are left, at most 5,000, are the gallery and the queries.
        published_epochs: 80 in the released code.
        network_epochs: passes that the three networks are trained for, before the clock starts.
    """
    setting, _ = settings(folder, arch, count)
    job = Job("race", 0, pick_device(), NullTracker())
    images, held_out = placed(setting.images, job.device.device), setting.decoded.subset(setting.held_out)
    version = dataclasses.replace(setting.version, train=TrainConfig(epochs=network_epochs))
    old_rows = torch.nonzero(images.labels < images.num_classes // 2)[:, 0]
    old = train_version(version, images.subset(old_rows), "crop-flip", "old", job)
    new = train_version(version, images, "crop-flip", "new", job)
    context = Context(
        seed=0, train_images=images, augment="crop-flip", old_indices=old_rows, old=old, paragon=new,
        new_config=version, old_config=version, job=job, cache={},
    )  # fmt: skip
    config = FctConfig()
    ways = {"stored views, as by default": config, "one stored view": FctConfig(views=0, epochs=20)}
    side = train_side(context, "simclr", config.side_dim, network_epochs)
    encoders = {"old": old.embedder, "new": new.embedder, "side": side}
    mean_ap: dict[str, float] = {}

    def transformation() -> FctTransformation:
        with seeded(0, "map", "init"):
            return FctTransformation(version.dim, config.side_dim, version.dim, config.width)

    def judge(name: str, query: torch.Tensor, gallery: torch.Tensor) -> None:
        ids = np.arange(len(held_out))
        labels = held_out.labels.numpy()
        mean_ap[name] = 100 * evaluate_retrieval(query.cpu(), labels, gallery.cpu(), labels, ids, ids).mean_ap

    places = [embed(encoder, held_out.images, job.device.device) for encoder in encoders.values()]
    old_emb, new_emb, side_emb = places
    judge("old/old", old_emb, old_emb)
    judge("new/new", new_emb, new_emb)

    def fitted(name: str, training: MapTraining, way: FctConfig) -> None:
        train(training, way.schedule(len(images)), job)
        with torch.no_grad():
            judge(name, new_emb, training.module.eval()(old_emb, side_emb))

    def published() -> None:
        loop = PublishedLoop(context, list(encoders.values()), transformation())
        fitted(PUBLISHED, loop, dataclasses.replace(config, epochs=published_epochs))

    def stored(name: str) -> None:
        context.cache.clear()  # every contestant embeds its views itself
        views = stored_views(context, encoders, ways[name].views)
        training = MapTraining(transformation(), views[0], views[2], views[1], ways[name].bn_eval_at)
        fitted(name, training, ways[name])

    contestants = {PUBLISHED: published} | {name: lambda name=name: stored(name) for name in ways}
    found = race(
        f"FCT's h, three {arch} networks, {count:,} images", contestants, PUBLISHED, 1, once=list(contestants),
        target="20 × faster to the same mAP (± 0.5 points)",
        notes={PUBLISHED: f"{published_epochs} epochs"}
        | {name: f"{way.epochs} epochs over {1 + way.views} stored views" for name, way in ways.items()},
    )  # fmt: skip
    found.facts |= {f"mAP, %, {name}": value for name, value in mean_ap.items()}
    for lap in found.laps[1:]:
        found.facts[f"times faster, {lap.name}"] = found.laps[0].seconds / lap.seconds
        found.facts[f"points of new/migrated mAP above the published loop, {lap.name}"] = (
            mean_ap[lap.name] - mean_ap[PUBLISHED]
        )
    return found


def main() -> None:
    """All races of this file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="a folder of class folders; without: the digits at 32 px")
    parser.add_argument("--count", type=int, help="images of it that are mapped; default: 40,000 on a GPU, else 4,000")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        digits = digit_files(Path(name))
        folder, on_gpu = arguments.images or digits, torch.cuda.is_available()
        count = (arguments.count or (40_000 if on_gpu else 4_000)) if arguments.images else 1_000
        if on_gpu:
            write(f"transformation-{ON_GPU}", [map_race(folder, "resnet18", count)])
            return
        races = [map_race(folder, "tiny-conv", count, network_epochs=20)]
        # as many as a deep network can be given here tell something of ten classes, and nothing of hundreds
        races.append(map_race(digits, "resnet18", 300, network_epochs=12))
    write("transformation", [*races, adapters()])


if __name__ == "__main__":
    main()
