"""Training and embedding extraction against the plain loop: ImageFolder, DataLoader, one transform per image.

``--images FOLDER`` takes a folder of class folders of small images (what was kept used Tiny ImageNet at 32 px); without
it, scikit-learn's digits are written out as 32 px PNG files.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchvision import transforms
from torchvision.datasets import ImageFolder

from benchmarks.race import ON_GPU, Race, grow, race, write
from compat_core.data import load_dataset
from compat_core.data.config import DataConfig
from compat_core.data.images import ImageSet
from compat_core.device import pick_device
from compat_core.experiments.reporting import NullTracker
from compat_core.losses import build_loss
from compat_core.methods.base import TrainedModel, train_version
from compat_core.models.embedder import Embedder
from compat_core.spec import Spec
from compat_core.training.config import TrainConfig, VersionConfig
from compat_core.training.embedding import Classified, EmbedderTraining, embed
from compat_core.training.loop import Job, make_optimiser, schedule, stepper
from compat_core.training.seeding import seeded

PX, BATCH = 32, 128
WORKERS = min(4, os.cpu_count() or 1)
NO_WORKER = "ImageFolder + DataLoader, no worker"
SCALED = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)])
AUGMENTED = transforms.Compose(
    [transforms.RandomCrop(PX, PX // 8, padding_mode="reflect"), transforms.RandomHorizontalFlip(), SCALED]
)


def digit_files(folder: Path) -> Path:
    """The digits as ``folder/CLASS/INDEX.png``, colour, 32 px."""
    from PIL import Image
    from sklearn.datasets import load_digits

    bunch = load_digits()
    for index, (image, label) in enumerate(zip(bunch.images, bunch.target, strict=True)):
        path = folder / str(label) / f"{index:04d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray((image * 15.9).astype(np.uint8)).resize((PX, PX)).convert("RGB").save(path)
    return folder


@dataclasses.dataclass
class Setting:
    """One training: the network, the files, and the same images decoded."""

    version: VersionConfig
    files: ImageFolder  # all images
    rows: np.ndarray  # those to train on
    held_out: np.ndarray
    decoded: ImageSet  # all images

    @property
    def images(self) -> ImageSet:
        """The decoded training images."""
        return self.decoded.subset(self.rows)

    def batches(self, rows: np.ndarray, transform: Callable[..., Any], workers: int, shuffle: bool) -> Iterator[Any]:
        """What a DataLoader over the files gives."""
        files = copy.copy(self.files)  # listing the folder anew in every epoch is nothing a loop would do
        files.transform = transform
        loader: Any = torch.utils.data.DataLoader(
            torch.utils.data.Subset(files, rows.tolist()), BATCH, shuffle, num_workers=workers, drop_last=shuffle,
            pin_memory=torch.cuda.is_available(),
        )  # fmt: skip
        return iter(loader)


def plain_loop(setting: Setting, workers: int, epochs: int = 1, seed: int = 0) -> TrainedModel:
    """What everybody writes first: float32, decoding and augmenting each image in each epoch."""
    device = pick_device().device
    train, num_classes = setting.version.train, len(setting.files.classes)
    with seeded(seed, "plain"):
        embedder = Embedder(setting.version.arch, setting.version.dim, 3, PX).to(device)
        head = build_loss(setting.version.loss, setting.version.dim, num_classes).to(device)
        optimiser = torch.optim.AdamW([*embedder.parameters(), *head.parameters()], train.lr, weight_decay=5e-4)
        total = epochs * (len(setting.rows) // BATCH)
        rates = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: schedule(step, total, train.warmup))
        for _ in range(epochs):
            for images, labels in setting.batches(setting.rows, AUGMENTED, workers, shuffle=True):
                loss = head(embedder(images.to(device)), labels.to(device))
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                rates.step()
    return TrainedModel(embedder.eval(), head.eval(), torch.arange(num_classes))


def placed(images: ImageSet, device: torch.device) -> ImageSet:
    """The images and their labels on the device."""
    return dataclasses.replace(images, images=images.images.to(device), labels=images.labels.to(device))


def our_loop(setting: Setting, precision: str = "auto", epochs: int = 1, seed: int = 0) -> TrainedModel:
    """The same network and schedule through :func:`train`."""
    choice = pick_device("auto", precision)
    version = dataclasses.replace(setting.version, train=dataclasses.replace(setting.version.train, epochs=epochs))
    images = placed(setting.images, choice.device)
    return train_version(version, images, "crop-flip", "new", Job("race", seed, choice, NullTracker()))


def accuracy(setting: Setting, model: TrainedModel) -> float:
    """Share of held-out images that the model's own classifier gets right."""
    held_out = setting.decoded.subset(setting.held_out)
    device = next(model.embedder.parameters()).device
    found = model.head.logits(embed(model.embedder, held_out.images, device)).argmax(1)
    return float((found.cpu() == held_out.labels.cpu()).float().mean())


