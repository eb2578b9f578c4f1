"""How long an experiment will take and how much memory it needs, before it starts. Rough, and it says from what."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from compat_core.data import load_dataset
from compat_core.data.files import scan_tree
from compat_core.device import (
    IMAGES_SHARE,
    DeviceChoice,
    cpu_threads,
    for_small_images,
    memory_of,
    pick_device,
)
from compat_core.errors import CompatError
from compat_core.experiments.config import ExperimentConfig
from compat_core.experiments.pace import Work
from compat_core.experiments.store import RunStore
from compat_core.methods import METHODS
from compat_core.models import Embedder, footprint
from compat_core.spec import Spec

# Training one method, in units of training the paragon: a frozen old network runs along; FCT trains a
# side-information encoder on two views, embeds several views and fits its map.
FAMILY_COST = {"backward-compatible training": 1.25, "forward transformation": 3.0}
SPREAD = (0.7, 1.6)  # between a quiet and a busy machine
LOADING_S = 5.0
HELD = 1.5  # times the activations, which training holds: 1.3 to 1.9 measured, in bfloat16 half
# Seconds of evaluating one method per (query x bootstrap resample), of the cells, of each protocol, and of the
# orderings of the backfill curves; almost all of an evaluation is the bootstrap.
CELLS_S, PROTOCOL_S, BACKFILL_S = 0.4e-6, 0.08e-6, 0.7e-6
MEASURE_LIMIT_S = 60.0
ROOT = Path(__file__).parents[2]  # where a child finds compat_core, installed or not


@dataclass(frozen=True, slots=True)
class Size:
    """What an estimate needs to know of a data set: image counts, channels, side in pixels."""

    train: int
    test: int
    channels: int
    image_px: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of a device's memory: ``needed``, and how many are ``there`` in all (None: unknown)."""

    needed: int
    there: int | None

    def __str__(self) -> str:
        return f"{self.needed / 1e9:.1f} GB"

    @property
    def lack(self) -> str:
        """How little there is, in words; empty where it is enough, as far as is known."""
        short = self.there is not None and self.needed > self.there
        return f"{(self.there or 0) / 1e9:.1f} GB" if short else ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A range of seconds, memory, and where the figures come from."""

    low_s: float
    high_s: float
    memory: Memory
    basis: str


def dataset_size(config: ExperimentConfig) -> Size | None:
    """Counts of the data set without decoding it; None for one that would first have to be downloaded.

    Raises:
        CompatError: for a folder that is not there or has no class folders.
    """
    data = config.data
    if data.dataset == "digits":
        digits = load_dataset(data)
        return Size(len(digits.train), len(digits.test), digits.train.channels, digits.train.size)
    name, _, path = data.dataset.partition(":")
    if name != "folder":
        return None
    folder = Path(path).expanduser()
    if not path or not folder.is_dir():
        raise CompatError(
            "folder", value=path, rule="no such folder on this machine", fix="one folder per class inside"
        )
    tree = scan_tree(folder)
    if len(tree.train) < 2:
        raise CompatError("folder", value=path, rule="needs at least two folders of images, one per class")
    given = sum(len(group) for group in tree.test.values())
    total = given + sum(len(group) for group in tree.train.values())
    test = given if given and data.eval_split in ("auto", "given") else round(data.test_share * total)
    train = total - test
    train = min(train, data.train_limit or train)
    test = min(test, data.test_limit or test)
    return Size(train, test, 3, data.image_size or 64)


def past_throughput(store: RunStore, config: ExperimentConfig) -> tuple[float, str] | None:
    """Images per second that the newest finished run alike trained at, and its id; None where there is none.

    Alike: the same backbone, data set and image size, on the same kind of device.

    Raises:
        CompatError: for a device this machine does not have.
    """
    kind, wanted = pick_device(config.device).device.type, _pace_of(config)
    for run in store.list()[:20]:
        try:
            status = run.status
            if status.state != "done" or status.device.split(":")[0] != kind or _pace_of(run.config) != wanted:
                continue
            rates = [
                event["images_per_s"]
                for event in run.events(0)[0]
                if event.get("kind") == "train" and event["name"].endswith("paragon")
            ]
        except CompatError:  # deleted meanwhile, or of another version
            continue
        if rates:
            return statistics.median(rates), run.id
    return None


def _pace_of(config: ExperimentConfig) -> tuple[str, str, int]:
    """What of an experiment decides how many images per second a device trains on."""
    return config.new.arch, config.data.dataset, config.data.image_size


def measured_throughput(arch: str, dim: int, size: Size, device: str) -> float:
    """Images per second of a few training steps on random images, right now on this machine, as a run would do them.

    Raises:
        CompatError: for a backbone that does not take images of this size, or an absent device.
    """
    choice = for_small_images(pick_device(device), size.image_px, "auto")
    place = choice.device
    model = Embedder(arch, dim, size.channels, size.image_px).to(place)
    images = torch.randn(16, size.channels, size.image_px, size.image_px, device=place)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-4)
    started, steps = 0.0, 4
    with cpu_threads(place, size.image_px):
        for step in range(steps + 1):
            if step == 1:  # the first step sets up
                started = time.perf_counter()
            with torch.autocast(place.type, choice.autocast, enabled=choice.autocast is not None):
                loss = model(images).float().square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            float(loss.detach())
        return 16 * steps / (time.perf_counter() - started)


def throughput_of_a_child(
    arch: str, dim: int, size: Size, device: str, limit_s: float = MEASURE_LIMIT_S
) -> float | None:
    """:func:`measured_throughput` in a process of its own, so that a server keeps neither its cores nor GPU memory.

    Args:
        arch, dim, size, device: as there.
        limit_s: seconds after which the process is ended.

    Returns:
        images per second; None where the few steps took longer than ``limit_s``.

    Raises:
        CompatError: as there, or when the process died.
    """
    question = json.dumps([arch, dim, [size.train, size.test, size.channels, size.image_px], device])
    command = [sys.executable, "-c", "from compat_core.experiments import estimate; estimate.answer()", question]
    try:
        child = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=limit_s, stdin=subprocess.DEVNULL, check=False
        )
    except subprocess.TimeoutExpired:
        return None
    lines = child.stdout.strip().splitlines()
    if child.returncode != 0 or not lines:
        said = child.stderr.strip().splitlines()
        raise CompatError(
            "measuring the speed", value=arch, rule=said[-1] if said else f"its process ended with {child.returncode}"
        )
    reply = json.loads(lines[-1])
    if "error" in reply:
        raise CompatError(reply["error"])
    return float(reply["images_per_s"])


def answer() -> None:
    """What the child of :func:`throughput_of_a_child` does: read its argument, print one line of JSON."""
    arch, dim, size, device = json.loads(sys.argv[1])
    try:
        reply: dict[str, object] = {"images_per_s": measured_throughput(arch, dim, Size(*size), device)}
    except CompatError as error:
        reply = {"error": str(error)}
    print(json.dumps(reply))


def works(config: ExperimentConfig, train: int, test: int) -> list[Work]:
    """What every stage of ``config`` costs, in the order in which it is run.

    Args:
        config: the experiment.
        train, test: numbers of images.

    Returns:
        training in passes of images through the network; evaluation in seconds.
    """
    first, *later = _shares(config)
    old = Work(training=train * first * config.old.train.epochs)
    new = [train * share * config.new.train.epochs for share in later]
    methods = [Work(training=_family_cost(spec) * passes) for spec in config.methods for passes in new]
    judged = Work(seconds=evaluation_seconds(config, test))
    return [Work(seconds=LOADING_S)] + len(config.seeds) * [old, *map(Work, new), *methods, judged]


def _shares(config: ExperimentConfig) -> tuple[float, ...]:
    """The part of the training images that each version sees, the oldest first."""
    return config.scenario.chain or (config.scenario.old_classes * config.scenario.old_images, 1.0)


def evaluation_seconds(config: ExperimentConfig, test: int) -> float:
    """Seconds of evaluating one seed: similarity matrices, bootstrap, protocols, backfill curves."""
    cells = (test / 4000) ** 2
    drawn = CELLS_S * test
    if not config.scenario.chain:
        drawn += PROTOCOL_S * test * (config.protocols.verification + config.protocols.identification)
        drawn += BACKFILL_S * min(test, config.backfill_queries)
    return len(config.methods) * (cells + config.resamples * drawn)


def _family_cost(spec: Spec) -> float:
    return 0.0 if spec.name == "independent" else FAMILY_COST.get(METHODS.get(spec.name).family, 1.25)


def estimate(config: ExperimentConfig, size: Size, images_per_s: float, basis: str) -> Estimate:
    """Time and memory of ``config`` on a data set of ``size`` at a training speed."""
    stages = works(config, size.train, size.test)
    seconds = sum(work.training / images_per_s + work.seconds for work in stages)
    memory = memory_of_run(config, size, pick_device(config.device, config.precision))
    return Estimate(SPREAD[0] * seconds, SPREAD[1] * seconds, memory, basis)


def memory_of_run(config: ExperimentConfig, size: Size, choice: DeviceChoice) -> Memory:
    """What ``config`` takes of a device's memory: programs, images, vectors, and its largest training.

    Args:
        config: the experiment.
        size: of its data set.
        choice: where it computes. Images that take more than a share of it stay on disk, or in main memory.
    """
    images, there = size.train + size.test, memory_of(choice.device)
    needed = 700_000_000 + images * 4 * 7 * (config.old.dim + config.new.dim)
    pixels = images * size.channels * size.image_px**2
    if there is None or pixels <= IMAGES_SHARE * there:
        needed += 2 * pixels
    half = for_small_images(choice, size.image_px, config.precision).autocast is not None
    return Memory(needed + _training_bytes(config, size, half), there)


def _training_bytes(config: ExperimentConfig, size: Size, half: bool) -> int:
    """Of the largest training: a network with gradients and two moments, a batch of activations, frozen networks."""
    steps, frozen = [], 0
    for arch, dim, batch, passes in _trained(config, size.train):
        net = footprint(arch, dim, size.channels, size.image_px)
        held = HELD * 4 * net.activations * batch * passes
        steps.append(16 * net.parameters + int(held / 2 if half else held))
        frozen = max(frozen, 4 * net.parameters)
    return max(steps) + (2 + len(config.methods)) * frozen


def _trained(config: ExperimentConfig, train: int) -> Iterator[tuple[str, int, int, int]]:
    """Backbone, dimension, batch and passes per image and step of everything that is trained on images."""
    old = min(config.old.train.batch_size, max(2, round(_shares(config)[0] * train)))
    yield config.old.arch, config.old.dim, old, 1
    yield config.new.arch, config.new.dim, min(config.new.train.batch_size, train), 1
    for spec in config.methods:
        fitted = METHODS.get(spec.name).configure(spec)
        side = getattr(fitted, "side", "none")
        if side != "none":
            yield fitted.side_arch or config.old.arch, fitted.side_dim, old, 2 if side == "simclr" else 1
