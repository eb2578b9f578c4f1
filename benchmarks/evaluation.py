"""Exact evaluation (CMC at all k, mAP over the full ranking, mAP@R, per query) against the matrix product and peers."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import reid_peer
from benchmarks.race import ON_GPU, PeakAbove, Race, grow, race, write
from compat_core.metrics import evaluate_retrieval
from compat_core.retrieval.scores import BLOCK_BYTES_GPU, full_precision

DIM, BLOCK = 128, 512  # of 128, 256 and 512 rows the quickest, or no slower, at every size here
PEERS = ("pytorch-metric-learning", reid_peer.NAME)


def world(count: int, classes: int, seed: int = 0, unequal: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """``(emb (N, 128) float32 of length 1, labels (N,))``: noisy items around random class centres."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    if unequal:  # class sizes fall as 1 / rank
        shares = 1 / np.arange(1, classes + 1)
        labels = rng.choice(classes, count, p=shares / shares.sum())
    emb = rng.standard_normal((classes, DIM), dtype=np.float32)[labels]
    emb += 1.5 * rng.standard_normal((count, DIM), dtype=np.float32)
    return emb / np.linalg.norm(emb, axis=1, keepdims=True), labels


def bare_product(query: np.ndarray, gallery: np.ndarray, device: str = "cpu", block: int = BLOCK) -> None:
    """Every score once, block by block, nothing done with them: the bound."""
    rows, columns = torch.from_numpy(query).to(device), torch.from_numpy(gallery).to(device).T
    out = torch.empty(block, len(gallery), device=device)
    with full_precision(rows.device):
        for begin in range(0, len(query), block):
            part = rows[begin : begin + block]
            torch.mm(part, columns, out=out[: len(part)])
    if rows.is_cuda:
        torch.cuda.synchronize()


def ours(emb: np.ndarray, labels: np.ndarray, device: str = "cpu") -> Any:
    """Self-retrieval, each item left out of its own ranking by identity."""
    ids = np.arange(len(emb))
    return evaluate_retrieval(emb, labels, emb, labels, ids, ids, device=device)


def metric_learning(emb: np.ndarray, labels: np.ndarray) -> Any:
    """pytorch-metric-learning's mAP, over all items; None where it is not installed."""
    try:
        from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
        from pytorch_metric_learning.utils.inference import CustomKNN
    except ImportError:
        return None
    from pytorch_metric_learning.distances import CosineSimilarity

    count = len(emb)
    calculator = AccuracyCalculator(
        include=("mean_average_precision", "precision_at_1"), k=count - 1, device=torch.device("cpu"),
        knn_func=CustomKNN(CosineSimilarity(), batch_size=1000),
    )  # fmt: skip
    vectors, classes = torch.from_numpy(emb), torch.from_numpy(labels)
    return calculator.get_accuracy(vectors, classes)


def small(rounds: int) -> Race:
    """10,000 × 10,000, 200 classes, with peers."""
    emb, labels = world(10_000, 200)
    contestants: dict[str, Callable[[], Any]] = {
        "bare matrix product": lambda: bare_product(emb, emb),
        "evaluate_retrieval": lambda: ours(emb, labels),
    }
    peers: dict[str, Callable[[], float]] = {}
    if metric_learning(emb[:300], labels[:300]) is not None:
        peers["pytorch-metric-learning"] = lambda: metric_learning(emb, labels)["mean_average_precision"]
    if (module := reid_peer.load()) is not None:
        peers[reid_peer.NAME] = lambda: reid_peer.evaluate(module, emb, labels)
    for name in PEERS:
        if name not in peers:
            print(f"{name} is not installed (benchmarks/requirements.txt): not raced")
    found = race(
        "Exact evaluation, 10,000 × 10,000, 200 classes", contestants | peers, "bare matrix product", rounds,
        list(peers), "within 1.6 × the product, 30 × faster than pytorch-metric-learning, 12 × than torchreid",
        {"pytorch-metric-learning": "mAP and precision@1", reid_peer.NAME: "mAP and CMC"},
    )  # fmt: skip
    mine, seconds = ours(emb, labels), {lap.name: lap.seconds for lap in found.laps}
    for name, evaluated in peers.items():
        found.facts[f"difference in mAP to {name}"] = abs(mine.mean_ap - evaluated())
        found.facts[f"times faster than {name}"] = round(seconds[name] / seconds["evaluate_retrieval"], 1)
    return found


def large(classes: int, target: str, unequal: bool = False, dtype: type = np.float32) -> Race:
    """50,000 × 50,000 in memory."""
    emb, labels = world(50_000, classes, unequal=unequal)
    given = emb.astype(dtype)
    name = "class sizes falling as 1/rank" if unequal else f"{classes:,} classes"
    with PeakAbove() as peak:
        ours(given, labels)
    found = race(
        f"Exact evaluation, 50,000 × 50,000, {name}" + ("" if dtype is np.float32 else ", float16 input"),
        {"bare matrix product": lambda: bare_product(emb, emb), "evaluate_retrieval": lambda: ours(given, labels)},
        "bare matrix product", 1, target=target,
    )  # fmt: skip
    found.facts["memory above the vectors, MiB"] = round(peak.mib)
    found.facts["largest class"] = int(np.bincount(labels).max())
    return found