def speed(setting: Setting, rounds: int, once: Sequence[str] = ()) -> Race:
    """One epoch each; ``once`` as in :func:`race`."""
    arch, count = setting.version.arch, len(setting.rows)
    plain = f"ImageFolder + DataLoader, {WORKERS} workers"
    contestants: dict[str, Callable[[], Any]] = {
        plain: lambda: plain_loop(setting, WORKERS),
        NO_WORKER: lambda: plain_loop(setting, 0),
        "train(), float32": lambda: our_loop(setting, "float32"),
        "train()": lambda: our_loop(setting),
    }
    target = "1.3 × the images per second on a CPU, 5 × on a GPU with ResNet-18"
    found = race(f"Training {arch} on {count:,} images of {PX} px, one epoch", contestants, plain, rounds, once, target)
    seconds = {lap.name: lap.seconds for lap in found.laps}
    for name, taken in seconds.items():
        found.facts[f"images/s, {name}"] = round(count / taken)
    best = min(seconds[name] for name in seconds if name.startswith("ImageFolder"))
    found.facts["times the images/s of the faster plain loop, train()"] = best / seconds["train()"]
    found.facts["the same in float32"] = best / seconds["train(), float32"]
    found.facts["device"] = pick_device().reason
    return found


def same_accuracy(setting: Setting, epochs: int, seeds: int) -> Race:
    """Whole trainings, and the accuracy they end with."""
    ends: dict[str, list[float]] = {"plain loop": [], "train()": []}

    def turn(name: str, fit: Callable[[int], TrainedModel]) -> None:
        ends[name].append(100 * accuracy(setting, fit(len(ends[name]))))

    runs = {
        "plain loop": lambda: turn("plain loop", lambda seed: plain_loop(setting, WORKERS, epochs, seed)),
        "train()": lambda: turn("train()", lambda seed: our_loop(setting, "auto", epochs, seed)),
    }
    title = f"Accuracy after {epochs} epochs of {setting.version.arch} on {len(setting.rows):,} images"
    found = race(title, runs, "plain loop", seeds - 1, target="the same to noise")
    for name, values in ends.items():
        found.facts[f"held-out accuracy, %, {seeds} seeds, {name}"] = ", ".join(f"{value:.1f}" for value in values)
    found.facts["held-out images"] = len(setting.held_out)
    return found


def extraction(setting: Setting) -> Race:
    """Embeddings of all held-out and training images."""
    device = pick_device().device
    embedder = Embedder(setting.version.arch, setting.version.dim, 3, PX).to(device).eval()
    rows = np.arange(len(setting.files))[: len(setting.rows)]

    @torch.no_grad()
    def plain(workers: int) -> None:
        for images, _ in setting.batches(rows, SCALED, workers, shuffle=False):
            embedder(images.to(device)).cpu()

    images = setting.decoded.subset(rows).images.to(device)
    name = f"DataLoader, {WORKERS} workers"
    found = race(
        f"Embedding {len(rows):,} images of {PX} px with {setting.version.arch}",
        {
            name: lambda: plain(WORKERS),
            "DataLoader, no worker": lambda: plain(0),
            "embed()": lambda: embed(embedder, images, device).cpu(),
        },
        name,
    )
    found.facts["images/s, embed()"] = round(len(rows) / found.laps[-1].seconds)
    return found


def compiling(setting: Setting, steps: int = 20) -> Race:
    """Training steps with and without ``torch.compile``: what it saves, and how long its warm-up takes to be repaid."""
    choice, arch = pick_device(), setting.version.arch
    images = placed(setting.images.subset(torch.arange(2 * BATCH)), choice.device)

    def contestant(compiles: bool) -> Callable[[], None]:
        embedder = Embedder(arch, setting.version.dim, 3, PX).to(choice.device).train()
        head = build_loss(setting.version.loss, setting.version.dim, images.num_classes).to(choice.device)
        training = EmbedderTraining(embedder, head, images, "crop-flip")
        optimiser = make_optimiser(training.module, setting.version.train, choice.device)
        if compiles:
            training.classified = Classified(torch.compile(embedder), head)
        step = stepper(training, optimiser, choice, torch.Generator(choice.device))

        def run() -> None:
            for _ in range(steps):
                losses = step(torch.randint(len(images), (BATCH,), device=choice.device), 0.0)
            float(losses["total"])  # waits for the GPU

        return run

    compiled = contestant(compiles=True)
    started = time.perf_counter()
    compiled()
    warm_up = time.perf_counter() - started
    contestants = {"as it is": contestant(compiles=False), "torch.compile": compiled}
    found = race(f"{steps} training steps of {arch}, torch.compile", contestants, "as it is")
    saved = (found.laps[0].seconds - found.laps[1].seconds) / (steps * BATCH)  # seconds per image
    found.facts["warm-up, seconds"] = warm_up
    found.facts["images until the warm-up is repaid"] = round(warm_up / saved) if saved > 0 else "never"
    return found


def growth() -> dict[str, Any]:
    """One epoch of tiny-conv against the number of images, random ones."""

    def make(count: int) -> Callable[[], Any]:
        def run() -> None:
            pixels = torch.randint(0, 256, (count, 3, PX, PX), dtype=torch.uint8)
            names = tuple(str(index) for index in range(count))
            images = ImageSet(pixels, torch.arange(count) % 200, np.array(names), names[:200])
            version = VersionConfig(train=TrainConfig(epochs=1, batch_size=BATCH))
            train_version(version, images, "crop-flip", "new", Job("growth", 0, pick_device(), NullTracker()))

        return run

    sizes = (5_000, 10_000, 20_000, 40_000, 80_000)
    return grow("one epoch of tiny-conv at 32 px, decoded images included", "images", sizes, make)


def settings(folder: Path, arch: str, count: int, seed: int = 0) -> tuple[Setting, float]:
    """A training on ``count`` images of ``folder``, and the seconds that decoding all of them once took."""
    files = ImageFolder(str(folder))
    started = time.perf_counter()
    loaded = load_dataset(DataConfig(dataset=f"folder:{folder}", eval_split="instances", test_share=0.1))
    seconds = time.perf_counter() - started
    both = [loaded.train, loaded.test]
    place = {str(name): row for row, name in enumerate(np.concatenate([one.ids for one in both]))}
    paths = [str(Path(path).relative_to(folder)) for path, _ in files.samples]
    if len(paths) <= count:
        raise SystemExit(f"{folder} holds {len(paths):,} images: --count {count:,} leaves none to be judged on")
    order = torch.tensor([place[path] for path in paths])
    decoded = ImageSet(
        torch.cat([one.images for one in both])[order], torch.tensor(files.targets), np.array(paths),
        tuple(files.classes),
    )  # fmt: skip
    shuffled = np.random.default_rng(seed).permutation(len(paths))
    version = VersionConfig(arch=arch, loss=Spec("normsoftmax"), train=TrainConfig(batch_size=BATCH))
    return Setting(version, files, shuffled[:count], shuffled[count : count + 5_000], decoded), seconds


def main() -> None:
    """All races of this file; with a GPU, those of ResNet-18 that it runs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, help="a folder of class folders")
    parser.add_argument("--count", type=int, default=10_000, help="images of it that are trained on")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.images or digit_files(Path(name))
        count = arguments.count if arguments.images else 1_500
        if torch.cuda.is_available():
            setting, _ = settings(folder, "resnet18", count)
            some = dataclasses.replace(setting, rows=setting.rows[:10_000])
            races = []
            for run in (
                lambda: speed(setting, 2, once=[NO_WORKER]),
                lambda: same_accuracy(some, 5, 2),
                lambda: extraction(some),
                lambda: compiling(setting),
            ):
                races.append(run())
                write(f"training-{ON_GPU}", races)  # what was measured is kept, whatever happens to the next
            return
        grown = growth()
        setting, decoding_s = settings(folder, "tiny-conv", count)
        races = [speed(setting, 3)]
        races[0].facts[f"seconds to decode all {len(setting.decoded):,} images, once"] = decoding_s
        small = dataclasses.replace(setting, rows=setting.rows[:2_000])
        deep = dataclasses.replace(setting.version, arch="resnet18")
        races.append(speed(dataclasses.replace(small, version=deep), 1))
        races.append(compiling(setting))
        races.append(same_accuracy(setting, 5, 3))
        races.append(extraction(setting))
        write("training", races, [grown])


if __name__ == "__main__":
    main()