def on_gpu(classes: int) -> Race:
    """50,000 × 50,000 on a CUDA device, vectors handed over from main memory, and what the CPU finds for the same."""
    emb, labels = world(50_000, classes)
    found = race(
        f"Exact evaluation on {torch.cuda.get_device_name()}, 50,000 × 50,000, {classes:,} classes",
        {
            "bare matrix product": lambda: bare_product(emb, emb, "cuda", BLOCK_BYTES_GPU // (4 * len(emb))),
            "evaluate_retrieval": lambda: ours(emb, labels, "cuda"),
        },
        "bare matrix product", 5, target="under 1 s on a data-centre GPU, equal to the CPU's to 1e-6",
    )  # fmt: skip
    here, there = ours(emb, labels), ours(emb, labels, "cuda")
    found.facts["difference in mAP to the CPU's"] = abs(here.mean_ap - there.mean_ap)
    found.facts["difference in CMC@1 to the CPU's"] = abs(here.cmc[1] - there.cmc[1])
    per_query = np.abs(here.per_query.average_precision - there.per_query.average_precision)
    found.facts["largest difference of a query's average precision"] = float(np.nanmax(per_query))
    return found


def in_file(folder: str, items: int) -> tuple[Path, np.ndarray]:
    """A gallery of 1,000 classes in a .npy, and its labels."""
    path = Path(folder) / f"gallery-{items}.npy"
    stored = np.lib.format.open_memmap(path, "w+", np.float32, (items, DIM))
    labels = np.empty(items, dtype=np.int64)
    for begin in range(0, items, 100_000):
        stored[begin : begin + 100_000], labels[begin : begin + 100_000] = world(100_000, 1_000, seed=begin)
    stored.flush()
    return path, labels


def ours_in_file(path: Path, labels: np.ndarray, queries: int) -> Any:
    """The first rows of a file query all of it."""
    gallery, own = np.load(path, mmap_mode="r"), np.arange(queries)
    query = np.array(gallery[:queries])
    return evaluate_retrieval(query, labels[:queries], gallery, labels, own, np.arange(len(labels)), device="cpu")


def streamed(queries: int = 1_000, items: int = 1_000_000) -> Race:
    """Queries against a memory-mapped gallery file."""
    with tempfile.TemporaryDirectory() as folder:
        path, labels = in_file(folder, items)

        def product() -> None:
            gallery = np.load(path, mmap_mode="c")
            bare_product(np.array(gallery[:queries]), gallery)

        with PeakAbove() as peak:
            ours_in_file(path, labels, queries)
        found = race(
            f"Exact evaluation, {queries:,} queries × {items:,} memory-mapped rows",
            {
                "bare matrix product over the file": product,
                "evaluate_retrieval": lambda: ours_in_file(path, labels, queries),
            },
            "bare matrix product over the file", 3,
        )  # fmt: skip
        found.facts["memory above the start, MiB (the file: 488)"] = round(peak.mib)
    return found


def growth_in_file(queries: int = 1_000) -> dict[str, Any]:
    """Time against the rows of a gallery that stays in its file, half a gigabyte to four."""
    with tempfile.TemporaryDirectory() as folder:

        def make(items: int) -> Callable[[], Any]:
            for smaller in Path(folder).iterdir():
                smaller.unlink()
            path, labels = in_file(folder, items)
            return lambda: ours_in_file(path, labels, queries)

        what = f"exact evaluation, {queries:,} queries, gallery in its file"
        return grow(what, "rows", (1_000_000, 2_000_000, 4_000_000, 8_000_000), make)


def growth() -> dict[str, Any]:
    """Self-retrieval against the number of items, at 50 items per class."""

    def make(count: int) -> Callable[[], Any]:
        emb, labels = world(count, count // 50)
        return lambda: ours(emb, labels)

    sizes = (2_500, 5_000, 10_000, 20_000, 40_000, 80_000)
    return grow("exact evaluation, every item a query", "items", sizes, make)


def main() -> None:
    """All races of this file; with a GPU, first those that it runs, to a file of their own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only 10,000 × 10,000")
    arguments = parser.parse_args()
    if torch.cuda.is_available():  # the other races are the processor's
        write(f"evaluation-{ON_GPU}", [on_gpu(1_000), on_gpu(200)])
    grown = [] if arguments.quick else [growth(), growth_in_file()]
    races = [small(rounds=5)]
    if not arguments.quick:
        for run in (
            lambda: large(1_000, "within 1.6 × the product, under 1,000 MiB"),
            lambda: large(200, "within 3 × the product"),
            lambda: large(200, "", unequal=True),
            lambda: large(200, "", dtype=np.float16),
            streamed,
        ):
            races.append(run())
            write("evaluation", races, grown)  # what was measured is kept, whatever happens to the next
        emb, labels = world(50_000, 100)
        labels = np.where(np.arange(50_000) < 20_000, 1_000, labels)
        contestants = {
            "bare matrix product": lambda: bare_product(emb, emb),
            "evaluate_retrieval": lambda: ours(emb, labels),
        }
        races.append(
            race(
                "Exact evaluation, 50,000 × 50,000, one class of 20,000 positives", contestants,
                "bare matrix product", 1, once=["evaluate_retrieval"],
            )
        )  # fmt: skip
        write("evaluation", races, grown)


if __name__ == "__main__":
    main()
